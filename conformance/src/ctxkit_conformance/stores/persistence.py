"""Checks of what stays: closing and reopening, and openers that expect something else."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ctxkit.errors import (
    CollectionNotFoundError,
    ConfigError,
    CtxkitError,
    DimensionMismatchError,
    FingerprintMismatchError,
    InvalidRecordError,
    MetricMismatchError,
)
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec, Harness, VectorStore
from ctxkit.records import Metric, Record
from ctxkit_conformance.component import must_raise
from ctxkit_conformance.marks import covers
from ctxkit_conformance.stores import clauses
from ctxkit_conformance.stores.base import METRICS, StoreChecks, check_order, fill, found_by_words
from ctxkit_conformance.stores.records import IDS, LISTS, TEXTS, VALUES

Records = dict[str, Record]


class PersistenceChecks(StoreChecks):
    """`persistent` is a promise that no method makes, so none can refuse it.

    A store that does not declare it may keep or forget a collection when its handle is closed. What it may not do is
    keep a part, or give a collection of one description to an opener who asked for another.
    """

    tier = "T5"

    @covers(clauses.PERSISTENCE)
    def test_close_and_reopen(self, config: BackendConfig, declared: Capabilities, metric: Metric) -> None:
        """A failure means that acknowledged data is gone, changed or doubled after a restart."""
        records = self._written(config, metric)
        for _ in range(3):
            if not self._kept(config, declared, metric):
                return
            with self.open(config, metric) as store:
                _check_all(store, records)
        with self.open(config, metric) as store:
            store.upsert([Record("later", "many", [1, 1, 1])])
            assert store.delete(["r7"]) == 1
        with self.open(config, metric) as store:
            assert [r and r.id for r in store.get(["later", "r7", "r8"])] == ["later", None, "r8"]

    @covers(clauses.PERSISTENCE, clauses.IDS, clauses.TEXT, clauses.METADATA)
    def test_values_survive_a_restart(
        self, config: BackendConfig, declared: Capabilities, metric: Metric, bare: list[float] | None
    ) -> None:
        """A failure means that types, letters or digits are lost once the memory no longer covers for the file."""
        records = [
            Record(record_id, text, np.array([i + 1.0, 1e-40, -1e30], dtype=np.float32), {**VALUES, **LISTS, "i": i})
            for i, (record_id, text) in enumerate(zip(IDS, TEXTS, strict=True))
        ]
        records.append(Record("plain", "", None if bare is None else np.array(bare, dtype=np.float32)))
        with self.open(config, metric) as store:
            store.upsert(records)
        if not self._kept(config, declared, metric):
            return
        with self.open(config, metric) as store:
            for given, got in zip(records, store.get([*IDS, "plain"], include_vectors=True), strict=True):
                assert got == given

    @covers(clauses.MISMATCH)
    def test_reopen_mismatches(self, config: BackendConfig, declared: Capabilities, metric: Metric) -> None:
        """A failure means that a wrong setting silently empties a collection, or mixes two models' vectors."""
        spec = CollectionSpec(name="c", dimension=3, metric=metric, fingerprint="model-a", fields={"i": "int"})
        with self.open_spec(spec, config) as store:
            store.upsert([Record("a", "", np.ones(3), {"i": 1, "f": 1.5})])
        if not self._kept(config, declared, metric):
            return
        cases: list[tuple[type[CtxkitError], dict[str, object]]] = [
            (DimensionMismatchError, {"dimension": 4}),
            (FingerprintMismatchError, {"fingerprint": "model-b"}),
            (ConfigError, {"fields": {"i": "str"}}),
            (InvalidRecordError, {"fields": {"f": "int"}}),
        ]
        cases += [(MetricMismatchError, {"metric": other}) for other in METRICS if other in declared.metrics - {metric}]
        for error, change in cases:
            opening = partial(self.open_spec, spec.model_copy(update=change), config)
            must_raise(error, opening, f"opening it with {change}")
        assert self.store_class.describe_collection(config, "c") == spec
        with self.open(config, metric) as store:
            assert store.spec == spec
            assert store.get(["a"], include_vectors=True) == [Record("a", "", np.ones(3), {"i": 1, "f": 1.5})]

    @covers(clauses.MISMATCH)
    def test_fields_can_be_added(self, config: BackendConfig, declared: Capabilities, metric: Metric) -> None:
        """A failure means that a field declared later is not checked, or that its older records are not found."""
        with self.open(config, metric) as store:
            store.upsert([Record("a", "", [1, 0, 0], {"n": 1})])
        if not self._kept(config, declared, metric):
            return
        for _ in range(2):
            with self.open(config, metric, fields={"n": "int"}) as store:
                assert store.count({"n": 1}) == 1
                with pytest.raises(InvalidRecordError):
                    store.upsert([Record("b", "", [1, 0, 0], {"n": "text"})])
        assert self.store_class.describe_collection(config, "c").fields == {"n": "int"}

    @covers(clauses.PERSISTENCE)
    def test_moved_folder(self, harness: Harness, tmp_path: Path, declared: Capabilities, metric: Metric) -> None:
        """A failure means that a restored backup, or a renamed folder, does not open or opens empty.

        A backend that made no folder keeps its data elsewhere; then a fresh folder must stay a fresh place.
        """
        before, after = tmp_path / "before", tmp_path / "after"
        config = harness.fresh(before)
        records = self._written(config, metric)
        moved = before.is_dir() and declared.persistent
        with self.open(harness.moved(config, after) if moved else harness.fresh(after), metric) as store:
            if moved:
                _check_all(store, records)
            else:
                assert store.count() == 0

    def _written(self, config: BackendConfig, metric: Metric) -> Records:
        """Write some records, close cleanly, and return them."""
        rng = np.random.default_rng(0)
        records = {
            f"r{i}": Record(
                f"r{i}", f"text number{i} of many", rng.normal(size=3).astype(np.float32), {"i": i, "odd": i % 2 == 1}
            )
            for i in range(60)
        }
        with self.open(config, metric) as store:
            fill(store, list(records.values()))
            store.delete(["r5"])
            store.upsert([Record("r6", "replaced text of many", [1, 2, 3], {"i": 6, "odd": False})])
        records["r6"] = Record(
            "r6", "replaced text of many", np.array([1, 2, 3], dtype=np.float32), {"i": 6, "odd": False}
        )
        del records["r5"]
        return records

    def _kept(self, config: BackendConfig, declared: Capabilities, metric: Metric) -> bool:
        """Whether the closed collection "c" is still there; where it is not, check that nothing of it is."""
        if "c" in self.store_class.list_collections(config):
            return True
        assert not declared.persistent, "a persistent store has to list its collections after they are closed"
        with pytest.raises(CollectionNotFoundError):
            self.store_class.describe_collection(config, "c")
        with self.open(config, metric) as store:
            assert store.count() == 0
            assert list(store.scan()) == []
            assert store.spec == CollectionSpec(name="c", dimension=3, metric=metric)
        return False


def _check_all(store: VectorStore, records: Records) -> None:
    """Compare every kind of answer with what was written."""
    assert {r.id: r for r in store.scan(include_vectors=True)} == records
    assert (store.count(), store.count({"odd": True})) == (
        len(records),
        sum(r.metadata["odd"] for r in records.values()),
    )
    hits = store.query([1, 1, 1], 100)[0]
    check_order(hits)
    assert set(hits.ids) == set(records)
    assert found_by_words(store, "number7") == ([] if store.capabilities.text_search is None else ["r7"])
    assert store.capabilities.text_search is None or len(store.text_query("many", 100)) == len(records)
    assert store.get(["r5"]) == [None]
    assert store.health().ok

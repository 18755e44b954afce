"""Checks of a handle's life: what it declares, housekeeping, closing, errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ctxkit.errors import StoreClosedError, StoreError
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec, VectorStore
from ctxkit.records import Metric, Record, RecordBatch
from ctxkit_conformance.marks import covers
from ctxkit_conformance.stores import clauses
from ctxkit_conformance.stores.base import StoreChecks, fill, found_by_words


class LifecycleChecks(StoreChecks):
    """Capabilities, stats, flush, optimize, close."""

    tier = "T1"
    faces = ("sync", "async")

    @covers(clauses.CAPABILITIES)
    def test_capabilities(self, store: VectorStore, declared: Capabilities, metric: Metric) -> None:
        """A failure means that what was promised before the store was made is not what it promises now."""
        assert store.capabilities == declared
        assert Capabilities.model_validate_json(declared.model_dump_json()) == declared
        with pytest.raises(AttributeError):
            store.capabilities.exact = not declared.exact  # type: ignore[misc]
        assert store.spec == CollectionSpec(name="c", dimension=3, metric=metric)

    @covers(clauses.HOUSEKEEPING)
    def test_housekeeping_changes_nothing(self, store: VectorStore) -> None:
        """A failure means that tidying up loses or changes records, or that the figures shown are wrong."""
        rng = np.random.default_rng(5)
        ids = [str(i) for i in range(3000)]
        fill(store, RecordBatch(ids, rng.normal(size=(3000, 3)), ["text"] * 3000))
        assert store.delete(ids[::2]) == 1500
        if store.capabilities.optional_vectors:
            store.upsert([Record("no vector", "text")])
        before = _answers(store)
        store.flush()
        store.optimize()
        after = _answers(store)
        # An approximate index may be built anew and then propose other near ties.
        assert after == before if store.capabilities.exact else after[1:] == before[1:]
        assert len(after[0]) == 20
        stats = store.stats()
        assert (stats.rows, stats.vectors) == (1501 if store.capabilities.optional_vectors else 1500, 1500)
        store.upsert([Record("after", "zebra", [-1, -2, -3])])
        assert store.query([-1, -2, -3], 1)[0].ids == ["after"], "what is written after optimize is not found"
        assert found_by_words(store, "zebra") == ([] if store.capabilities.text_search is None else ["after"])
        assert store.health().ok

    @covers(clauses.HOUSEKEEPING)
    def test_version_follows_writes(self, store: VectorStore) -> None:
        """A failure means that answers which are kept until something is written are given after that, too."""
        versions = [store.version()]
        writes: list[Callable[[], object]] = [
            lambda: fill(store, [Record(str(i), "a", [1, 0, 0]) for i in range(10)]),
            lambda: store.upsert([Record("3", "b", [1, 0, 0])]),
            lambda: store.delete(["4"]),
        ]
        for write in writes:
            write()
            versions.append(store.version())
        told = [version for version in versions if version is not None]
        assert len(told) in (0, len(versions)), f"there is a version now and then: {versions}"
        assert len(set(told)) == len(told), f"a write left the version as it was: {versions}"
        store.query([1, 0, 0], 5)
        store.count()
        assert store.version() == versions[-1], "reading changed the version, so nothing can be kept"

    @covers(clauses.CLOSING)
    def test_closed_store(self, config: BackendConfig, metric: Metric) -> None:
        """A failure means that a closed handle answers from nowhere, or crashes the process."""
        store = self.open(config, metric)
        fill(store, [Record(str(i), "a", [1, 0, 0]) for i in range(300)])
        store.close()
        store.close()
        calls: list[Callable[[], object]] = [
            lambda: store.upsert([]),
            lambda: store.upsert([Record("b", "", [1, 0, 0])]),
            lambda: store.get(["a"]),
            lambda: store.delete(["a"]),
            store.count,
            lambda: store.query([1, 0, 0], 1),
            lambda: list(store.scan()),
            store.flush,
            store.optimize,
            store.stats,
            store.health,
        ]
        if store.capabilities.text_search is not None:
            calls.append(lambda: store.text_query("a", 1))
        for call in calls:
            with pytest.raises(StoreClosedError):
                call()

    @covers(clauses.ERRORS)
    def test_errors_name_backend_and_collection(self, store: VectorStore) -> None:
        """A failure means that an error in a log does not tell which store it came from, nor what to do."""
        store.close()
        with pytest.raises(StoreError) as caught:
            store.count()
        assert (caught.value.backend, caught.value.collection) == (self.store_class.backend, "c")
        assert "Fix:" in str(caught.value)

    @covers(clauses.CLOSING)
    def test_leaving_the_context_closes(self, config: BackendConfig, metric: Metric) -> None:
        """A failure means that `with` leaves files, sockets or threads behind."""
        with self.open(config, metric) as store:
            store.upsert([Record("a", "", [1, 0, 0])])
        with pytest.raises(StoreClosedError):
            store.count()
        with pytest.raises(ZeroDivisionError), self.open(config, metric, name="other") as store:
            raise ZeroDivisionError
        with pytest.raises(StoreClosedError):
            store.count()


def _answers(store: VectorStore) -> tuple[list[str], int, list[str], list[str]]:
    """Return one answer of each kind."""
    return (
        store.query([1, 2, 3], 20)[0].ids,
        store.count(),
        found_by_words(store, "text"),
        sorted(record.id for record in store.scan()),
    )

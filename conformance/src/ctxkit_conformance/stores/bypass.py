"""Checks that a fault in writing is not hidden by the same fault in reading."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ctxkit.errors import StoreLockedError
from ctxkit.interfaces import BackendConfig, Capabilities, Harness, VectorStore
from ctxkit.records import Metric, Record
from ctxkit_conformance.marks import covers
from ctxkit_conformance.stores import clauses
from ctxkit_conformance.stores.base import StoreChecks


class BypassChecks(StoreChecks):
    """What is stored, read by every way there is: each method, another handle, and around the store."""

    tier = "T1"
    faces = ("sync", "async")

    @covers(clauses.UPSERT, clauses.METADATA, clauses.VECTORS)
    def test_every_way_of_reading_agrees(
        self, harness: Harness, config: BackendConfig, metric: Metric, declared: Capabilities
    ) -> None:
        """A failure means that a record depends on how it is read, so a backup differs from what is searched."""
        written = _records()
        with self.open(config, metric) as store:
            store.upsert(list(written.values()))
            store.upsert([_replaced(written["r3"])])
            assert store.delete(["r4"]) == 1
            written["r3"] = _replaced(written["r3"])
            del written["r4"]
            _check_reads(store, written)
            kept = "c" in self.store_class.list_collections(config)
            if kept:
                self._read_by_another_handle(config, metric, declared, written)
        if kept:
            try:
                stored = dict(harness.raw(config, "c"))
            except NotImplementedError:
                return  # nothing but the store's own methods can tell
            assert stored == written, "what is stored is not what was written"

    def _read_by_another_handle(
        self, config: BackendConfig, metric: Metric, declared: Capabilities, written: Mapping[str, Record]
    ) -> None:
        """Read through a second handle, unless what is declared lets the store refuse one."""
        try:
            other = self.open(config, metric)
        except StoreLockedError:
            assert declared.concurrency == "single-process", "a second handle is refused, though others may read"
            return
        with other:
            _check_reads(other, written)


def _records() -> dict[str, Record]:
    rng = np.random.default_rng(11)
    return {
        f"r{i}": Record(
            f"r{i}",
            f"text {i} \U0001f600 \0 end",
            rng.normal(size=3).astype(np.float32),
            {"int": i, "float": i / 3, "flag": i % 2 == 0, "list": [str(i), "é"], "words": f"{i}"},
        )
        for i in range(12)
    }


def _replaced(record: Record) -> Record:
    return Record(record.id, "replaced", [1.0, 2.0, 3.0], {"other": True})


def _check_reads(store: VectorStore, written: Mapping[str, Record]) -> None:
    ids = list(written)
    got = store.get(ids, include_vectors=True)
    assert got == list(written.values()), "get returns something else than was written"
    scanned = {record.id: record for record in store.scan(include_vectors=True)}
    assert scanned == written, "scan yields something else than was written"
    hits = store.query([1.0, 1.0, 1.0], len(ids) + 5, include_vectors=True)[0]
    found = {hit.id: Record(hit.id, hit.text, hit.vector, hit.metadata) for hit in hits}
    assert found == written, "query returns something else than was written"
    assert store.count() == len(written)

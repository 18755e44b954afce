"""Checks of scans: each record exactly once, in the order that was asked for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ctxkit.errors import InvalidQueryError, UnsupportedError
from ctxkit.interfaces import VectorStore
from ctxkit.records import Record, RecordBatch
from ctxkit_conformance.marks import covers
from ctxkit_conformance.stores import clauses
from ctxkit_conformance.stores.base import StoreChecks, fill, must_refuse


class ScanChecks(StoreChecks):
    """Completeness, limits, order, writes meanwhile."""

    tier = "T1"
    faces = ("sync", "async")

    @covers(clauses.SCAN)
    def test_scan_is_complete(self, store: VectorStore) -> None:
        """A failure means that an export lacks records or has them twice."""
        fill(store, [Record(f"r{i}", f"text {i}", [1, i, 0], {"even": i % 2 == 0}) for i in range(2100)])
        assert Counter(r.id for r in store.scan()) == Counter(f"r{i}" for i in range(2100))
        assert Counter(r.id for r in store.scan({"even": True})) == Counter(f"r{i}" for i in range(0, 2100, 2))
        for limit in (0, 1, 2099, 2100, 2101):
            assert len({r.id for r in store.scan(limit=limit)}) == min(limit, 2100)
        assert len({r.id for r in store.scan({"even": True}, limit=7)}) == 7
        assert all(r.vector is None for r in store.scan())
        for record in store.scan(include_vectors=True):
            place = int(record.id[1:])
            assert record == Record(f"r{place}", f"text {place}", [1, place, 0], {"even": place % 2 == 0})

    @covers(clauses.ORDERED_SCAN)
    def test_scan_order(self, store: VectorStore, bare: list[float] | None) -> None:
        """A failure means that "the newest ten" are not the newest ten."""
        values: dict[str, object] = {
            "s2": "b",
            "n2": 2,
            "n1b": 1.0,
            "n1a": 1,
            "s1": "a",
            "big": 2**60 + 1,
        }
        store.upsert([Record(name, "", bare, {"v": value}) for name, value in values.items()])
        store.upsert([Record("big.", "", bare, {"v": 2.0**60}), Record("none", "", bare), Record("also", "", bare)])
        if not store.capabilities.ordered_scan:
            must_refuse(lambda: list(store.scan(order_by="v")))
            must_refuse(lambda: list(store.scan(order_by="v", descending=True, limit=1)))
            return
        up = ["n1a", "n1b", "n2", "big.", "big", "s1", "s2", "also", "none"]
        down = ["s2", "s1", "big", "big.", "n2", "n1a", "n1b", "also", "none"]
        assert [r.id for r in store.scan(order_by="v")] == up
        assert [r.id for r in store.scan(order_by="v", descending=True)] == down
        for limit in range(len(up) + 2):
            assert [r.id for r in store.scan(order_by="v", limit=limit)] == up[:limit]
            assert [r.id for r in store.scan(order_by="v", descending=True, limit=limit)] == down[:limit]
        assert [r.id for r in store.scan({"v": 1}, order_by="v", limit=2)] == ["n1a", "n1b"]
        assert [r.id for r in store.scan(order_by="unknown", limit=2)] == ["also", "big"]

    @pytest.mark.parametrize("kind", ["int", "float"])
    @covers(clauses.ORDERED_SCAN)
    def test_scan_order_of_plain_numbers(self, store: VectorStore, bare: list[float] | None, kind: str) -> None:
        """A failure means that counters or times beyond 2**53, or negative ones, come in the wrong order."""
        numbers: list[float] = [-(2**63), -5, 0, 7, 2**63 - 1] if kind == "int" else [-1e300, -0.5, 0.0, 2.5, 1e300]
        store.upsert([Record(str(i), "", bare, {"v": value}) for i, value in enumerate(numbers)])
        if not store.capabilities.ordered_scan:
            must_refuse(lambda: list(store.scan(order_by="v")))
            return
        assert [r.id for r in store.scan(order_by="v")] == list("01234")
        assert [r.id for r in store.scan(order_by="v", descending=True, limit=4)] == list("4321")

    @covers(clauses.SCAN)
    def test_scan_under_concurrent_writes(self, store: VectorStore, bare: list[float] | None) -> None:
        """A failure means that a backup taken while the application runs misses records, or has them twice."""
        fill(store, [Record(f"r{i:04d}", "", bare, {"keep": True}) for i in range(1000)])
        seen: list[str] = []
        for record in store.scan({"keep": True}):
            seen.append(record.id)
            if len(seen) == 300:
                fill(store, [Record(f"r{i:04d}", "new", bare, {"keep": True}) for i in range(0, 1000, 3)])
                fill(store, [Record(f"r{i:04d}", "gone", bare, {"keep": False}) for i in range(901, 1000, 3)])
                store.delete([f"r{i:04d}" for i in range(902, 1000, 3)])
                fill(store, [Record(f"new{i}", "", bare, {"keep": True}) for i in range(50)])
        throughout = {f"r{i:04d}" for i in range(1000) if i < 900 or i % 3 == 0}
        assert max(Counter(seen).values()) == 1
        assert throughout <= set(seen)

    @covers(clauses.SCAN, clauses.ORDERED_SCAN)
    def test_bad_scans_are_refused(self, store: VectorStore) -> None:
        """A failure means that a wrong limit or field name is taken for another one without a word."""
        fill(store, RecordBatch(["a", "b"], np.eye(3)[:2]))
        for options in ({"limit": -1}, {"limit": 1.5}, {"limit": True}):
            with pytest.raises(InvalidQueryError):
                list(store.scan(**options))
        # Without ordered_scan, either reason is a good one.
        wrong = (InvalidQueryError,) if store.capabilities.ordered_scan else (InvalidQueryError, UnsupportedError)
        for field in ("", 3):
            with pytest.raises(wrong):
                list(store.scan(order_by=field))  # type: ignore[arg-type]

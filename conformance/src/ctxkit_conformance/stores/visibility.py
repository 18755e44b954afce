"""Checks of when a write is seen."""

from __future__ import annotations

import time
from collections.abc import Callable

from ctxkit.interfaces import Capabilities, VectorStore
from ctxkit.records import Record
from ctxkit_conformance.marks import covers
from ctxkit_conformance.stores import clauses
from ctxkit_conformance.stores.base import StoreChecks
from ctxkit_conformance.stores.settling import PAUSE, Stored, unseen


class VisibilityChecks(StoreChecks):
    """How long a write may stay unseen."""

    tier = "T1"

    @covers(clauses.READ_WRITES)
    def test_writes_are_seen_in_time(self, store: VectorStore, declared: Capabilities) -> None:
        """A failure means that an application does not find what it has just written, for longer than it was told."""
        kind = type(store)
        bound = declared.consistency_bound if declared.consistency == "eventual" else 0.0
        first = Record("a", "walnut", [1.0, 0.0, 0.0], {"x": 1})
        other = Record("b", "maple", [0.0, 1.0, 0.0], {"x": 2})
        replaced = Record("a", "cedar", [0.0, 0.0, 1.0], {"x": 2})
        steps: list[tuple[Callable[[], object], Stored, Stored]] = [
            (lambda: kind.upsert(store, [first, other]), {}, {"a": first, "b": other}),
            (lambda: kind.upsert(store, [replaced]), {"a": first}, {"a": replaced}),
            (lambda: kind.delete(store, ["b"]), {"b": other}, {}),
            (lambda: kind.delete(store, where={"x": 2}), {"a": replaced}, {}),
        ]
        for number, (write, before, after) in enumerate(steps):
            write()
            deadline = time.monotonic() + bound
            late = unseen(store, before, after)
            while late is not None and time.monotonic() < deadline:
                time.sleep(PAUSE)
                late = unseen(store, before, after)
            assert late is None, f"write {number} is not seen by {late}, {bound:g} s after it returned"

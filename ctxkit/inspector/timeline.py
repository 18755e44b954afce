"""Sessions and turns over time, counted by the store: the page stays small however many there are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from ctxkit.inspector.document import CandidateRow, Lane, Timeline
from ctxkit.interfaces import VectorStore
from ctxkit.memory.entries import KIND, MEMORY, PART, TURN
from ctxkit.memory.scope import Scope
from ctxkit.memory.validity import unexpired

_MOST_BINS: Final = 72
_MOST_LANES: Final = 12
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_STEPS: Final = (1.0, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY)
_SAID: Final = (TURN, MEMORY, PART)
_CALENDAR: Final = {"$gte": -62_135_596_800.0, "$lt": 253_402_300_800.0}  # the years 1 to 9999


def timeline(store: VectorStore, scope: Scope, rows: Sequence[CandidateRow]) -> Timeline | None:
    """Return when the turns and memories in scope were, and the sessions of the candidates; None without a moment.

    Documents are left out: their moment is that of their ingestion.
    """
    counting = _Counting(store, scope)
    span = counting.span({})
    if span is None:
        return None
    first, last = span
    step = _step(last - first)
    start = math.floor(first / step) * step
    bins = int((last - start) // step) + 1
    said = [row for row in rows if row["kind"] in _SAID and row["timestamp"] is not None]
    # The sessions of what was kept come first, then those with the most candidates.
    kept = Counter(row["session"] for row in said if row["kept"])
    found = Counter(row["session"] for row in said)
    chosen = sorted(found, key=lambda session: (-kept[session], -found[session], session or ""))
    lanes = list(counting.lanes(chosen[:_MOST_LANES]))
    return {
        "start": start,
        "step": step,
        "counts": [counting.between(start + index * step, start + (index + 1) * step) for index in range(bins)],
        "lanes": sorted(lanes, key=lambda lane: (lane["first"], lane["session"] or "")),
        "more_lanes": len(chosen) - len(lanes),
    }


def _step(seconds: float) -> float:
    """Return the shortest step that people count in by which no more than the most bins are needed."""
    days = 2
    for step in _STEPS:
        if seconds / step < _MOST_BINS - 1:
            return step
    while seconds / (days * _DAY) >= _MOST_BINS - 1:
        days *= 2
    return days * _DAY


class _Counting:
    """Questions to the store about the turns and memories that a scope shows."""

    def __init__(self, store: VectorStore, scope: Scope) -> None:
        self._store = store
        self._shown: dict[str, Any] = scope.within({KIND: {"$in": [TURN, MEMORY]}}, unexpired())

    def between(self, start: float, end: float) -> int:
        """Return how many there are from `start` on and before `end`."""
        return self._store.count({"$and": [self._shown, {"timestamp": {"$gte": start, "$lt": end}}]})

    def span(self, condition: dict[str, Any]) -> tuple[float, float] | None:
        """Return the first and the last moment of those that pass a condition, None when none has one."""
        where = {"$and": [self._shown, condition, {"timestamp": _CALENDAR}]}
        ends = [
            record.metadata["timestamp"]
            for descending in (False, True)
            for record in self._store.scan(where, order_by="timestamp", descending=descending, limit=1)
        ]
        return (float(ends[0]), float(ends[-1])) if ends else None

    def lanes(self, sessions: Sequence[str | None]) -> Iterator[Lane]:
        """Yield a lane for each of these sessions that has a moment."""
        for session in sessions:
            own: dict[str, Any] = {"session_id": {"$exists": False} if session is None else {"$eq": session}}
            span = self.span(own)
            if span is not None:
                records = self._store.count({"$and": [self._shown, own]})
                yield {"session": session, "records": records, "first": span[0], "last": span[1]}

"""Queries while the index is made in the background: how long one of them has to wait."""

from __future__ import annotations

import statistics
import time
from typing import Final

from ctxkit_conformance.bench.figures import Figure, Target
from ctxkit_conformance.bench.stage import Stage
from ctxkit_conformance.bench.timing import waited_for_a_core

_TARGET: Final = Target(0.020)
_LEAST_SECONDS: Final = 0.5  # for a store that begins a little later
_MOST_SECONDS: Final = 300.0
_LEAST_QUERIES: Final = 20


def measure(stage: Stage) -> list[Figure]:
    """Return the longest time that a query was held up by what the store did beside it, right after a bulk load.

    Held up is the time in which the query's thread neither ran nor could have run: it waited for a lock, the
    interpreter or the disk. Waiting for a core of a busy machine does not count where the system tells it apart.
    """
    store = stage.fill()
    stage.tell("queries beside the making of the index")
    stage.ask(stage.query(0))
    held: list[float] = []
    taken: list[float] = []
    seen, begin = False, time.perf_counter()
    while (spent := time.perf_counter() - begin) < _MOST_SECONDS and (stage.building or spent < _LEAST_SECONDS):
        busy = stage.building
        wall, idle = _asked(stage, len(held))
        if busy:
            seen = True
            held.append(idle)
            taken.append(wall)
    assert store.count() == len(stage.data), "rows were lost while the index was made"
    name = "longest wait in building"
    if len(held) < _LEAST_QUERIES:
        note = "too few queries beside it" if seen else "no index was made beside queries"
        return [Figure("pause", name, unit="s", note=note)]
    return [
        Figure("pause", name, max(held), "s", target=_TARGET, ours=max(held), measured_in="s"),
        Figure(
            "pause",
            "query beside building",
            statistics.median(taken),
            "s",
            ours=statistics.median(taken),
            measured_in="s",
        ),
    ]


def _asked(stage: Stage, number: int) -> tuple[float, float]:
    """Return the seconds that one query took, and those in which its thread neither ran nor waited for a core."""
    queued, ran = waited_for_a_core(), time.thread_time()
    begin = time.perf_counter()
    stage.ask(stage.query(number))
    wall = time.perf_counter() - begin
    return wall, max(0.0, wall - (time.thread_time() - ran) - (waited_for_a_core() - queued))

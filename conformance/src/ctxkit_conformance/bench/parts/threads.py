"""Queries from several threads of one process."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from ctxkit_conformance.bench.figures import Figure, Target
from ctxkit_conformance.bench.stage import K, Stage
from ctxkit_conformance.bench.timing import quartiles

_THREADS: Final = 8
_SECONDS: Final = 0.3  # that one window takes, about
_TARGET: Final = Target(1.0, at_least=True)


def measure(stage: Stage) -> list[Figure]:
    """Return the ratio of our throughput to the raw library's, both from 8 threads."""
    raw, _ = stage.both()
    stage.tell(f"queries from {_THREADS} threads")
    ways: list[Callable[[int], object]] = [
        lambda number: stage.ask(stage.query(number)),
        lambda number: raw.query(stage.query(number)[None], K),
    ]
    with ThreadPoolExecutor(_THREADS) as pool:
        # The first windows give each thread what it keeps: a connection of its own, say.
        for way in ways:
            _throughput(pool, way, 2)
        each = max(2, int(_SECONDS * _throughput(pool, ways[1], 4) / _THREADS))
        rates: list[list[float]] = [[], []]
        for turn in range(max(1, stage.effort.rounds // 2)):
            for side in (0, 1) if turn % 2 else (1, 0):
                rates[side].append(_throughput(pool, ways[side], each))
    ratios = [ours / theirs for ours, theirs in zip(*rates, strict=True)]
    figure = Figure(
        "threads",
        f"throughput, {_THREADS} threads",
        statistics.median(ratios),
        target=_TARGET,
        spread=quartiles(ratios),
        ours=statistics.median(rates[0]),
        raw=statistics.median(rates[1]),
        measured_in="/s",
    )
    return [figure]


def _throughput(pool: ThreadPoolExecutor, way: Callable[[int], object], each: int) -> float:
    """Return queries a second when every thread makes `each`."""
    # Nobody begins before everybody is there, so no thread does the work of two.
    ready = threading.Barrier(_THREADS + 1)

    def work(first: int) -> None:
        ready.wait()
        for number in range(each):
            way(first * each + number)

    running = [pool.submit(work, number) for number in range(_THREADS)]
    ready.wait()
    begin = time.perf_counter()
    for each_of in running:
        each_of.result()
    return _THREADS * each / (time.perf_counter() - begin)

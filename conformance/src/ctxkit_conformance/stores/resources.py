"""Checks of what a store leaves behind, what it takes at once, and how fast it is beside plain numpy."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from ctxkit.errors import CtxkitError, InvalidRecordError
from ctxkit.interfaces import AsyncVectorStore, BackendConfig, CollectionSpec, VectorStore, asynchronous
from ctxkit.records import Metric, Record, RecordBatch
from ctxkit_conformance.children import Child
from ctxkit_conformance.marks import covers, not_applicable
from ctxkit_conformance.measurement import measure, p50_ms
from ctxkit_conformance.stores import clauses
from ctxkit_conformance.stores.base import DIMENSION, StoreChecks, fill

CYCLES: Final = 200
ASYNC_CYCLES: Final = 50
WARM_UP: Final = 20
SLACK: Final = 16 * 2**20  # bytes over all cycles that may be an allocator's, and no leak
BATCH: Final = 10_000

Act: TypeAlias = Callable[[type[VectorStore], type[AsyncVectorStore], BackendConfig, Metric], None]

_PROC: Final = Path("/proc/self")
_SETTLING: Final = 5.0  # seconds that threads have to end after a close


@dataclass(frozen=True)
class Usage:
    """What a process holds: descriptors, by what they lead to, threads, and bytes of memory."""

    descriptors: tuple[str, ...]
    threads: int
    memory: int


class ResourceChecks(StoreChecks):
    """Cycles of opening and closing in a process of their own, a large batch, and figures that no check judges."""

    tier = "T9"

    @covers(clauses.RESOURCES)
    def test_opening_and_closing_leaves_nothing_behind(self, config: BackendConfig, metric: Metric) -> None:
        """A failure means that a server which opens a store per request runs out of descriptors, threads or memory."""
        self._check_leaks(_cycle, CYCLES, config, metric)

    @covers(clauses.RESOURCES, clauses.ASYNC)
    def test_asynchronous_openings_leave_nothing_behind(self, config: BackendConfig, metric: Metric) -> None:
        """A failure means that the threads or connections behind the asynchronous face outlive its handles."""
        self._check_leaks(_async_cycle, ASYNC_CYCLES, config, metric)

    @covers(clauses.RESOURCES, clauses.MISMATCH)
    def test_failed_openings_leave_nothing_behind(self, config: BackendConfig, metric: Metric) -> None:
        """A failure means that a program which tries again and again to open a store dies of its own attempts."""
        self._check_leaks(_failure, CYCLES, config, metric)

    @covers(clauses.RESOURCES, clauses.ATOMIC)
    def test_ten_thousand_records_in_one_batch(self, config: BackendConfig, metric: Metric) -> None:
        """A failure means that a large import loses its tail, or that nobody is told how to split it."""
        ids = [f"r{i:05d}" for i in range(BATCH)]
        vectors = np.random.default_rng(10).normal(size=(BATCH, 16)).astype(np.float32)
        batch = RecordBatch(ids, vectors, [f"text {name}" for name in ids], [{"n": i} for i in range(BATCH)])
        with self.open(config, metric, 16) as store:
            limit = store.capabilities.max_batch
            if limit is not None and limit < BATCH:
                with pytest.raises(InvalidRecordError, match=str(limit)):
                    store.upsert(batch)
                assert store.count() == 0, "a part of a refused batch was written"
            fill(store, batch)
            assert store.count() == BATCH
            assert sum(1 for _ in store.scan()) == BATCH
            last = store.get(ids[-1:], include_vectors=True)
            assert last == [Record(ids[-1], f"text {ids[-1]}", vectors[-1], {"n": BATCH - 1})]
            hits = store.query(vectors[-1], 1)[0]
            assert hits.ids == ids[-1:] if store.capabilities.exact and metric != "dot" else len(hits) == 1

    @covers(clauses.RESOURCES, clauses.NEAREST)
    def test_speed_beside_plain_numpy(
        self, config: BackendConfig, metric: Metric, request: pytest.FixtureRequest
    ) -> None:
        """A failure means wrong answers on a collection of some size; the times are reported and judged by nobody."""
        rows, dimension, k = 4000, 128, 10
        rng = np.random.default_rng(11)
        vectors = rng.normal(size=(rows, dimension)).astype(np.float32)
        queries = rng.normal(size=(20, dimension)).astype(np.float32)
        ids = [f"r{i:04d}" for i in range(rows)]
        hundreds = [ids[start : start + 100] for start in range(0, 2000, 100)]
        with self.open(config, metric, dimension) as store:
            reference = _Numpy(ids, vectors, metric)
            ours = p50_ms([partial(fill, store, RecordBatch(ids, vectors))])
            _compared(request, "upsert", ours, p50_ms([partial(_Numpy, ids, vectors, metric)]), records=rows)
            ours = p50_ms(partial(store.query, query, k) for query in queries)
            _compared(request, "query", ours, p50_ms(partial(reference.query, query, k) for query in queries), k=k)
            ours = p50_ms(partial(store.get, each) for each in hundreds)
            _compared(request, "get", ours, p50_ms(partial(reference.get, each) for each in hundreds), records=100)
            found = [hits.ids for hits in store.query(queries, k)]
            expected = [reference.query(query, k) for query in queries]
            exact = store.capabilities.exact
        assert [len(answer) for answer in found] == [k] * len(queries)
        # Of two scores that float32 cannot tell apart, either may be the better one.
        agreed = np.mean([len(set(one) & set(other)) / k for one, other in zip(found, expected, strict=True)])
        assert agreed >= (0.99 if exact else 0.5), "the answers are not the nearest records"

    def _check_leaks(self, act: Act, cycles: int, config: BackendConfig, metric: Metric) -> None:
        if not (_PROC / "fd").is_dir() or not (_PROC / "statm").is_file():
            not_applicable(f"{sys.platform} has no /proc, where descriptors, threads and memory could be counted")
        with Child(_usage, act, cycles, self.store_class, self.async_class, config, metric) as child:
            before, after = child.receive(), child.receive()
        opened = sorted(set(after.descriptors) - set(before.descriptors))
        assert len(after.descriptors) <= len(before.descriptors), (
            f"{cycles} cycles leave descriptors open: {opened[:5]}"
        )
        assert after.threads <= before.threads, f"{cycles} cycles leave threads behind"
        grown = after.memory - before.memory
        assert grown <= SLACK, f"{cycles} cycles leave {grown / cycles / 1024:.0f} KiB each in memory"


def _usage(
    connection: Connection,
    act: Act,
    cycles: int,
    store_class: type[VectorStore],
    async_class: type[AsyncVectorStore] | None,
    config: BackendConfig,
    metric: Metric,
) -> None:
    """Send what the process holds after the first cycles and after all, in the child."""
    async_class = async_class or asynchronous(store_class)
    with store_class.open(_spec(metric), config) as store:
        fill(store, [Record(f"r{i}", "some text", [1, i, 0], {"n": i}) for i in range(50)])
    for _ in range(WARM_UP):
        act(store_class, async_class, config, metric)
    before = _held()
    connection.send(before)
    for _ in range(cycles):
        act(store_class, async_class, config, metric)
    after = _held()
    deadline = time.monotonic() + _SETTLING
    # A thread that was told to end may take its time.
    while after.threads > before.threads and time.monotonic() < deadline:
        time.sleep(0.05)
        after = _held()
    connection.send(after)


def _cycle(
    store_class: type[VectorStore], _async_class: type[AsyncVectorStore], config: BackendConfig, metric: Metric
) -> None:
    """Open, write, read in some ways, close."""
    with store_class.open(_spec(metric), config) as store:
        store.upsert([Record("again", "some text", [1, 0, 0], {"n": 1})])
        store.query([1, 2, 3], 3, where={"n": 1})
        next(iter(store.scan()))


def _async_cycle(
    _store_class: type[VectorStore], async_class: type[AsyncVectorStore], config: BackendConfig, metric: Metric
) -> None:
    """Do the same through the asynchronous face, three questions at once."""

    async def cycle() -> None:
        async with await async_class.open(_spec(metric), config) as store:
            await store.upsert([Record("again", "some text", [1, 0, 0], {"n": 1})])
            await asyncio.gather(*(store.query([1, 2, 3], 3, where={"n": 1}) for _ in range(3)))
            await store.scan().__anext__()

    asyncio.run(cycle())


def _failure(
    store_class: type[VectorStore], _async_class: type[AsyncVectorStore], config: BackendConfig, metric: Metric
) -> None:
    """Open what does not fit: another dimension, where the collection is still there, and an unknown option."""
    wrong = [_spec(metric, index_options={"no_such_option": 1})]
    if "c" in store_class.list_collections(config):
        wrong.append(_spec(metric, dimension=DIMENSION + 1))
    for spec in wrong:
        try:
            store_class.open(spec, config).close()
        except CtxkitError:
            continue
        raise AssertionError(f"{spec!r} was opened, which does not fit")


def _spec(metric: Metric, **more: Any) -> CollectionSpec:
    return CollectionSpec(**{"name": "c", "dimension": DIMENSION, "metric": metric, **more})


def _held() -> Usage:
    gc.collect()
    descriptors = []
    for entry in sorted((_PROC / "fd").iterdir()):
        with suppress(FileNotFoundError):  # the one that lists them
            descriptors.append(f"{entry.name} -> {entry.readlink()}")
    pages = int((_PROC / "statm").read_text("ascii").split()[1])
    threads = sum(1 for _ in (_PROC / "task").iterdir())
    return Usage(tuple(descriptors), threads, pages * os.sysconf("SC_PAGE_SIZE"))


class _Numpy:
    """The plainest store there is: an array that is searched whole, and a dict."""

    def __init__(self, ids: list[str], vectors: npt.NDArray[np.float32], metric: Metric) -> None:
        self._ids = np.array(ids)
        self._vectors = vectors.copy()
        self._norms = np.linalg.norm(vectors, axis=1)
        self._rows = {name: row for row, name in enumerate(ids)}
        self._metric = metric

    def query(self, query: npt.NDArray[np.float32], k: int) -> list[str]:
        """Return the ids of the k nearest."""
        if self._metric == "l2":
            scores = -np.linalg.norm(self._vectors - query, axis=1)
        else:
            scores = self._vectors @ query
            scores = scores if self._metric == "dot" else scores / self._norms
        best = np.argpartition(-scores, k)[:k]
        return [str(name) for name in self._ids[best[np.argsort(-scores[best])]]]

    def get(self, ids: list[str]) -> list[npt.NDArray[np.float32]]:
        """Return the vectors of these ids."""
        return [self._vectors[self._rows[name]] for name in ids]


def _compared(request: pytest.FixtureRequest, what: str, ours: float, numpys: float, **more: int) -> None:
    """Report how long the store takes, in milliseconds, and how many times as long as plain numpy that is."""
    measure(request, "speed", what=what, ratio=round(ours / max(numpys, 1e-6), 3), p50_ms=round(ours, 4), **more)

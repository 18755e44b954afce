"""Checks of what only the asynchronous face promises: a free loop, calls that may be cancelled, calls at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import pytest
from typing_extensions import Self

from ctxkit.errors import CtxkitError, StoreClosedError
from ctxkit.interfaces import AsyncVectorStore, BackendConfig, Capabilities, CollectionSpec, Harness
from ctxkit.records import Hits, Metric, Record, RecordBatch
from ctxkit_conformance.effort import Effort
from ctxkit_conformance.marks import covers
from ctxkit_conformance.stores import clauses
from ctxkit_conformance.stores.base import DIMENSION, StoreChecks, fill

LEAST_BEATS: Final = 3  # turns of the loop during a call; one that blocks leaves it none, or the one that it yields
ROUNDS: Final = 3  # in each of which a call has to leave the loop too few turns before that is held against it
SHORT: Final = 0.02  # seconds in which a call cannot do any harm, so that one turn is enough

Call: TypeAlias = Callable[[AsyncVectorStore], Coroutine[Any, Any, object]]


class AsyncChecks(StoreChecks):
    """The checks of other groups say whether the answers are right; these say what happens around them."""

    tier = "T8"

    @covers(clauses.ASYNC, clauses.CAPABILITIES)
    def test_native_async_is_what_is_announced(
        self, config: BackendConfig, declared: Capabilities, metric: Metric
    ) -> None:
        """A failure means that an application picks a backend for an asynchronous driver that it does not have."""
        own = self.async_class
        assert declared.native_async == (own is not None), (
            f"native_async is {declared.native_async}, and the asynchronous class is {own and own.__name__}"
        )
        with self.open(config, metric) as plain:
            backend = plain.backend

        async def check() -> tuple[object, ...]:
            async with self._opened(config, metric) as store:
                return store.capabilities, store.spec, store.backend

        expected = (declared, CollectionSpec(name="c", dimension=DIMENSION, metric=metric), backend)
        assert self._run(check) == expected

    @covers(clauses.ASYNC)
    def test_the_loop_goes_on_during_a_call(self, config: BackendConfig, metric: Metric) -> None:
        """A failure means that one search or import of one user makes every other user of the program wait."""
        dimension, rng = 64, np.random.default_rng(8)
        ids = [f"r{i}" for i in range(3000)]
        vectors, queries = rng.normal(size=(3000, dimension)), rng.normal(size=(200, dimension))
        batch = RecordBatch(ids, vectors, [f"some words of {name}" for name in ids], [{"n": 1}] * 3000)
        calls: dict[str, Call] = {
            "upsert": lambda store: _fill(store, batch),
            "query": lambda store: store.query(queries, 100),
            "get": lambda store: store.get(ids, include_vectors=True),
            "scan": lambda store: _ids(store.scan(include_vectors=True)),
            "text_query": lambda store: store.text_query("words", 3000),
            "optimize": lambda store: store.optimize(),
            "health": lambda store: store.health(),
            "delete": lambda store: store.delete(where={"n": 1}),
        }

        async def check() -> dict[str, int]:
            blocked: dict[str, int] = {}
            async with self._opened(config, metric, dimension) as store, Heart() as heart:
                if store.capabilities.text_search is None:
                    del calls["text_query"]
                suspects = set(calls)
                for _ in range(ROUNDS):
                    blocked = {name: await heart.during(call(store)) for name, call in calls.items()}
                    suspects = {name for name in suspects if blocked[name] < LEAST_BEATS}
                    assert await store.count() == 0
                    if not suspects:
                        break
            return {name: beats for name, beats in blocked.items() if name in suspects}

        assert self._run(check) == {}, "how often the loop went round while these calls worked: they block it"

    @covers(clauses.ASYNC)
    def test_cancelled_calls_leave_the_store_usable(
        self, config: BackendConfig, metric: Metric, effort: Effort, rng: np.random.Generator
    ) -> None:
        """A failure means that one request that timed out blocks, or damages, the store of the whole program."""
        kept = [Record(f"kept{i}", "kept", [1, i, 0], {"kept": True}) for i in range(300)]
        batches = [
            [Record(f"b{number}.{i}", "late", [0, 1, i + 1.0]) for i in range(20)] for number in range(effort.times(12))
        ]
        calls: list[Call] = [
            lambda store: store.query([[1, 2, 3]] * 50, 300),
            lambda store: store.get([record.id for record in kept]),
            lambda store: _ids(store.scan()),
            lambda store: store.count({"kept": True}),
            lambda store: store.delete(where={"kept": False}),
        ]

        async def check() -> None:
            async with self._opened(config, metric) as store:
                await _fill(store, kept)
                for number, batch in enumerate(batches):
                    turns = int(rng.integers(0, 40))
                    await _cancelled_after(turns, store.upsert(batch), calls[number % len(calls)](store))
                assert await store.count({"kept": True}) == len(kept), "the store forgot records after a cancellation"
                await store.upsert([Record("after", "after", [0, 0, 1])])
                found = await store.get(["after", "kept7"])
                assert [record and record.id for record in found] == ["after", "kept7"]
                assert len((await store.query([1, 2, 3], 5))[0]) == 5
                scanned = set(await _ids(store.scan()))
                for batch in batches:
                    there = [record.id in scanned for record in batch]
                    assert len(set(there)) == 1, "a cancelled write left a part of its batch"
                assert scanned >= {"after", *(record.id for record in kept)}

        self._run(check)

    @covers(clauses.ASYNC)
    def test_gathered_calls_answer_their_own_questions(self, config: BackendConfig, metric: Metric) -> None:
        """A failure means that one user of a server is shown what another one asked for."""
        count = 36
        angles = np.arange(count) * (np.pi / count)
        vectors = np.stack([np.cos(angles), np.sin(angles), np.zeros(count)], axis=1)
        # One of the first size, two of the second, and so on: each size is a number of records.
        sizes = [size for size in range(1, 9) for _ in range(size)]
        records = [
            Record(f"r{i}", f"word{i}", vector, {"n": i, "size": size})
            for i, (size, vector) in enumerate(zip(sizes, vectors, strict=True))
        ]

        async def answers(store: AsyncVectorStore, i: int) -> tuple[object, ...]:
            hits, got, number, scanned = await asyncio.gather(
                store.query(vectors[i], 1, where={"n": i}),
                store.get([f"r{i}"]),
                store.count({"size": sizes[i]}),
                _ids(store.scan({"n": i})),
            )
            return hits[0].ids, [record and record.text for record in got], number, scanned

        async def check() -> list[tuple[object, ...]]:
            async with self._opened(config, metric) as store:
                await asyncio.gather(*(store.upsert([record]) for record in records))
                assert await store.count() == count, "of writes that were gathered some are lost"
                return list(await asyncio.gather(*(answers(store, i) for i in range(count))))

        assert self._run(check) == [([f"r{i}"], [f"word{i}"], sizes[i], [f"r{i}"]) for i in range(count)]

    @covers(clauses.ASYNC, clauses.CLOSING)
    def test_closing_while_calls_are_under_way(
        self, config: BackendConfig, declared: Capabilities, metric: Metric
    ) -> None:
        """A failure means that a program that shuts down crashes, hangs, or loses what was acknowledged."""
        batches = [[Record(f"{number}.{i}", "", [1, i, number]) for i in range(10)] for number in range(30)]

        async def check() -> list[str]:
            async with self._opened(config, metric) as store:
                await _fill(store, [record for batch in batches[:20] for record in batch])
                writes = [asyncio.create_task(store.upsert(batch)) for batch in batches[20:]]
                reads = [asyncio.create_task(store.query([[1, 2, 3]] * 20, 200)) for _ in range(8)]
                steps = [asyncio.create_task(_ids(store.scan())) for _ in range(4)]
                await asyncio.sleep(0)
                await asyncio.gather(store.close(), store.close())
                ended = await asyncio.gather(*writes, *reads, *steps, return_exceptions=True)
                wrong = [each for each in ended if isinstance(each, BaseException)]
                wrong = [each for each in wrong if not isinstance(each, StoreClosedError)]
                assert wrong == [], "a call that a closing overtook has to end well or raise StoreClosedError"
                await store.close()
                for call in (store.count(), store.query([1, 2, 3], 1), store.upsert(batches[0]), _ids(store.scan())):
                    with pytest.raises(StoreClosedError):
                        await call
                return [
                    batch[0].id.partition(".")[0]
                    for batch, result in zip(batches[20:], ended, strict=False)
                    if result is None
                ]

        acknowledged = self._run(check)
        if declared.persistent:
            with self.open(config, metric) as store:
                found = {record.id for record in store.scan()}
                expected = {record.id for batch in batches[:20] for record in batch}
                expected |= {f"{number}.{i}" for number in acknowledged for i in range(10)}
                assert expected <= found, "an acknowledged write is gone after closing"
                assert all(sum(record.id in found for record in batch) in {0, 10} for batch in batches)

    @covers(clauses.ASYNC, clauses.ERRORS)
    def test_errors_are_those_of_the_synchronous_face(
        self, harness: Harness, config: BackendConfig, metric: Metric, tmp_path: Path
    ) -> None:
        """A failure means that code which handles a backend's errors does not handle those of its asynchronous face."""
        bad: list[Call] = [
            lambda store: store.query([1, 0], 1),
            lambda store: store.query([1, 0, 0], 0),
            lambda store: store.query([1, 0, 0], 1, where={"$nope": 1}),
            lambda store: store.upsert([Record("", "", [1, 0, 0])]),
            lambda store: store.get([1]),  # type: ignore[list-item]
            lambda store: store.delete(),
            lambda store: store.delete(where={}),
            lambda store: _ids(store.scan(limit=-1)),
            lambda store: type(store).describe_collection(config, "nobody"),
            lambda store: type(store).drop_collection(config, "nobody"),
            lambda store: type(store).open(CollectionSpec(dimension=3, metric=metric), _ForeignConfig()),
        ]
        other = harness.fresh(tmp_path / "other")

        async def check() -> list[tuple[object, ...]]:
            async with self._opened(other, metric) as store:
                return [await _error(call(store)) for call in bad]

        with self.open(config, metric) as plain:
            synchronous: list[Callable[[], object]] = [
                lambda: plain.query([1, 0], 1),
                lambda: plain.query([1, 0, 0], 0),
                lambda: plain.query([1, 0, 0], 1, where={"$nope": 1}),
                lambda: plain.upsert([Record("", "", [1, 0, 0])]),
                lambda: plain.get([1]),  # type: ignore[list-item]
                plain.delete,
                lambda: plain.delete(where={}),
                lambda: list(plain.scan(limit=-1)),
                lambda: self.store_class.describe_collection(config, "nobody"),
                lambda: self.store_class.drop_collection(config, "nobody"),
                lambda: self.open_spec(CollectionSpec(dimension=3, metric=metric), _ForeignConfig()),
            ]
            expected = [_raised(call) for call in synchronous]
        assert self._run(check) == expected

    @covers(clauses.ASYNC, clauses.ORDER)
    def test_both_faces_answer_alike(
        self, harness: Harness, config: BackendConfig, metric: Metric, tmp_path: Path
    ) -> None:
        """A failure means that a program that moves to the asynchronous face gets other records, or another order."""
        rng = np.random.default_rng(9)
        vectors = np.repeat(rng.normal(size=(100, DIMENSION)), 3, axis=0)  # each three times: equal scores
        records = [
            Record(f"r{i * 7 % 300:03d}", f"word{i % 9} all", vector, {"n": i % 9, "odd": i % 2 == 1})
            for i, vector in enumerate(vectors)
        ]
        queries = rng.normal(size=(8, DIMENSION))

        async def check() -> tuple[object, ...]:
            async with self._opened(harness.fresh(tmp_path / "other"), metric) as store:
                await _fill(store, records)
                hits = await store.query(queries, 20)
                few = await store.query(queries, 20, where={"n": 7}, min_score=0.1, include_vectors=True)
                words = await store.text_query("word3", 50) if store.capabilities.text_search else Hits()
                ordered = store.capabilities.ordered_scan
                up = await _ids(store.scan(order_by="n", descending=True, limit=99)) if ordered else []
                every = sorted(await _ids(store.scan({"odd": True}, include_vectors=True)))
                return [*map(_shown, hits), *map(_shown, few)], _shown(words), up, every, await store.count({"n": 1})

        with self.open(config, metric) as plain:
            fill(plain, records)
            found = plain.query(queries, 20)
            filtered = plain.query(queries, 20, where={"n": 7}, min_score=0.1, include_vectors=True)
            text = plain.text_query("word3", 50) if plain.capabilities.text_search else Hits()
            scanned: list[str] = []
            if plain.capabilities.ordered_scan:
                scanned = [record.id for record in plain.scan(order_by="n", descending=True, limit=99)]
            every = sorted(record.id for record in plain.scan({"odd": True}, include_vectors=True))
            expected = (
                [*map(_shown, found), *map(_shown, filtered)],
                _shown(text),
                scanned,
                every,
                plain.count({"n": 1}),
            )
            exact = plain.capabilities.exact
        assert len(every) > 100
        got = self._run(check)
        # Two approximate indexes over the same records may propose different near ties.
        assert got == expected if exact else got[1:] == expected[1:]

    def _run(self, check: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run a check in a loop of its own; one that hangs fails."""

        async def bounded() -> Any:
            running = asyncio.ensure_future(check())
            done, _ = await asyncio.wait({running}, timeout=self.patience)
            if not done:
                running.cancel()
                await asyncio.wait({running}, timeout=1)
            assert done, f"a call hangs: there is no answer within {self.patience:g} s"
            return running.result()

        return asyncio.run(bounded())

    @asynccontextmanager
    async def _opened(
        self, config: BackendConfig, metric: Metric, dimension: int = DIMENSION
    ) -> AsyncIterator[AsyncVectorStore]:
        """Open the collection "c" through the asynchronous face."""
        spec = CollectionSpec(name="c", dimension=dimension, metric=metric)
        self._journal.note(f"store = await {self.async_face.__name__}.open({spec!r}, config)")
        store = await self.async_face.open(spec, config)
        async with store:
            yield store


class Heart:
    """A task that counts how often the loop goes round."""

    def __init__(self) -> None:
        self.beats = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._beat())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_details: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def during(self, call: Coroutine[Any, Any, object]) -> int:
        """Return how often the loop goes round during a call; for a short one, once is as good as often."""
        before, begun = self.beats, time.perf_counter()
        await call
        beats = self.beats - before
        return max(beats, LEAST_BEATS) if beats and time.perf_counter() - begun < SHORT else beats

    async def _beat(self) -> None:
        while True:
            self.beats += 1
            await asyncio.sleep(0)


class _ForeignConfig(BackendConfig):
    """A configuration that no backend knows."""


async def _cancelled_after(turns: int, *calls: Coroutine[Any, Any, object]) -> None:
    """Start calls, let the loop go round some times, cancel them, and wait until they have ended."""
    tasks = [asyncio.create_task(call) for call in calls]
    for _ in range(turns):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, BaseException) and not isinstance(ended, asyncio.CancelledError):
            raise ended


async def _fill(store: AsyncVectorStore, records: list[Record] | RecordBatch) -> None:
    """Write many records, in batches that the store declares to take."""
    limit = store.capabilities.max_batch
    if limit is None:
        await store.upsert(records)
        return
    rows = list(records)
    for start in range(0, len(rows), limit):
        await store.upsert(rows[start : start + limit])


async def _ids(records: AsyncIterator[Record]) -> list[str]:
    return [record.id async for record in records]


async def _error(call: Awaitable[object]) -> tuple[object, ...]:
    try:
        await call
    except Exception as error:  # noqa: BLE001 - of whatever type it is, it is compared
        return _identity(error)
    return ("nothing was raised",)


def _raised(call: Callable[[], object]) -> tuple[object, ...]:
    try:
        call()
    except CtxkitError as error:
        return _identity(error)
    return ("nothing was raised",)


def _identity(error: Exception) -> tuple[object, ...]:
    if not isinstance(error, CtxkitError):
        return type(error), str(error)
    return type(error), error.backend, error.collection, bool(error.fix)


def _shown(hits: Hits) -> list[tuple[object, ...]]:
    return [(hit.id, hit.score, hit.text, hit.metadata) for hit in hits]

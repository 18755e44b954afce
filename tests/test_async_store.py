"""The asynchronous face of a store: the same answers and errors, and a loop that goes on."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gated_store import CALLS, METHODS, PATIENCE, SPEC, Gate, gated, threads_of, until
from typing_extensions import Self

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import (
    CollectionNotFoundError,
    DimensionMismatchError,
    InvalidQueryError,
    InvalidRecordError,
    PluginLoadError,
)
from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import (
    BackendConfig,
    BackendSpec,
    Capabilities,
    CollectionSpec,
    ExecutorVectorStore,
    asynchronous,
)
from ctxkit.plugins import PluginRegistry
from ctxkit.records import Hits, Record, RecordBatch

AsyncExact = asynchronous(ExactStore)
user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")


def shown(hits: Hits) -> list[object]:
    """Return hits as values that can be compared."""
    return [(hit.id, hit.score, hit.text, hit.metadata, hit.metric, np.asarray(hit.vector).tolist()) for hit in hits]


def filled(store: ExactStore, count: int = 700) -> None:
    """Write some records."""
    vectors = np.random.default_rng(0).normal(size=(count, 3))
    metadata = [{"n": i % 7, "even": i % 2 == 0} for i in range(count)]
    store.upsert(RecordBatch([f"r{i}" for i in range(count)], vectors, [f"word {i}" for i in range(count)], metadata))


def test_both_faces_answer_alike(tmp_path: Path) -> None:
    """Every method passes its arguments and its answer through, on one directory."""
    config = ExactConfig(path=tmp_path / "stores")
    query: list[list[float]] = [[1, 2, 3], [-1, 0, 2]]
    options: dict[str, Any] = {"where": {"even": True}, "min_score": 0.2, "include_vectors": True}
    scanned: dict[str, Any] = {"order_by": "n", "descending": True, "limit": 600, "include_vectors": True}

    async def check() -> None:
        with ExactStore.open(SPEC, config) as plain:
            filled(plain)
            async with await AsyncExact.open(SPEC, config) as store:
                assert (store.spec, store.capabilities, store.backend) == (plain.spec, plain.capabilities, "exact")
                hits = await store.query(query, 9, **options)
                assert list(map(shown, hits)) == list(map(shown, plain.query(query, 9, **options)))
                assert len(hits[0]) == 9
                ids = ["r1", "x", "r1"]
                assert await store.get(ids, include_vectors=True) == plain.get(ids, include_vectors=True)
                assert await store.count({"n": 3}) == plain.count({"n": 3}) == 100
                found = await store.text_query("word", 5, where={"n": 1})
                assert shown(found) == shown(plain.text_query("word", 5, where={"n": 1}))
                records = [record async for record in store.scan({"even": True}, **scanned)]
                assert records == list(plain.scan({"even": True}, **scanned))
                assert len(records) == 350
                assert [record.id async for record in store.scan()] == [record.id for record in plain.scan()]
                assert await store.delete(["r1", "r2"], where={"even": True}) == 1
                await store.upsert([Record("new", "", [0, 0, 1])])
                assert plain.get(["r2", "new"]) == [None, Record("new")]
                await store.flush()
                await store.optimize()
                assert (await store.stats()).rows == plain.stats().rows == 700
                assert (await store.health()).ok
        assert await AsyncExact.list_collections(config) == ["c"]
        assert await AsyncExact.describe_collection(config, "c") == SPEC
        await AsyncExact.drop_collection(config, "c")
        assert await AsyncExact.list_collections(config) == []
        assert threads_of("exact") == []

    asyncio.run(check())


def test_errors_come_through(tmp_path: Path) -> None:
    """Whoever awaits a call gets the very error that the synchronous face raises; the handle goes on."""
    config = ExactConfig(path=tmp_path / "stores")

    async def check() -> None:
        async with await AsyncExact.open(SPEC, config) as store:
            with pytest.raises(InvalidRecordError) as caught:
                await store.upsert([Record("", "", [1, 0, 0])])
            assert caught.value.fix
            with pytest.raises(InvalidQueryError):
                await store.query([1, 0], 1)
            with pytest.raises(InvalidQueryError):
                _ = [record async for record in store.scan(limit=-1)]
            with pytest.raises(DimensionMismatchError):
                await AsyncExact.open(CollectionSpec(name="c", dimension=4), config)
            with pytest.raises(CollectionNotFoundError):
                await AsyncExact.describe_collection(config, "nobody")
            assert await store.count() == 0
        assert threads_of("exact") == []

    asyncio.run(check())


@pytest.mark.parametrize("name", METHODS)
def test_the_loop_goes_on_during_a_call(name: str) -> None:
    """While a call waits in its thread, a task of the loop runs, and it is that task that lets the call go."""

    async def check() -> list[str]:
        async with gated() as (store, gate):
            gate.opened.clear()

            async def heart() -> None:
                await until(lambda: f"{name} came" in gate.events)
                gate.events.append("the loop went on")
                gate.opened.set()

            beating = asyncio.create_task(heart())
            await CALLS[name](store)
            await beating
            return gate.events[:3]

    assert asyncio.run(check()) == [f"{name} came", "the loop went on", f"{name} went"]


def test_scans_and_openings_leave_the_loop_free() -> None:
    """So do the steps of a scan, and the calls that belong to no handle."""
    gate = Gate.fresh(wide_open=False)

    class Slow(gate):  # type: ignore[valid-type, misc]
        """Waits where a generator or a classmethod can."""

        @classmethod
        def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
            """Wait, then open."""
            cls.passing("open")
            return super().open(spec, config)  # type: ignore[no-any-return]

        @classmethod
        def list_collections(cls, config: BackendConfig) -> list[str]:
            """Wait, then list."""
            cls.passing("list")
            return super().list_collections(config)  # type: ignore[no-any-return]

        def scan(self, *arguments: Any, **options: Any) -> Iterator[Record]:
            """Wait, then scan."""
            self.passing("scan")
            yield from super().scan(*arguments, **options)

    async def during(call: Coroutine[Any, Any, Any], name: str) -> Any:
        gate.opened.clear()
        running = asyncio.create_task(call)
        await until(lambda: f"{name} came" in gate.events)
        gate.opened.set()
        return await running

    async def check() -> None:
        face = asynchronous(Slow)
        assert await during(face.list_collections(ExactConfig()), "list") == []
        store = await during(face.open(SPEC, ExactConfig()), "open")
        async with store:
            await store.upsert([Record("a", "", [1, 0, 0])])
            records = store.scan()
            assert (await during(anext(records), "scan")).id == "a"

    asyncio.run(check())


def test_a_scan_goes_on_after_a_cancelled_step(tmp_path: Path) -> None:
    """A step that timed out loses no record and repeats none, and two tasks may share a scan."""
    steps = threading.Semaphore(0)

    class Slow(ExactStore):
        """Lets one page through for each permit."""

        def scan(self, *arguments: Any, **options: Any) -> Iterator[Record]:
            """Wait before the first record of each page."""
            for place, record in enumerate(super().scan(*arguments, **options)):
                if place % 256 == 0:
                    assert steps.acquire(timeout=PATIENCE)
                yield record

    async def taken(records: AsyncIterator[Record]) -> list[str]:
        return [record.id async for record in records]

    async def check() -> None:
        async with await asynchronous(Slow).open(SPEC, ExactConfig(path=tmp_path / "stores")) as store:
            vectors = np.ones((700, 3))
            await store.upsert(RecordBatch([f"r{i}" for i in range(700)], vectors))
            records = store.scan()
            for _ in range(2):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(anext(records), 0.01)
            for _ in range(3):
                steps.release()
            one, two = await asyncio.gather(taken(records), taken(records))
            assert sorted(one + two) == sorted(f"r{i}" for i in range(700))
            steps.release()
            assert (await anext(store.scan())).id == "r0"

    asyncio.run(check())


def test_the_caller_s_context_is_seen() -> None:
    """Tracing and the like, which live in context variables, reach the thread."""
    seen: list[str] = []

    class Curious(ExactStore):
        """Looks who is calling."""

        def count(self, where: Any = None) -> int:
            """Look, then count."""
            seen.append(user.get())
            return super().count(where)

    async def count(store: ExecutorVectorStore, name: str) -> None:
        user.set(name)
        await store.count()

    async def check() -> None:
        async with await asynchronous(Curious).open(SPEC, ExactConfig()) as store:
            await asyncio.gather(*(count(store, name) for name in ("ann", "ben")))

    asyncio.run(check())
    assert sorted(seen) == ["ann", "ben"]


def test_an_open_store_can_be_wrapped() -> None:
    """Whoever has a store takes it to the loop."""

    async def check() -> None:
        async with ExecutorVectorStore(ExactStore.open(SPEC, ExactConfig())) as store:
            assert repr(store) == "ExecutorVectorStore(ExactStore('c', 3 x cosine, in memory))"
            await store.upsert([Record("a", "", [1, 0, 0])])
            assert await store.count() == 1
        assert threads_of("exact") == []

    asyncio.run(check())


class OwnAsync(AsyncExact):  # type: ignore[valid-type, misc]
    """An asynchronous class that a plugin names."""


def registry(**announced: Any) -> PluginRegistry:
    """Return a registry with one vector store."""
    spec = BackendSpec(
        name="acme",
        factory="ctxkit.defaults.exact:ExactStore",
        config="ctxkit.defaults.exact:ExactConfig",
        summary="a store",
        capabilities=Capabilities(metrics=frozenset({"cosine"}), exact=True),
        **announced,
    )

    def announce() -> Sequence[BackendSpec]:
        return [spec]

    found = PluginRegistry()
    found.register(SimpleNamespace(ctxkit_vector_stores=hookimpl(announce, specname=None)), name="acme")
    return found


def test_the_registry_opens_the_face_that_is_announced(tmp_path: Path) -> None:
    """A backend's own asynchronous class where it has one, its synchronous one in threads otherwise."""
    module = sys.modules[__name__].__name__

    async def check() -> None:
        config = {"path": tmp_path / "stores"}
        async with await registry().open_store_async("acme", SPEC, config) as store:
            assert type(store).__name__ == "AsyncExactStore"
            await store.upsert([Record("a", "", [1, 0, 0])])
        async with await registry(async_factory=f"{module}:OwnAsync").open_store_async("acme", SPEC, config) as store:
            assert type(store) is OwnAsync
            assert await store.count() == 1
        with pytest.raises(PluginLoadError, match=r"is not a subclass of .*AsyncVectorStore"):
            await registry(async_factory="ctxkit.defaults.exact:ExactStore").open_store_async("acme", SPEC)
        with pytest.raises(PluginLoadError, match="does not implement capabilities, close"):
            await registry(async_factory="ctxkit.interfaces:AsyncVectorStore").open_store_async("acme", SPEC)

    asyncio.run(check())

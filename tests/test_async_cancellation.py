"""Asynchronous calls that are cancelled, have to wait for their turn, or are under way when the store is closed."""

from __future__ import annotations

import asyncio

import pytest
from gated_store import CALLS, SPEC, Gate, assert_ends, gated, threads_of, until
from typing_extensions import Self

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import (
    StoreClosedError,
    StoreFullError,
)
from ctxkit.interfaces import (
    BackendConfig,
    CollectionSpec,
    ExecutorVectorStore,
    asynchronous,
)
from ctxkit.records import Record


def test_a_cancelled_call_leaves_the_store_usable() -> None:
    """It ends in its thread, what it brings is dropped, and a write of it is there whole."""

    async def check() -> None:
        async with gated() as (store, gate):
            gate.opened.clear()
            calls = [asyncio.create_task(CALLS[name](store)) for name in ("upsert", "query", "get")]
            await until(lambda: gate.inside[0] == len(calls))
            for call in calls:
                call.cancel()
            assert [type(each) for each in await asyncio.gather(*calls, return_exceptions=True)] == [
                asyncio.CancelledError
            ] * len(calls)
            gate.opened.set()
            assert await store.count() in {0, 1}
            await store.upsert([Record("b", "", [0, 1, 0])])
            assert [record and record.id for record in await store.get(["a", "b"])] == ["a", "b"]

    asyncio.run(check())


def test_a_cancelled_write_never_overtakes_a_later_one() -> None:
    """A caller whose write timed out writes anew, and that is what stays."""

    async def check() -> None:
        async with gated() as (store, gate):
            gate.opened.clear()
            first = asyncio.create_task(store.upsert([Record("a", "old", [1, 0, 0])]))
            await until(lambda: gate.inside[0] == 1)
            first.cancel()
            second = asyncio.create_task(store.upsert([Record("a", "new", [1, 0, 0])]))
            third = asyncio.create_task(store.delete(["nobody"]))
            await asyncio.sleep(0)
            gate.opened.set()
            await asyncio.gather(second, third)
            assert [event for event in gate.events if event.endswith("went")] == [
                "upsert went",
                "upsert went",
                "delete went",
            ]
            assert gate.inside[1] == 1, "writes were in threads at once"
            assert [record and record.text for record in await store.get(["a"])] == ["new"]

    asyncio.run(check())


def test_waiting_calls_are_bounded_and_leave_when_cancelled() -> None:
    """No more calls than threads are in one; a call that is cancelled before its turn never reaches the store."""

    async def check() -> None:
        async with gated(threads=2) as (store, gate):
            gate.opened.clear()
            calls = [asyncio.create_task(store.count()) for _ in range(20)]
            await until(lambda: gate.inside[0] == 2)
            for call in calls[10:]:
                call.cancel()
            gate.opened.set()
            assert await asyncio.gather(*calls[:10]) == [0] * 10
            assert gate.inside[1] == 2
            assert gate.events.count("count came") == 10
            assert all(call.cancelled() for call in calls[10:])

    asyncio.run(check())


def test_closing_waits_for_calls_in_their_threads() -> None:
    """They get their answers; those that wait for a turn and those that come later are refused."""

    async def check() -> None:
        async with gated(threads=2) as (store, gate):
            gate.opened.clear()
            running = [asyncio.create_task(store.get(["a"])) for _ in range(2)]
            await until(lambda: gate.inside[0] == 2)
            waiting = [asyncio.create_task(store.count()), asyncio.create_task(CALLS["upsert"](store))]
            await asyncio.sleep(0)
            closing = [asyncio.create_task(store.close()) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(StoreClosedError) as caught:
                await store.count()
            assert (caught.value.backend, caught.value.collection) == ("gate", "c")
            assert "close came" not in gate.events
            gate.opened.set()
            assert await asyncio.gather(*running) == [[None], [None]]
            refused = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(error) for error in refused] == [StoreClosedError] * 2
            await asyncio.gather(*closing)
            await store.close()
            assert gate.events.count("close went") == 1
            assert "count came" not in gate.events
            with pytest.raises(StoreClosedError):
                _ = [record async for record in store.scan()]
        assert threads_of("gate") == []

    asyncio.run(check())


def test_a_cancelled_close_closes() -> None:
    """Whoever stops waiting for it does not leave the store open."""

    async def check() -> None:
        async with gated() as (store, gate):
            gate.opened.clear()
            closing = asyncio.create_task(store.close())
            await until(lambda: "close came" in gate.events)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            gate.opened.set()
            await store.close()
            assert gate.events == ["close came", "close went"]

    asyncio.run(check())


def test_what_close_raises_reaches_the_caller() -> None:
    """Of every caller, and the threads end."""

    class Full(ExactStore):
        """Cannot write its last words."""

        backend = "full"

        def close(self) -> None:
            """Close, then complain."""
            super().close()
            raise StoreFullError("no room.", fix="make some.")

    async def check() -> None:
        store = await asynchronous(Full).open(SPEC, ExactConfig())
        for _ in range(2):
            with pytest.raises(StoreFullError):
                await store.close()

    asyncio.run(check())
    assert_ends("full")


def test_a_cancelled_opening_is_closed() -> None:
    """A store that opens after its opener left is closed again."""
    gate = Gate.fresh(wide_open=False)

    class Late(gate):  # type: ignore[valid-type, misc]
        """Takes its time to open."""

        @classmethod
        def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
            """Wait, then open."""
            cls.passing("open")
            return super().open(spec, config)  # type: ignore[no-any-return]

    async def check() -> None:
        opening = asyncio.create_task(asynchronous(Late).open(SPEC, ExactConfig()))
        await until(lambda: gate.inside[0] == 1)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        gate.opened.set()

    asyncio.run(check())
    assert_ends("gate")
    assert gate.events == ["open came", "open went", "close came", "close went"]


def test_a_loop_may_end_before_a_call() -> None:
    """A program that ends while a call is in its thread gets no error from it."""
    gate = Gate.fresh(wide_open=False)
    stores: list[ExecutorVectorStore] = []

    async def check() -> None:
        stores.append(await asynchronous(gate).open(SPEC, ExactConfig()))
        counting = asyncio.create_task(stores[0].count())
        await until(lambda: gate.inside[0] == 1)
        assert not counting.done()

    asyncio.run(check())
    gate.opened.set()
    asyncio.run(stores[0].close())
    assert gate.events == ["count came", "count went", "close came", "close went"]
    assert threads_of("gate") == []

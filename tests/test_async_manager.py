"""The awaitable face of memory: overlapping, in order, whole after a cancellation, and the same as the other one."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from components import Faults, FaultyEmbedder, WordEmbedder, config, registry
from gated_store import assert_ends, until

from ctxkit import AsyncContextManager, Config, ContextManager
from ctxkit.errors import ConfigError, InvalidQueryError, StoreClosedError
from ctxkit.records import FloatVector

REGISTRY = registry()
# These say what the memory is and neither wait nor compute; `renew` is for forked children.
PLAIN = {"config", "path", "short_term_memory", "long_term_memory", "renew"}


@pytest.fixture
def faults() -> Iterator[Faults]:
    """Fresh faults for one test; whatever hangs is let go at its end."""
    FaultyEmbedder.faults = Faults()
    yield FaultyEmbedder.faults
    FaultyEmbedder.faults.release.set()


def test_every_method_has_an_awaitable_twin_with_the_same_arguments() -> None:
    """What the synchronous face can do, the other one can, by the same names."""
    names = [name for name in dir(ContextManager) if not name.startswith("_") and name not in PLAIN]
    assert len(names) > 10
    for name in names:
        method, twin = getattr(ContextManager, name), getattr(AsyncContextManager, name)
        assert inspect.iscoroutinefunction(twin), name
        assert inspect.signature(twin) == inspect.signature(method) or name == "close", name
        assert twin.__doc__, name


def test_both_faces_answer_alike(tmp_path: Path) -> None:
    """What one wrote, the other finds, in the same words."""

    async def written() -> tuple[str, list[tuple[str, float]]]:
        async with await AsyncContextManager.open(config(), path=tmp_path, registry=REGISTRY, user_id="maren") as cm:
            assert cm.path == tmp_path
            assert isinstance(cm.config, Config)
            await cm.observe("The tiler comes on Thursday.", "Noted.")
            await cm.add_memory("The grout dries for a day.")
            assert len(cm.short_term_memory.turns) == 1
            assert len(cm.long_term_memory.entries) == 1
            return await cm.build_context_async("When does the tiler come?"), await cm.query_memory("grout", k=2)

    context, hits = asyncio.run(written())
    with ContextManager(config(), path=tmp_path, registry=REGISTRY, user_id="maren") as cm:
        assert cm.build_context("When does the tiler come?") == context
        assert cm.query_memory("grout", k=2) == hits
        assert "Thursday" in context
    assert_ends("memory")


def test_reads_overlap(faults: Faults) -> None:
    """Five questions are in the embedder at once; one after another, the first would wait for ever."""
    meeting = threading.Barrier(5, timeout=30)
    embed = FaultyEmbedder.embed_query

    def met(self: FaultyEmbedder, text: str) -> FloatVector:
        meeting.wait()
        return embed(self, text)

    async def asked() -> list[str]:
        async with AsyncContextManager(config(embedder="faulty"), registry=REGISTRY) as cm:
            await cm.add_memory("The grout dries for a day.")
            return await asyncio.gather(*(cm.build_context(f"What of the grout, {number}?") for number in range(5)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FaultyEmbedder, "embed_query", met)
        contexts = asyncio.run(asked())
    assert faults.mode == "ok"
    assert all("dries" in context for context in contexts)


def test_writes_keep_the_order_of_the_calls() -> None:
    """Turns that are observed at once stand in memory as they were said, not as the threads came along."""

    async def said() -> list[str]:
        async with AsyncContextManager(config(), registry=REGISTRY) as cm:
            await asyncio.gather(*(cm.observe(f"number {number}", "ok") for number in range(40)))
            return [turn.user_input for turn in cm.short_term_memory.turns]

    assert asyncio.run(said()) == [f"number {number}" for number in range(40)]


def test_a_cancelled_write_is_there_whole(tmp_path: Path, faults: Faults) -> None:
    """The turn that was under way when its caller left is stored, and the next one after it."""

    async def cancelled() -> None:
        async with AsyncContextManager(config(embedder="faulty"), path=tmp_path, registry=REGISTRY) as cm:
            faults.mode = "hang"
            leaving = asyncio.create_task(cm.observe("first", "ok"))
            await until(lambda: faults.calls > 0)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            faults.mode = "ok"
            faults.release.set()
            await cm.observe("second", "ok")

    asyncio.run(cancelled())
    with ContextManager(config(embedder="faulty"), path=tmp_path, registry=REGISTRY) as cm:
        assert [turn.user_input for turn in cm.short_term_memory.turns] == ["first", "second"]
        assert cm.get_stats()["pending_embeddings"] == 0


def test_errors_are_those_of_the_other_face() -> None:
    """The same types for the same mistakes, and one for whoever comes too late."""

    async def mistaken() -> None:
        with pytest.raises(ConfigError):
            await AsyncContextManager.open(config(), user_id="")
        cm = AsyncContextManager(config(), registry=REGISTRY)
        with pytest.raises(InvalidQueryError):
            await cm.query_memory("  ")
        await cm.close()
        await cm.close()
        with pytest.raises(StoreClosedError, match="memory was closed"):
            await cm.build_context("hello")
        assert repr(cm) == "AsyncContextManager(in memory, session_id=None)"

    asyncio.run(mistaken())
    assert_ends("memory")


def test_one_memory_serves_loops_that_follow_one_another() -> None:
    """A program may run one loop after another, each with more calls than threads."""
    cm = AsyncContextManager(config(), registry=REGISTRY, threads=2)

    async def busy(turn: str) -> list[str]:
        await cm.observe(turn, "ok")
        return await asyncio.gather(*(cm.build_context(f"question {number}") for number in range(6)))

    for turn in ("first", "second"):
        assert all(turn in context for context in asyncio.run(busy(turn)))
    asyncio.run(cm.close())


def test_an_opening_that_nobody_waits_for_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its store is released as soon as it is there."""
    begun, go_on = threading.Event(), threading.Event()
    closed = threading.Event()
    embed = WordEmbedder.__init__

    def slow(self: WordEmbedder, settings: object) -> None:
        begun.set()
        go_on.wait(30)
        embed(self, settings)  # type: ignore[arg-type]

    monkeypatch.setattr(WordEmbedder, "__init__", slow)
    monkeypatch.setattr(WordEmbedder, "close", lambda _self: closed.set())

    async def left() -> None:
        opening = asyncio.create_task(AsyncContextManager.open(config(), registry=REGISTRY))
        await until(begun.is_set)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        go_on.set()

    asyncio.run(left())
    assert closed.wait(30)
    assert_ends("memory")

"""An exact store whose calls wait in their threads until somebody lets them go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.interfaces import CollectionSpec, ExecutorVectorStore, asynchronous
from ctxkit.records import Record

SPEC = CollectionSpec(name="c", dimension=3)
PATIENCE = 30.0


class Gate(ExactStore):
    """An exact store each of whose calls waits in its thread until somebody opens the gate."""

    backend: ClassVar[str] = "gate"
    opened: ClassVar[threading.Event]
    events: ClassVar[list[str]]
    inside: ClassVar[list[int]]

    @classmethod
    def fresh(cls, *, wide_open: bool = True) -> type[Gate]:
        """Return a class with a gate of its own."""
        gate = threading.Event()
        if wide_open:
            gate.set()
        return type("Gate", (cls,), {"opened": gate, "events": [], "inside": [0, 0]})

    @classmethod
    def passing(cls, name: str) -> None:
        """Wait, and keep account of what is inside and of the most that ever was."""
        cls.events.append(f"{name} came")
        cls.inside[0] += 1
        cls.inside[1] = max(cls.inside)
        assert cls.opened.wait(PATIENCE), "nobody opened the gate: the loop stands still"
        cls.inside[0] -= 1
        cls.events.append(f"{name} went")


def _gated(name: str) -> Callable[..., object]:
    def method(self: Gate, *arguments: Any, **options: Any) -> Any:
        self.passing(name)
        return getattr(ExactStore, name)(self, *arguments, **options)

    return method


METHODS = ["count", "delete", "flush", "get", "health", "optimize", "query", "stats", "text_query", "upsert", "close"]
for _name in METHODS:
    setattr(Gate, _name, _gated(_name))

CALLS: dict[str, Callable[[ExecutorVectorStore], Coroutine[Any, Any, object]]] = {
    "count": lambda store: store.count(),
    "delete": lambda store: store.delete(["a"]),
    "flush": lambda store: store.flush(),
    "get": lambda store: store.get(["a"]),
    "health": lambda store: store.health(),
    "optimize": lambda store: store.optimize(),
    "query": lambda store: store.query([1, 0, 0], 1),
    "stats": lambda store: store.stats(),
    "text_query": lambda store: store.text_query("word", 1),
    "upsert": lambda store: store.upsert([Record("a", "word", [1, 0, 0])]),
    "close": lambda store: store.close(),
}


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop go round until the condition holds."""

    async def polled() -> None:
        while not condition():  # noqa: ASYNC110 - a thread makes it true, which can set no event of the loop
            await asyncio.sleep(0.001)

    await asyncio.wait_for(polled(), PATIENCE)


@asynccontextmanager
async def gated(*, threads: int = 4) -> AsyncIterator[tuple[ExecutorVectorStore, type[Gate]]]:
    """Open a store with its gate open, and leave with it open."""
    cls = Gate.fresh()
    face = asynchronous(cls)
    face.threads = threads
    store = await face.open(SPEC, ExactConfig())
    try:
        yield store, cls
    finally:
        cls.opened.set()
        await store.close()


def threads_of(backend: str) -> list[str]:
    """Return the names of the threads that belong to handles of a backend."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(f"ctxkit-{backend}")]


def assert_ends(backend: str) -> None:
    """Wait until the last thread of a backend has ended."""
    for thread in [thread for thread in threading.enumerate() if thread.name.startswith(f"ctxkit-{backend}")]:
        thread.join(PATIENCE)
    assert threads_of(backend) == []

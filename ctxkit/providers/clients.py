"""Clients of a vendor's library: one for all threads, and one for each event loop, closed when it ends."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

ClientT = TypeVar("ClientT")
AsyncClientT = TypeVar("AsyncClientT")


async def _until_the_loop_ends(client: Any) -> AsyncGenerator[None, None]:
    """Close the client when this generator is closed, which an event loop does for all of them before it ends."""
    try:
        yield
    finally:
        await client.close()


@dataclass(frozen=True)
class _Guarded(Generic[AsyncClientT]):
    client: AsyncClientT
    guard: AsyncGenerator[None, None]


@dataclass
class _Held(Generic[ClientT, AsyncClientT]):
    """The clients of one process."""

    pid: int = field(default_factory=os.getpid)
    threads: ClientT | None = None
    loops: dict[asyncio.AbstractEventLoop, _Guarded[AsyncClientT]] = field(default_factory=dict)


class Clients(Generic[ClientT, AsyncClientT]):
    """Makes clients when they are first needed, shares them, and closes them.

    An asynchronous client belongs to the event loop in which it opened its connections. A forked process gets clients
    of its own: two that use one connection would read each other's answers.
    """

    def __init__(self, make: Callable[[], ClientT], make_async: Callable[[], AsyncClientT]) -> None:
        self._make = make
        self._make_async = make_async
        self._lock = threading.Lock()
        self._held: _Held[ClientT, AsyncClientT] = _Held()
        self._leftovers: list[weakref.finalize[Any, Any]] = []

    def of_threads(self) -> ClientT:
        """Return the client that waits, for any thread."""
        held = self._held
        if held.threads is not None and held.pid == os.getpid():
            return held.threads
        with self._lock:
            held = self._of_this_process()
            if held.threads is None:
                held.threads = self._make()
                # Whoever forgets to close the adapter leaves no connection open when it is collected.
                self._leftovers.append(weakref.finalize(self, _close_in, os.getpid(), held.threads))
            return held.threads

    async def of_this_loop(self) -> AsyncClientT:
        """Return the client of the running event loop."""
        loop = asyncio.get_running_loop()
        found = self._held.loops.get(loop)
        if found is not None and self._held.pid == os.getpid():
            return found.client
        # In a thread: the first one imports the library, and each reads the certificates.
        made = await asyncio.to_thread(self._make_async)
        guarded = _Guarded(made, _until_the_loop_ends(made))
        await guarded.guard.__anext__()
        with self._lock:
            loops = self._of_this_process().loops
            for gone in [each for each in loops if each.is_closed()]:
                del loops[gone]
            kept = loops.setdefault(loop, guarded)
        if kept is not guarded:  # two calls were the first
            await guarded.guard.aclose()
        return kept.client

    def close(self) -> None:
        """Close what can be closed from here; those of other event loops are closed there, or when those end."""
        held = self._taken()
        for loop, guarded in held.loops.items():
            _close_elsewhere(loop, guarded.guard)

    async def aclose(self) -> None:
        """Close everything, and wait for the client of this event loop."""
        held = self._taken()
        mine = held.loops.pop(asyncio.get_running_loop(), None)
        for loop, guarded in held.loops.items():
            _close_elsewhere(loop, guarded.guard)
        if mine is not None:
            await mine.guard.aclose()

    def _taken(self) -> _Held[ClientT, AsyncClientT]:
        with self._lock:
            held, self._held = self._of_this_process(), _Held()
            leftovers, self._leftovers = self._leftovers, []
        for each in leftovers:
            each()
        return held

    def _of_this_process(self) -> _Held[ClientT, AsyncClientT]:
        if self._held.pid != os.getpid():
            self._held = _Held()
        return self._held


def _close_in(pid: int, client: Any) -> None:
    if os.getpid() == pid:
        client.close()


def _close_elsewhere(loop: asyncio.AbstractEventLoop, guard: AsyncGenerator[None, None]) -> None:
    """Have a client closed in its event loop, without waiting for it; one that does not run closes it in the end."""
    if loop.is_running():
        loop.call_soon_threadsafe(_begin_closing, loop, guard)


_closing: set[asyncio.Task[None]] = set()


def _begin_closing(loop: asyncio.AbstractEventLoop, guard: AsyncGenerator[None, None]) -> None:
    task = loop.create_task(_closed(guard))
    _closing.add(task)  # a loop itself holds its tasks only weakly
    task.add_done_callback(_closing.discard)


async def _closed(guard: AsyncGenerator[None, None]) -> None:
    await guard.aclose()

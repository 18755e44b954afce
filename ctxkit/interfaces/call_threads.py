"""Calls that block, run for an event loop by a few threads that belong to one handle."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


class CallThreads:
    """Runs at most `threads` calls at once; the others wait in their loop, where a cancelled one simply leaves.

    A call that is cancelled in its thread goes on there and its result is dropped; it keeps the thread until then.
    Calls that are `in_order` go one after another as they were made, so that a cancelled one never overtakes a later
    one. Context variables are those of the caller. Loops may follow one another, or run beside one another: the order
    is kept within each. `refusal` makes the error of a call that comes after `close`.
    """

    def __init__(self, name: str, threads: int, *, refusal: Callable[[], Exception]) -> None:
        self._threads = threads
        self._refusal = refusal
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"ctxkit-{name}")
        self._queues: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._running: set[Future[Any]] = set()
        self._closed: Future[None] | None = None

    async def run(self, work: Callable[[], ResultT], *, in_order: bool = False) -> ResultT:
        """Return what the work returns in a thread, or raise what it raises."""
        queue = self._queue()
        held: tuple[asyncio.Semaphore, ...] = ()
        try:
            for semaphore in (queue.order, queue.free) if in_order else (queue.free,):
                self._check_open()
                await semaphore.acquire()
                held = (*held, semaphore)
            self._check_open()
            running = submit(self._pool, work)
        except BaseException:
            _release(held)
            raise
        self._running.add(running)
        running.add_done_callback(partial(_tell, asyncio.get_running_loop(), partial(self._ended, running, held)))
        return await asyncio.wrap_future(running)

    async def close(self, last: Callable[[], None]) -> None:
        """Refuse further calls, wait for those in their threads, then make the last call and end the threads.

        Cancelled, the last call is made all the same; awaited again, it is not made twice. Raises what it raises.
        """
        if self._closed is None:
            self._closed = Future()
            # Running is what it is from now on: whoever stops waiting for it must not stop it.
            self._closed.set_running_or_notify_cancel()
            self._pool.submit(_finish, last, tuple(self._running), self._closed)
            self._pool.shutdown(wait=False)
        await asyncio.wrap_future(self._closed)
        # Nothing is left to do in the threads: they end at once, and none is left behind.
        self._pool.shutdown()

    def _queue(self) -> _Queue:
        with self._lock:
            return self._queues.setdefault(asyncio.get_running_loop(), _Queue(self._threads))

    def _ended(self, running: Future[Any], held: Sequence[asyncio.Semaphore]) -> None:
        self._running.discard(running)
        _release(held)

    def _check_open(self) -> None:
        if self._closed is not None:
            raise self._refusal()


class _Queue:
    """Where the calls of one loop wait: for a thread, and for their turn."""

    def __init__(self, threads: int) -> None:
        self.free = asyncio.Semaphore(threads)
        self.order = asyncio.Semaphore(1)


async def run_alone(
    name: str, work: Callable[[], ResultT], unwanted: Callable[[ResultT], None] | None = None
) -> ResultT:
    """Do work that belongs to no handle in a thread that ends with it.

    Cancelled, the work goes on, and what it makes is given to `unwanted` as soon as it is there.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix=f"ctxkit-{name}")
    running = submit(pool, work)
    try:
        result = await asyncio.wrap_future(running)
    except BaseException:
        if unwanted is not None:
            pool.submit(_undo, running, unwanted)
        pool.shutdown(wait=False)
        raise
    pool.shutdown()
    return result


def submit(pool: ThreadPoolExecutor, work: Callable[[], ResultT]) -> Future[ResultT]:
    """Have the pool do the work with the caller's context variables."""
    return pool.submit(contextvars.copy_context().run, work)


def _release(held: Sequence[asyncio.Semaphore]) -> None:
    for semaphore in held:
        semaphore.release()


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[[], None], _running: Future[Any]) -> None:
    """Have the loop make a call, from whichever thread, unless it has ended: then nobody waits any more."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)


def _finish(last: Callable[[], None], running: Sequence[Future[Any]], closed: Future[None]) -> None:
    wait(running)
    try:
        last()
    except BaseException as exc:  # noqa: BLE001 - whoever awaits `close` gets it
        closed.set_exception(exc)
    else:
        closed.set_result(None)


def _undo(running: Future[ResultT], unwanted: Callable[[ResultT], None]) -> None:
    wait([running])
    if not running.cancelled() and running.exception() is None:
        unwanted(running.result())

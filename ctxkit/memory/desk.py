"""Threads that do jobs for whoever asks, and can be left behind with one that never ends."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")
_Job = tuple[Callable[[], Any], "Future[Any]"]


class Desk:
    """Does each job in a daemon thread; threads begin as they are needed, at most `threads` of them.

    They hold the desk and no more, so that its owner can be collected, and end once `end` was called.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._name = name
        self._free = threads
        self._starting = threading.Lock()
        self._idle = threading.Semaphore(0)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._due: set[Future[Any]] = set()
        self._since: dict[Future[Any], float] = {}
        self._abandoned: set[Future[Any]] = set()

    @property
    def left_behind(self) -> bool:
        """Whether a job is running whose result nobody waits for any more."""
        return bool(self._abandoned)

    def stuck(self, patience: float) -> bool:
        """Whether a caller gave up on a running job, or would by now, after `patience` seconds."""
        now = time.monotonic()
        return self.left_behind or any(now - since > patience for since in list(self._since.values()))

    def submit(self, call: Callable[[], ResultT]) -> Future[ResultT]:
        """Have the call made in one of the threads."""
        future: Future[ResultT] = Future()
        self._due.add(future)
        future.add_done_callback(self._due.discard)
        self._jobs.put((call, future))
        if not self._idle.acquire(blocking=False):
            with self._starting:
                if self._free:
                    self._free -= 1
                    threading.Thread(target=self._work, name=self._name, daemon=True).start()
        return future

    def abandon(self, future: Future[Any]) -> None:
        """Wait for this no longer: a job that has not begun never will, one that runs counts as left behind."""
        if not future.cancel():
            self._abandoned.add(future)
            future.add_done_callback(self._abandoned.discard)

    def after_all(self, call: Callable[[], None]) -> Future[None]:
        """Have the call made, in a thread of its own, when every job that is due by now has ended."""
        future: Future[None] = Future()
        arguments = (tuple(self._due), call, future)
        threading.Thread(target=_last, args=arguments, name=self._name, daemon=True).start()
        return future

    def end(self) -> None:
        """Let the threads end when nothing is left to do."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            call, future = job
            del job
            if future.set_running_or_notify_cancel():
                self._since[future] = time.monotonic()
                _make(call, future)
                del self._since[future]
            del call, future
        self._jobs.put(None)  # for the next thread

    def _next(self) -> _Job | None:
        with suppress(queue.Empty):
            return self._jobs.get_nowait()
        self._idle.release()
        return self._jobs.get()


def _make(call: Callable[[], Any], future: Future[Any]) -> None:
    try:
        future.set_result(call())
    except BaseException as exc:  # noqa: BLE001 - whatever it is, the caller must learn of it
        future.set_exception(exc)


def _last(jobs: Sequence[Future[Any]], call: Callable[[], None], future: Future[None]) -> None:
    wait(jobs)
    _make(call, future)

"""One at a time, among threads and processes: a lock that the kernel, or the store's server, takes from who dies."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Final

from ctxkit.errors import StoreUnavailableError
from ctxkit.interfaces import VectorStore
from ctxkit.interfaces.leasing import Leasing
from ctxkit.memory.forks import renew_after_fork

_POLL_SECONDS: Final = 0.005
_ROUNDS: Final = 6


class Lease:
    """A right that one holder has at a time, among all that use the store; not to be taken twice.

    In a folder it is a lock on a file there, which the kernel lets go of when its holder dies; elsewhere the store's
    own (`Leasing`). A store with neither is this process's own, or one whose processes are not held apart.
    """

    def __init__(self, name: str, folder: Path | None, store: VectorStore | None = None) -> None:
        self._name = name
        self._file: Path | None = None if folder is None else folder / f".{name}.lock"
        self._server = store if store is not None and isinstance(store, Leasing) else None
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Make the lock of this process anew, in a forked child."""
        self._own = threading.Lock()

    @contextmanager
    def held(self, *, patience: float = 0.0) -> Iterator[bool]:
        """Hold the lease; gives False where another one has it for longer than `patience` seconds.

        Raises StoreUnavailableError where the folder cannot be written, or the server does not answer.
        """
        deadline = time.monotonic() + patience
        if not self._own.acquire(timeout=patience):
            yield False
            return
        own = self._own
        try:
            with self._among_processes(deadline) as taken:
                yield taken
        finally:
            own.release()

    @contextmanager
    def in_turn(self, patience: float, writes: Callable[[], int | None]) -> Iterator[bool]:
        """Hold the lease; gives False where it was waited for in vain while nothing was written for `patience` seconds.

        As long as `writes`, the store's number of writes, rises, the lease goes round, and a slow machine is no reason
        to go before one's turn. Six times as long at most, because there is who writes without it.
        """
        for left in reversed(range(_ROUNDS)):
            before = writes()
            with self.held(patience=patience) as mine:
                if mine or not left or before is None or before == writes():
                    yield mine
                    return

    def _among_processes(self, deadline: float) -> AbstractContextManager[bool]:
        if self._file is not None:
            return _locked(self._file, deadline)
        if self._server is not None:
            return self._server.lease(self._name, patience=max(deadline - time.monotonic(), 0.0))
        return nullcontext(True)  # noqa: FBT003 - the value of the block


@contextmanager
def _locked(file: Path, deadline: float) -> Iterator[bool]:
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as exc:
        raise StoreUnavailableError(
            f"{file} cannot be written ({type(exc).__name__}).", fix="make its folder one that may be written."
        ) from exc
    try:
        while not (taken := _taken(descriptor)) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        try:
            yield taken
        finally:
            if taken:
                # Said aloud, because a forked child may have a copy of the descriptor.
                fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

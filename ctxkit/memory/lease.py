"""One at a time, among threads and processes: a lock on a file, which the kernel lets go of when its holder dies."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ctxkit.errors import StoreUnavailableError
from ctxkit.memory.forks import renew_after_fork
from ctxkit.memory.source import Source

_POLL_SECONDS: Final = 0.005


class Lease:
    """A right that one holder has at a time, among all that use the store in one folder; not to be taken twice.

    A store without a folder is this process's own, and so is the lease.
    """

    def __init__(self, source: Source, name: str) -> None:
        self._file: Path | None = None if source.path is None else source.path / f".{name}.lock"
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Make the lock of this process anew, in a forked child."""
        self._own = threading.Lock()

    @contextmanager
    def held(self, *, patience: float = 0.0) -> Iterator[bool]:
        """Hold the lease; gives False where another one has it for longer than `patience` seconds.

        Raises StoreUnavailableError where the folder cannot be written.
        """
        deadline = time.monotonic() + patience
        if not self._own.acquire(timeout=patience):
            yield False
            return
        own = self._own
        try:
            if self._file is None:
                yield True
            else:
                with _locked(self._file, deadline) as taken:
                    yield taken
        finally:
            own.release()


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

"""One process at a time: the lock on a directory that Chroma is embedded in.

Two processes that open one directory of Chroma's do not see each other's new rows, and say nothing of it. So the
first one holds a lock (flock) on a file in it, which names the holder, and the others are refused. The kernel lets go
of the lock when its holder dies.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from ctxkit_chroma.faults import Scene

LOCK = "ctxkit.lock"
_POLL_SECONDS = 0.02
_LONGEST = 200


class DirectoryLock:
    """A lock that is held; `release` gives it back, `abandon` leaves it to the process this one was forked from."""

    def __init__(self, directory: Path, scene: Scene, timeout: float) -> None:
        self._descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        deadline = time.monotonic() + timeout
        try:
            while not self._taken():
                self._refuse_after(deadline, scene)
                time.sleep(_POLL_SECONDS)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
        except BaseException:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Let others in."""
        try:
            os.ftruncate(self._descriptor, 0)
            # Explicitly: a forked process may hold a copy of the descriptor, which would keep the lock.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        finally:
            os.close(self._descriptor)

    def abandon(self) -> None:
        """Close this process's copy of the descriptor; the lock stays with the parent."""
        os.close(self._descriptor)

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                return False
            raise
        return True

    def _refuse_after(self, deadline: float, scene: Scene) -> None:
        """Raise StoreLockedError, with the name of the holder, once the time is over."""
        if time.monotonic() < deadline:
            return
        holder = os.pread(self._descriptor, _LONGEST, 0).decode("utf-8", "replace").strip()
        raise scene.locked(f"{holder or 'another process'} has it open, and Chroma allows one at a time")

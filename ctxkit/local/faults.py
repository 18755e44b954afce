"""From SQLite's and the system's errors to typed ones that name cause and fix."""

from __future__ import annotations

import errno
import resource
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ctxkit.errors import (
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreUnavailableError,
)

CAUGHT = (sqlite3.Error, UnicodeDecodeError, OSError)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FREE_FIX = "free some space; everything acknowledged before is intact."
_RESTORE_FIX = "restore the collection's directory from a copy, or drop the collection and write it anew."
# The last where others were suspended with a lock that they hold for a moment only: https://www.sqlite.org/rescode.html#protocol
_LOCKED = ("locked", "busy", "locking protocol")
_INPUT_OUTPUT = ("disk I/O error", "unable to open")
_UNAVAILABLE = (*_INPUT_OUTPUT, "readonly", "read-only", "out of memory", "interrupted")
_LEAST_ROOM = 32 * 1024  # bytes of what SQLite makes beside its log: https://www.sqlite.org/walformat.html (2.2)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an error happened: what every message of the engine names."""

    backend: str
    collection: str | None
    path: Path | None
    busy_timeout: float = 0.0

    def corrupt(self, message: str, *, fix: str = _RESTORE_FIX) -> StoreCorruptError:
        """Return a StoreCorruptError of this place."""
        return StoreCorruptError(message, fix=fix, backend=self.backend, collection=self.collection)

    def unavailable(self, cause: object) -> StoreUnavailableError:
        """Return a StoreUnavailableError that names the path."""
        return StoreUnavailableError(
            f"{self.path} cannot be used: {cause}.",
            fix="make it a directory that this user may read and write (who only reads writes to it as well), or open a"
            " copy, or another one.",
            backend=self.backend,
            collection=self.collection,
        )

    def full(self, cause: object) -> StoreFullError:
        """Return a StoreFullError that names the path."""
        return StoreFullError(
            f"there is no room left under {self.path}: {cause}.",
            fix=_FREE_FIX,
            backend=self.backend,
            collection=self.collection,
        )

    def locked(self) -> StoreLockedError:
        """Return a StoreLockedError that names the waiting time."""
        return StoreLockedError(
            f"another process held {self.path} for longer than {self.busy_timeout:g} s.",
            fix="try again, or raise `busy_timeout`.",
            backend=self.backend,
            collection=self.collection,
        )


@contextmanager
def guarded(place: Place) -> Iterator[None]:
    """Turn every SQLite and system error inside the block into a typed one."""
    try:
        yield
    except CAUGHT as error:
        raise typed(error, place) from error


def typed(error: sqlite3.Error | UnicodeDecodeError | OSError, place: Place) -> StoreError:
    """Return the typed error for one of `CAUGHT`."""
    if isinstance(error, sqlite3.Error):
        return translated(error, place)
    if isinstance(error, UnicodeDecodeError):
        # SQLite quotes a damaged schema in its message, and Python cannot decode that.
        return place.corrupt("the database is damaged: its schema is no text.")
    cause = error.strerror or error
    return place.full(cause) if error.errno in _FULL else place.unavailable(cause)


def translated(error: sqlite3.Error, place: Place) -> StoreError:
    """Return the typed error for one of SQLite's."""
    message = str(error)
    if any(word in message for word in _LOCKED):
        return place.locked()
    if "full" in message:
        return place.full(message)
    # SQLite says "full" for ENOSPC in a write alone. A file-size limit, a quota, and no room for the memory that its
    # connections share reach it as an I/O error, no room for another file as one that cannot be opened.
    if "disk I/O error" in message and _at_a_limit():
        return place.full("a file-size limit was reached")
    if any(words in message for words in _INPUT_OUTPUT) and place.path is not None and _is_full(place.path):
        return place.full(f"the disk is full ({message})")
    if any(word in message for word in _UNAVAILABLE):
        return place.unavailable(message)
    # Our statements are fixed, so whatever else SQLite finds wrong with them is wrong with the file.
    return place.corrupt(f"the database is damaged: {message}.")


def _is_full(directory: Path) -> bool:
    """Whether a directory has no room for the least that SQLite needs; by trying, as a quota shows in no figure."""
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(bytes(_LEAST_ROOM))
    except OSError as error:
        return error.errno in _FULL
    return False


def _at_a_limit() -> bool:
    return resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY

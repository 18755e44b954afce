"""One handle's connections: transactions, threads, forks, and the check that the collection is still there."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Literal

from ctxkit.errors import CollectionNotFoundError, StoreClosedError
from ctxkit.local.faults import CAUGHT, Place, guarded, typed
from ctxkit.local.gate import Gate, Pass
from ctxkit.local.schema import DROPPED_SEQ, State, read_state, read_version

_CHECKPOINT_PAGES = 8192
_WAL_KEPT_BYTES = 64 * 2**20
_CACHE_KIB = 4_096
_READERS_CACHE_KIB = 2_048
_IDLE_KEPT = 8
_POLL_SECONDS = 0.005


class Connection(sqlite3.Connection):
    """A connection that is closed when it is dropped: a memory that nobody closed is no leak for Python to report."""

    def __del__(self) -> None:
        with suppress(sqlite3.Error):  # one that could not be opened
            self.close()


def connect(
    database: Path | None, place: Place, durability: Literal["full", "normal"], *, make: bool
) -> sqlite3.Connection:
    """Open a connection; `make` allows a new file, without it a missing one is an error."""
    with guarded(place):
        target = ":memory:" if database is None else f"{database.absolute().as_uri()}?mode={'rwc' if make else 'rw'}"
        connection = sqlite3.connect(
            target,
            timeout=place.busy_timeout,
            isolation_level=None,
            check_same_thread=False,
            uri=database is not None,
            factory=Connection,
        )
        try:
            # Bytes, because a damaged row may be no UTF-8: it is checked before it is decoded.
            connection.text_factory = bytes
            if database is not None:
                _use_wal(connection, place.busy_timeout)
            connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'full' else 'NORMAL'}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute("PRAGMA temp_store = MEMORY")  # what `text` takes words apart with
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def connected(database: Path, place: Place, durability: Literal["full", "normal"]) -> Iterator[sqlite3.Connection]:
    """Give a connection that belongs to no session; a fork waits until it is closed."""
    with _FORKS.gate.shared, guarded(place), closing(connect(database, place, durability, make=False)) as connection:
        yield connection


def unforked() -> AbstractContextManager[None]:
    """Keep forks waiting, for who opens a connection that becomes a session's; not to be entered twice."""
    return _FORKS.gate.shared


def fork_waits() -> bool:
    """Whether a fork waits for a connection that belongs to no session."""
    return _FORKS.gate.wanted


def _use_wal(connection: sqlite3.Connection, busy_timeout: float) -> None:
    """Turn the write-ahead log on, in turn with others who do the same to a new file.

    SQLite does not wait here, because it changes a lock that it holds: https://www.sqlite.org/c3ref/busy_handler.html.
    """
    deadline = time.monotonic() + busy_timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise
            time.sleep(_POLL_SECONDS)
        else:
            return


class Session:
    """Connections shared by threads, closed before a fork and opened after it.

    Many threads may read at once, each with a connection of its own; all else is done by one at a time. A collection in
    memory has one connection, so there every thread waits for its turn.
    """

    def __init__(
        self, connection: sqlite3.Connection, place: Place, database: Path | None, durability: Literal["full", "normal"]
    ) -> None:
        self.gate = Gate()
        self.turn = threading.Lock()  # of those who read many rows, inside the gate, so that no fork finds it held
        self.place = place
        self.database = database
        self._durability: Literal["full", "normal"] = durability
        self._main: sqlite3.Connection | None = connection
        self._idle = [connection]  # the main one last, if nobody uses it
        self._closed = False
        self.incarnation = ""
        self._file = self._identity()
        _SESSIONS.add(self)

    @contextmanager
    def look(self) -> Iterator[tuple[sqlite3.Connection, tuple[int, bytes] | None]]:
        """Hold a read transaction beside those of other threads; gives what `read_version` found."""
        with self.gate.alone if self.database is None else self.gate.shared:
            connection: sqlite3.Connection | None = None
            try:
                connection = self._taken()
                connection.execute("BEGIN")
                yield connection, read_version(connection)
                connection.execute("COMMIT")
            except CAUGHT as error:
                raise typed(error, self.place) from error
            finally:
                if connection is not None:
                    self._give_back(connection)

    @contextmanager
    def read(self) -> Iterator[tuple[sqlite3.Connection, State]]:
        """Hold one read transaction: everything inside sees one state of the database."""
        with self._transaction("BEGIN") as opened:
            yield opened

    @contextmanager
    def write(self) -> Iterator[tuple[sqlite3.Connection, State]]:
        """Hold one write transaction, committed at the end, rolled back by any error."""
        with self._transaction("BEGIN IMMEDIATE") as opened:
            yield opened

    @contextmanager
    def outside(self) -> Iterator[sqlite3.Connection]:
        """Give a connection without a transaction, for housekeeping."""
        with self.gate.alone, guarded(self.place):
            connection = self._taken()
            try:
                yield connection
            finally:
                self._give_back(connection)

    def close(self) -> None:
        """Close the connections; closing twice is fine."""
        self.gate.forget()
        with self.gate.alone:
            self._closed = True
            self.suspend()
        _SESSIONS.discard(self)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def dropped(self) -> bool:
        """Whether the database's path leads to another file by now, or to none."""
        return self.database is not None and self._identity() != self._file

    def check_open(self) -> None:
        """Raise StoreClosedError after `close`."""
        if self._closed:
            raise StoreClosedError(
                "the store was closed.",
                fix="open it again.",
                backend=self.place.backend,
                collection=self.place.collection,
            )

    def suspend(self) -> None:
        """Close the connections; the next use of an open session opens others. Called by who holds the gate alone."""
        self._main = None
        while self._idle:
            with guarded(self.place):
                self._idle.pop().close()

    def gone(self) -> CollectionNotFoundError:
        """Return the error of a handle whose collection was dropped."""
        return CollectionNotFoundError(
            "the collection was dropped (or moved) since this handle was opened.",
            fix="open it again.",
            backend=self.place.backend,
            collection=self.place.collection,
        )

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[tuple[sqlite3.Connection, State]]:
        with self.gate.alone, guarded(self.place):
            connection = self._taken()
            try:
                connection.execute(begin)
                yield connection, self._state(connection)
                connection.execute("COMMIT")
            finally:
                self._give_back(connection)

    def _state(self, connection: sqlite3.Connection) -> State:
        state = read_state(connection, self.place)
        if state.seq == DROPPED_SEQ or (self.incarnation and state.incarnation != self.incarnation):
            raise self.gone()
        return state

    def _taken(self) -> sqlite3.Connection:
        """Return a connection that nobody else uses until it is given back."""
        self.check_open()
        if self.dropped:
            raise self.gone()
        try:
            return self._idle.pop()
        except IndexError:
            connection = connect(self.database, self.place, self._durability, make=False)
        if self._main is None:
            self._main = connection
        else:
            connection.execute(f"PRAGMA cache_size = -{_READERS_CACHE_KIB}")
        return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        # Some failures (a full disk) have rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if connection is self._main:
            self._idle.append(connection)
        elif len(self._idle) < _IDLE_KEPT:
            self._idle.insert(0, connection)
        else:
            connection.close()

    def _identity(self) -> tuple[int, int] | None:
        """Return which file the path names now: SQLite would go on writing to a deleted one without a word."""
        if self.database is None:
            return None
        try:
            found = os.stat(self.database)  # noqa: PTH116 - on every transaction, and twice as fast
        except FileNotFoundError:
            return (0, 0)
        return found.st_dev, found.st_ino


class _Forks:
    """What a fork has to wait for: `gate` is shared by who has a connection of no session; `held` is what it holds."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.turn = threading.Lock()
        self.held: dict[Session, Pass] = {}
        self.alone = self.gate.alone


_SESSIONS: weakref.WeakSet[Session] = weakref.WeakSet()
_FORKS = _Forks()


def _sessions() -> list[Session]:
    while True:
        try:
            return list(_SESSIONS)
        except RuntimeError:  # another thread has just opened one
            continue


def _before_fork() -> None:
    # SQLite's own bookkeeping of file locks is inherited by a child that does not hold those locks, so no
    # connection may be open across a fork: https://www.sqlite.org/howtocorrupt.html (2.6). One in memory is copied
    # whole, as long as no other thread is using it just then.
    _FORKS.turn.acquire()
    while True:
        for session in _sessions():
            if session not in _FORKS.held:
                held = session.gate.alone
                held.__enter__()
                _FORKS.held[session] = held
        # Only after the sessions, because who uses one may want a connection beside it. Meanwhile others may have come.
        _FORKS.alone = _FORKS.gate.alone
        _FORKS.alone.__enter__()
        if all(session in _FORKS.held for session in _sessions()):
            break
        _FORKS.alone.__exit__(None, None, None)
    for session in _FORKS.held:
        if session.database is not None:
            session.suspend()


def _after_fork_in_parent() -> None:
    _FORKS.alone.__exit__(None, None, None)
    while _FORKS.held:
        _FORKS.held.popitem()[1].__exit__(None, None, None)
    _FORKS.turn.release()


def _after_fork_in_child() -> None:
    _FORKS.gate, _FORKS.turn = Gate(), threading.Lock()
    while _FORKS.held:
        _FORKS.held.popitem()[0].gate = Gate()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)

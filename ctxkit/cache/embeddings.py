"""A durable cache of embeddings: one SQLite file, bounded, shared by threads and processes.

It holds digests of texts and vectors, never a text. Losing it costs time or money, nothing else, so nothing that goes
wrong with it is an error: it then answers as if it were empty, with one WARNING.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import threading
import time
import weakref
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypeVar

import numpy as np

from ctxkit.errors import StoreLockedError, StoreUnavailableError
from ctxkit.records import FloatVector

_log = logging.getLogger(__name__)
T = TypeVar("T")
Purpose: TypeAlias = Literal["document", "query"]

FILE_NAME: Final = "embeddings.sqlite3"
DEFAULT_MAX_BYTES: Final = 256 * 1024 * 1024
_VERSION: Final = 1
_BUSY_SECONDS: Final = 2.0  # whoever waits longer embeds instead
_FRESH_SECONDS: Final = 3600  # a hit is noted at most so often, so that reading hardly ever writes
_AT_ONCE: Final = 500  # digests in one statement
_KEPT_SHARE: Final = 0.9  # of the bytes, after the oldest gave way
_OVERHEAD: Final = 64  # bytes of a row beside its vector: digest, checksum, time, index
_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS spaces (
    id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL, purpose TEXT NOT NULL, UNIQUE (fingerprint, purpose)
);
CREATE TABLE IF NOT EXISTS entries (
    space INTEGER NOT NULL, digest BLOB NOT NULL, vector BLOB NOT NULL, checksum INTEGER NOT NULL,
    used INTEGER NOT NULL, PRIMARY KEY (space, digest)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_by_use ON entries (used);
CREATE TABLE IF NOT EXISTS size (one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL);
INSERT OR IGNORE INTO size VALUES (1, 0);
CREATE TRIGGER IF NOT EXISTS entry_added AFTER INSERT ON entries
    BEGIN UPDATE size SET bytes = bytes + length(new.vector) + {_OVERHEAD}; END;
CREATE TRIGGER IF NOT EXISTS entry_removed AFTER DELETE ON entries
    BEGIN UPDATE size SET bytes = bytes - length(old.vector) - {_OVERHEAD}; END;
"""  # noqa: S608 - only our own number

_living: weakref.WeakSet[EmbeddingCache] = weakref.WeakSet()


class EmbeddingCache:
    """Vectors by the digest of their text and the fingerprint of the embedder that made them.

    `folder` is made where it is missing. The vectors that were not used for longest give way beyond `max_bytes`. Every
    method may be called from several threads, several processes may open one folder, and a forked child goes on with a
    connection of its own.
    """

    def __init__(self, folder: Path | str, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self.path = Path(folder) / FILE_NAME
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._process = os.getpid()
        self._usable = True
        _living.add(self)

    def get(self, fingerprint: str, purpose: Purpose, texts: Iterable[str]) -> dict[str, FloatVector]:
        """Return the vectors of those texts that have one here; each is a new array, float32 of shape (d,)."""
        wanted = {_digest(text): text for text in texts}
        return self._safely(lambda db: _read(db, fingerprint, purpose, wanted), {}) if wanted else {}

    def put(self, fingerprint: str, purpose: Purpose, vectors: Mapping[str, FloatVector]) -> None:
        """Keep the vectors of these texts."""
        rows = [(_digest(text), np.asarray(vector, np.dtype("<f4")).tobytes()) for text, vector in vectors.items()]
        if rows:
            self._safely(lambda db: _write(db, fingerprint, purpose, rows, self.max_bytes), None)

    def forget(self, texts: Iterable[str]) -> int:
        """Remove what these texts have, under every fingerprint, from the file's bytes too; return how many vectors.

        Unlike the rest this raises: StoreLockedError when another process is writing or reading for too long,
        StoreUnavailableError when the file cannot be used or the cache was closed.
        """
        digests = [_digest(text) for text in texts]
        return self._surely(lambda db: _remove(db, digests))

    def clear(self) -> None:
        """Remove everything, from the file's bytes too; raises as `forget`."""
        self._surely(lambda db: _remove(db, None))

    def __len__(self) -> int:
        """How many vectors there are."""
        return self._safely(lambda db: int(db.execute("SELECT count(*) FROM entries").fetchone()[0]), 0)

    @property
    def size(self) -> int:
        """How many bytes vectors and their rows take, about; what `max_bytes` bounds."""
        return self._safely(lambda db: int(db.execute("SELECT bytes FROM size").fetchone()[0]), 0)

    def close(self) -> None:
        """Close the file; closing twice is fine, and a later call finds the cache empty."""
        with self._lock:
            self._usable = False
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def _safely(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Do something in one transaction, or nothing: a cache that cannot be used is none."""
        with self._lock:
            if not self._usable:
                return otherwise
            try:
                return self._do(work)
            except (sqlite3.Error, OSError) as exc:
                if _is_busy(exc):
                    _log.debug("the cache of embeddings is busy; it is left out this time")
                else:
                    self._give_up(exc)
            return otherwise

    def _surely(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something in one transaction; raises StoreLockedError or StoreUnavailableError."""
        with self._lock:
            if not self._usable:
                raise StoreUnavailableError("the cache of embeddings was closed.", fix=f"remove {self.path}.")
            try:
                return self._do(work)
            except (sqlite3.Error, OSError) as exc:
                kind = StoreLockedError if _is_busy(exc) else StoreUnavailableError
                fix = f"try again while nobody uses it, or remove {self.path}."
                raise kind(f"the cache of embeddings was not changed ({type(exc).__name__}).", fix=fix) from exc

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            self._connection = _opened(self.path)
        with self._connection:
            return work(self._connection)

    def _give_up(self, exc: Exception) -> None:
        _log.warning(
            "the cache of embeddings %s cannot be used (%s: %s); texts are embedded anew. Fix: remove the file.",
            self.path,
            type(exc).__name__,
            exc,
        )
        self._usable = False
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def renew(self) -> None:
        """Begin anew in a child: SQLite's connections and another thread's lock do not survive a fork."""
        self._lock = threading.Lock()
        self._inherited = self._connection  # kept, because closing it would let go of the parent's locks
        self._connection = None
        self._process = os.getpid()


def _is_busy(exc: Exception) -> bool:
    return isinstance(exc, sqlite3.OperationalError) and ("locked" in str(exc) or "busy" in str(exc))


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level="IMMEDIATE")
    try:
        version = _version(db)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA secure_delete = ON")
        if version == 0:
            db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
    except BaseException:
        db.close()
        raise
    return db


def _version(db: sqlite3.Connection) -> int:
    """Return the format of the file, 0 for a new one; raises sqlite3.DatabaseError for one that is not known."""
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found not in {0, _VERSION}:
        raise sqlite3.DatabaseError(f"it has the format {found}, of a newer ctxkit")
    return found


def _read(
    db: sqlite3.Connection, fingerprint: str, purpose: Purpose, wanted: Mapping[bytes, str]
) -> dict[str, FloatVector]:
    space = _space(db, fingerprint, purpose)
    if space is None:
        return {}
    found: dict[str, FloatVector] = {}
    stale: list[bytes] = []
    now = int(time.time())
    for some in _groups(list(wanted)):
        marks = ",".join("?" * len(some))
        sql = f"SELECT digest, vector, checksum, used FROM entries WHERE space = ? AND digest IN ({marks})"  # noqa: S608 - only question marks
        for digest, data, checksum, used in db.execute(sql, (space, *some)):
            if zlib.crc32(digest + data) != checksum:
                continue  # damaged on the disk: it is written anew
            found[wanted[digest]] = np.frombuffer(data, np.dtype("<f4")).astype(np.float32)
            if abs(now - used) > _FRESH_SECONDS:
                stale.append(digest)
    if stale:
        rows = [(now, space, digest) for digest in stale]
        with suppress(sqlite3.OperationalError):  # another process writes: the note is not worth waiting for
            db.executemany("UPDATE entries SET used = ? WHERE space = ? AND digest = ?", rows)
    return found


def _write(
    db: sqlite3.Connection, fingerprint: str, purpose: Purpose, rows: Sequence[tuple[bytes, bytes]], max_bytes: int
) -> None:
    db.execute("INSERT OR IGNORE INTO spaces (fingerprint, purpose) VALUES (?, ?)", (fingerprint, purpose))
    space = _space(db, fingerprint, purpose)
    now = int(time.time())
    # Deleted first, because REPLACE would not fire the trigger that counts bytes.
    db.executemany("DELETE FROM entries WHERE space = ? AND digest = ?", [(space, digest) for digest, _ in rows])
    db.executemany(
        "INSERT INTO entries VALUES (?, ?, ?, ?, ?)",
        [(space, digest, data, zlib.crc32(digest + data), now) for digest, data in rows],
    )
    taken = int(db.execute("SELECT bytes FROM size").fetchone()[0])
    if taken > max_bytes:
        _make_room(db, taken - int(max_bytes * _KEPT_SHARE))


def _make_room(db: sqlite3.Connection, surplus: int) -> None:
    """Remove those that were not used for longest until so many bytes are free."""
    gone: list[tuple[int, bytes]] = []
    for space, digest, length in db.execute("SELECT space, digest, length(vector) FROM entries ORDER BY used, digest"):
        if surplus <= 0:
            break
        gone.append((space, digest))
        surplus -= length + _OVERHEAD
    db.executemany("DELETE FROM entries WHERE space = ? AND digest = ?", gone)


def _remove(db: sqlite3.Connection, digests: Sequence[bytes] | None) -> int:
    removed = 0
    if digests is None:
        removed = db.execute("DELETE FROM entries").rowcount
    else:
        spaces = [space for (space,) in db.execute("SELECT id FROM spaces")]
        for space in spaces:
            for digest in digests:
                sql = "DELETE FROM entries WHERE space = ? AND digest = ?"
                removed += db.execute(sql, (space, digest)).rowcount
    db.commit()
    # What was removed still stands in the log until it is written back and cut.
    (unfinished, *_) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if unfinished:
        raise sqlite3.OperationalError("the log is locked by a reader")
    return removed


def _space(db: sqlite3.Connection, fingerprint: str, purpose: Purpose) -> int | None:
    sql = "SELECT id FROM spaces WHERE fingerprint = ? AND purpose = ?"
    row = db.execute(sql, (fingerprint, purpose)).fetchone()
    return None if row is None else int(row[0])


def _groups(digests: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [digests[first : first + _AT_ONCE] for first in range(0, len(digests), _AT_ONCE)]


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).digest()


def _renew_all() -> None:
    for cache in list(_living):
        cache.renew()


os.register_at_fork(after_in_child=_renew_all)

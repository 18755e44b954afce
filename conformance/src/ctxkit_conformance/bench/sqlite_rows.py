"""SQLite as one uses it well beside an index: WAL, rows by integer key, prepared statements, a transaction a batch."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ctxkit.records import FloatVectors, RecordBatch

Fetched = tuple[str, str, Mapping[str, Any]]

_CACHE_KIB: Final = 4_096
_CHECKPOINT_PAGES: Final = 8192  # larger than SQLite's own, which would copy the log back within many of the batches
_AT_ONCE: Final = 512
_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def connect(path: Path) -> sqlite3.Connection:
    """Open a database whose commits survive a power cut."""
    made = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    made.execute("PRAGMA journal_mode = WAL")
    made.execute("PRAGMA synchronous = FULL")
    made.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    made.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    return made


class TextRows:
    """Id, text and metadata of each label; the vectors are the index's. Each thread has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = threading.local()
        self._all: list[sqlite3.Connection] = []

    def load(self, ids: Sequence[str], texts: Sequence[str], metadata: Sequence[Mapping[str, Any]]) -> None:
        """Write all rows, labelled 0, 1, 2, ..."""
        connection = self._connection()
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE rows(label INTEGER PRIMARY KEY, id TEXT, text TEXT, metadata TEXT)")
        dumped = map(_dumps, metadata)
        connection.executemany(
            "INSERT INTO rows VALUES(?, ?, ?, ?)", zip(range(len(ids)), ids, texts, dumped, strict=True)
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def read(self, labels: Sequence[int]) -> list[Fetched]:
        """Return the rows of these labels in their order, with the metadata as dicts."""
        found: dict[int, Fetched] = {}
        wanted = labels if len(labels) <= _AT_ONCE else list(dict.fromkeys(labels))
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            sql = f"SELECT label, id, text, metadata FROM rows WHERE label IN ({marks})"  # noqa: S608 - marks only
            for label, id_, text, metadata in self._connection().execute(sql, part):
                found[label] = (id_, text, json.loads(metadata))
        return [found[label] for label in labels]

    def close(self) -> None:
        """Close every thread's connection."""
        for connection in self._all:
            connection.close()

    def _connection(self) -> sqlite3.Connection:
        made: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if made is None:
            made = self._own.connection = connect(self._path)
            self._all.append(made)
        return made


class BareWriter:
    """Whole records, vectors included, written durably: one commit a batch, found again by id.

    With `words`, the text is indexed by FTS5 in the same commit, which is for new records only.
    """

    def __init__(self, folder: Path, *, words: bool = False) -> None:
        self._words = words
        folder.mkdir(parents=True)
        self._connection = connect(folder / "bare.db")
        self._connection.execute(
            "CREATE TABLE records(label INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, text TEXT NOT NULL,"
            " metadata TEXT NOT NULL, vector BLOB NOT NULL)"
        )
        if words:
            self._connection.execute("CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize='porter')")

    def write(self, batch: RecordBatch) -> None:
        """Write a batch; it is on disk when this returns."""
        vectors: FloatVectors = np.asarray(batch.vectors, dtype=np.float32)
        blobs = [vector.tobytes() for vector in vectors]
        rows = zip(batch.ids, batch.texts or (), map(_dumps, batch.metadata or ()), blobs, strict=True)
        self._connection.execute("BEGIN IMMEDIATE")
        if self._words:
            self._connection.executemany("INSERT INTO words(text) VALUES(?)", [(text,) for text in batch.texts or ()])
        self._connection.executemany(
            "INSERT OR REPLACE INTO records(id, text, metadata, vector) VALUES(?, ?, ?, ?)", rows
        )
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

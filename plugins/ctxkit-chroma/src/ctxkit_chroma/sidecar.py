"""The sidecar: an SQLite database beside an embedded collection, with what Chroma has not.

It holds ids, exact metadata and texts in the order of writing, and the index of words with which ctxkit's own engine
ranks. Chroma has the truth: a sidecar that is not surely in step with it is thrown away and made anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from ctxkit.local.parts import sync, words

_TABLES: Final = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE records(
    label INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE COLLATE BINARY, pack TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize='porter unicode61 remove_diacritics 2')
"""
_CHUNK: Final = 512
_FETCH: Final = 4096
_EPOCH: Final = "epoch"
Stored = tuple[int, str, str, str]  # label, id, packed metadata, text


class Sidecar:
    """A connection to the database at `file`, or to one in memory; its methods raise sqlite3.Error.

    What it holds is made anew after a crash, so it is synced to disk only when it is closed.
    """

    def __init__(self, file: Path | None) -> None:
        self.file = file
        target = ":memory:" if file is None else str(file)
        self._connection = sqlite3.connect(target, isolation_level=None, check_same_thread=False)
        try:
            for pragma in ("journal_mode = MEMORY", "synchronous = OFF", "cache_size = -16384"):
                self._connection.execute(f"PRAGMA {pragma}").fetchall()
            if self._connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None:
                self._make()
        except BaseException:
            self._connection.close()
            raise

    @property
    def epoch(self) -> str:
        """For which state of Chroma's files it was made; empty while it is being filled."""
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (_EPOCH,)).fetchone()
        return "" if row is None else str(row[0])

    @epoch.setter
    def epoch(self, epoch: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (_EPOCH, epoch))

    @property
    def size(self) -> int:
        """How many records it holds."""
        return int(self._connection.execute("SELECT count(*) FROM records").fetchone()[0])

    def begin(self) -> None:
        """Begin a transaction."""
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make the transaction's changes last."""
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        """Undo the transaction; fine when SQLite has done so already, or cannot."""
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def insert(self, ids: Sequence[str], packs: Sequence[str], texts: Sequence[str]) -> list[int]:
        """Append records and return their labels, which are never used again."""
        row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'records'").fetchone()
        first = 1 if row is None else int(row[0]) + 1
        labels = list(range(first, first + len(ids)))
        self._connection.executemany(
            "INSERT INTO records VALUES(?, ?, ?, ?)", zip(labels, ids, packs, texts, strict=True)
        )
        self._connection.executemany(
            "INSERT INTO words(rowid, text) VALUES(?, ?)",
            ((label, words.prepared(text)) for label, text in zip(labels, texts, strict=True)),
        )
        return labels

    def remove(self, stored: Iterable[Stored]) -> None:
        """Delete records; the index of words has to be told their texts again."""
        rows = list(stored)
        words.forget(self._connection, ((label, text) for label, _, _, text in rows))
        self._connection.executemany("DELETE FROM records WHERE label = ?", [(row[0],) for row in rows])

    def fetch(self, ids: Sequence[str]) -> dict[str, Stored]:
        """Return those of these records that exist."""
        found: dict[str, Stored] = {}
        for start in range(0, len(ids), _CHUNK):
            chunk = list(ids[start : start + _CHUNK])
            # A few sizes of statement, so that SQLite's cache keeps them all.
            chunk += chunk[-1:] * ((1 << (len(chunk) - 1).bit_length()) - len(chunk))
            marks = ",".join("?" * len(chunk))
            for row in self._connection.execute(
                f"SELECT label, id, pack, text FROM records WHERE id IN ({marks})",  # noqa: S608 - question marks
                chunk,
            ):
                found[row[1]] = row
        return found

    def labels(self) -> Iterator[list[tuple[int, str]]]:
        """Yield label and id of every record in the order of writing."""
        cursor = self._connection.execute("SELECT label, id FROM records ORDER BY label")
        while rows := cursor.fetchmany(_FETCH):
            yield rows

    def packs(self) -> Iterator[list[tuple[int, str]]]:
        """Yield label and packed metadata of every record in the order of writing."""
        cursor = self._connection.execute("SELECT label, pack FROM records ORDER BY label")
        while rows := cursor.fetchmany(_FETCH):
            yield rows

    def ranked(self, text: str) -> Iterator[tuple[int, float]]:
        """Yield label and score of the records that share words with the text, best first."""
        expression = words.match_expression(text)
        return iter(()) if expression is None else words.ranked(self._connection, expression)

    def is_sound(self, rows: int) -> bool:
        """Whether the index of words is whole and holds so many records."""
        return words.is_sound(self._connection, rows)

    def tidy(self) -> None:
        """Make the index of words, and the file, compact."""
        self._connection.execute("INSERT INTO words(words) VALUES('optimize')")
        self._connection.execute("VACUUM")

    def close(self) -> None:
        """Close it, on disk as it is."""
        self._connection.close()
        if self.file is not None and self.file.exists():
            sync(self.file)

    def discard(self) -> None:
        """Close it and delete its file."""
        self._connection.close()
        if self.file is not None:
            self.file.unlink(missing_ok=True)

    def _make(self) -> None:
        for statement in _TABLES.split(";"):
            self._connection.execute(statement)

"""Text search: what goes into the text index, and how it is asked.

SQLite's FTS5 stems English (porter) and folds accents, but takes a Chinese, Japanese or Korean sentence for one
word. So a run of such characters is written as its overlapping pairs, and the last character alone: a query of
one character is then found as the beginning of a pair or as that last one.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from zlib import crc32

from ctxkit.local.schema import State

_CJK = (
    "\u1100-\u11ff\u3005-\u3007\u3031-\u3035\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f"
    "\u3131-\u318e\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
_RUN = re.compile(f"[{_CJK}]+")
_WORD = re.compile(r"[^\W_]+")
_SHADOWS = (
    "SELECT CAST(id AS BLOB), block FROM words_data ORDER BY id",
    "SELECT CAST(segid AS BLOB), CAST(term || '/' || pgno AS BLOB) FROM words_idx ORDER BY segid, term",
    "SELECT CAST(id AS BLOB), sz FROM words_docsize ORDER BY id",
)


def prepared(text: str) -> str:
    """Return the text as the index sees it; the same text always gives the same."""
    if "\0" in text:
        text = text.replace("\0", " ")
    return text if text.isascii() else _RUN.sub(_pairs, text)


def match_expression(text: str) -> str | None:
    """Return an FTS5 query for any of the words in `text`, or None when it holds no word.

    Every word is quoted, so nothing in it is syntax, and stands there once: the index folds case, and a word twice
    would count twice.
    """
    terms: dict[str, None] = {}
    end = 0
    plain = text.replace("\0", " ").lower()
    for run in _RUN.finditer(plain):
        terms.update(dict.fromkeys(f'"{word}"' for word in _WORD.findall(plain[end : run.start()])))
        found = run.group()
        pairs = [f'"{found[i : i + 2]}"' for i in range(len(found) - 1)] or [f'"{found}" *']
        terms.update(dict.fromkeys(pairs))
        end = run.end()
    terms.update(dict.fromkeys(f'"{word}"' for word in _WORD.findall(plain[end:])))
    return " OR ".join(terms) or None


def ranked(connection: sqlite3.Connection, expression: str) -> Iterator[tuple[int, float]]:
    """Yield (label, score) best first; the score is BM25, positive, higher is better.

    FTS5 gives BM25 negated: https://www.sqlite.org/fts5.html#the_bm25_function.
    """
    cursor = connection.execute("SELECT rowid, bm25(words) FROM words WHERE words MATCH ? ORDER BY 2", (expression,))
    for label, score in cursor:
        yield label, -score


def forget(connection: sqlite3.Connection, rows: Iterable[tuple[int, str]]) -> None:
    """Take (label, text) rows out of the index; it keeps no text, so it must be told the same text again."""
    connection.executemany(
        "INSERT INTO words(words, rowid, text) VALUES('delete', ?, ?)",
        ((label, prepared(text)) for label, text in rows),
    )


def rebuild(connection: sqlite3.Connection, rows: Iterable[tuple[int, str]]) -> None:
    """Make the index anew from (label, text) rows."""
    connection.execute("INSERT INTO words(words) VALUES('delete-all')")
    connection.executemany(
        "INSERT INTO words(rowid, text) VALUES(?, ?)", ((label, prepared(text)) for label, text in rows)
    )


def is_sound(connection: sqlite3.Connection, rows: int) -> bool:
    """Whether the index holds as many rows as there are records and is whole in itself."""
    if connection.execute("SELECT count(*) FROM words_docsize").fetchone()[0] != rows:
        return False
    try:
        connection.execute("INSERT INTO words(words) VALUES('integrity-check')")
    except sqlite3.DatabaseError:
        return False
    return True


def is_as_sealed(connection: sqlite3.Connection, state: State) -> bool:
    """Whether the index is as the last to close left it; True where others have written since."""
    return state.text_seq != state.seq or digest(connection) == state.text_digest


def digest(connection: sqlite3.Connection) -> int:
    """Return a checksum of the index's own tables."""
    value = 0
    for statement in _SHADOWS:
        for row in connection.execute(statement):
            for part in row:
                # A damaged table may hold anything in any column.
                value = crc32(part if isinstance(part, bytes) else repr(part).encode(), value)
    return value


def _pairs(run: re.Match[str]) -> str:
    found = run.group()
    return " ".join(["", *(found[i : i + 2] for i in range(len(found) - 1)), found[-1], ""])

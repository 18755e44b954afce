"""Text search: what goes into the text index, and how it is asked.

SQLite's FTS5 stems English (porter) and folds accents, but takes a Chinese, Japanese or Korean sentence for one
word. So a run of such characters is written as its overlapping pairs, and the last character alone: a query of
one character is then found as the beginning of a pair or as that last one.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import chain
from zlib import crc32

from ctxkit.local.schema import TOKENIZER, State

_CJK = (
    "\u1100-\u11ff\u3005-\u3007\u3031-\u3035\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f"
    "\u3131-\u318e\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
_RUN = re.compile(f"[{_CJK}]+")
_WORD = re.compile(r"[^\W_]+")
_BYTE = 0x80  # the first number that takes two bytes in SQLite's variable-length form
_SMALL = {bytes([number]): number for number in range(_BYTE)}
_MOST = 2**31 - 1
# A copy of the index's tokenizer without a copy of its content, and the words of both, each with its row.
_TEMPORARY = (
    f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.apart USING fts5(text, content='', tokenize='{TOKENIZER}')",
    "CREATE VIRTUAL TABLE IF NOT EXISTS temp.apart_words USING fts5vocab('temp', 'apart', 'instance')",
    "CREATE VIRTUAL TABLE IF NOT EXISTS temp.all_words USING fts5vocab('main', 'words', 'instance')",
)
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
    """Return an FTS5 query for any of the words in `text`, or None when it holds no word."""
    return " OR ".join(phrases(text)) or None


def phrases(text: str) -> list[str]:
    """Return the words in `text`, each as an FTS5 query.

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
    return list(terms)


def ranked(connection: sqlite3.Connection, expression: str) -> Iterator[tuple[int, float]]:
    """Yield (label, score) best first; the score is BM25, positive, higher is better.

    FTS5 gives BM25 negated: https://www.sqlite.org/fts5.html#the_bm25_function.
    """
    cursor = connection.execute("SELECT rowid, bm25(words) FROM words WHERE words MATCH ? ORDER BY 2", (expression,))
    for label, score in cursor:
        yield label, -score


def totals(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return how many rows the index holds, and how many words: what BM25 compares a row's length with.

    FTS5 keeps both in its averages record: https://www.sqlite.org/fts5.html#the_data_table_.
    """
    record = connection.execute("SELECT block FROM words_data WHERE id = 1").fetchone()
    rows, words = (*_numbers(record[0] if record else b""), 0, 0)[:2]
    return rows, words


def lengths(connection: sqlite3.Connection, after: int) -> tuple[list[int], list[int]]:
    """Return the labels above `after`, ascending, and how many words each of those rows has."""
    found = connection.execute("SELECT id, sz FROM words_docsize WHERE id > ? ORDER BY id", (after,)).fetchall()
    sizes = [_SMALL[size] if size in _SMALL else sum(_numbers(size)) for _, size in found]
    if sizes and max(sizes) > _MOST:
        raise _damaged(max(sizes))
    return [label for label, _ in found], sizes


def apart(connection: sqlite3.Connection, texts: Iterable[str]) -> list[tuple[int, bytes]]:
    """Return the words of texts as the index has them: (number of the text, word), those of a text in any order."""
    _make_temporary(connection)
    connection.executemany("INSERT INTO temp.apart(rowid, text) VALUES(?, ?)", enumerate(texts))
    found = connection.execute("SELECT doc, term FROM temp.apart_words").fetchall()
    connection.execute("INSERT INTO temp.apart(apart) VALUES('delete-all')")
    return found


def places(connection: sqlite3.Connection, word: bytes) -> Iterator[int]:
    """Return the label of each place at which a word (one that `apart` returned) stands, ascending."""
    _make_temporary(connection)
    found = connection.execute("SELECT doc FROM temp.all_words WHERE term = CAST(? AS TEXT)", (word,)).fetchall()
    return chain.from_iterable(found)


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
    """Whether the index holds the rows of the records, no others, and is whole in itself."""
    if connection.execute("SELECT count(*) FROM words_docsize").fetchone()[0] != rows:
        return False
    strangers = "SELECT 1 FROM words_docsize WHERE id NOT IN (SELECT label FROM records) LIMIT 1"
    if connection.execute(strangers).fetchone() is not None:
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


def _make_temporary(connection: sqlite3.Connection) -> None:
    for statement in _TEMPORARY:
        connection.execute(statement)


def _numbers(packed: object) -> list[int]:
    """Return the numbers that SQLite wrote as varints of up to eight bytes."""
    if not isinstance(packed, bytes) or (packed and packed[-1] >= _BYTE):
        raise _damaged(packed)
    found = []
    number = 0
    for byte in packed:
        number = number << 7 | byte & (_BYTE - 1)
        if byte < _BYTE:
            found.append(number)
            number = 0
    return found


def _damaged(number: object) -> sqlite3.DatabaseError:
    """Return the error that SQLite itself would raise had it read a number that is none of the index's."""
    return sqlite3.DatabaseError(f"the text index holds {number!r:.40} where a number of words belongs")


def _pairs(run: re.Match[str]) -> str:
    found = run.group()
    return " ".join(["", *(found[i : i + 2] for i in range(len(found) - 1)), found[-1], ""])

"""Text search beside plain FTS5, for whoever searches by words as well."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import numpy as np

from ctxkit_conformance.bench.baseline import Row
from ctxkit_conformance.bench.figures import Figure
from ctxkit_conformance.bench.sqlite_rows import connect
from ctxkit_conformance.bench.stage import K, Stage, in_hand
from ctxkit_conformance.bench.timing import in_turns

_WORDS: Final = 3
_CALLS: Final = 10
_SEARCH: Final = (
    "SELECT rows.id, -words.rank, rows.text, rows.metadata FROM words JOIN rows ON rows.label = words.rowid"
    " WHERE words MATCH ? ORDER BY words.rank LIMIT ?"
)


def measure(stage: Stage) -> Iterator[Figure]:
    """Yield the p50 of a search for three words; nothing where the store has no text search."""
    if stage.declared.text_search is None:
        yield Figure("text", "text search, 3 words", note="the store has none")
        return
    _, store = stage.both()
    stage.tell("text search")
    questions = _questions(stage)
    with closing(_plain(stage)) as connection:

        def raw(number: int) -> list[Row]:
            words = " OR ".join(f'"{word}"' for word in questions[number % len(questions)])
            found = connection.execute(_SEARCH, (words, K))
            return [(id_, score, text, json.loads(metadata)) for id_, score, text, metadata in found]

        def ours(number: int) -> list[Row]:
            return in_hand(store.text_query(" ".join(questions[number % len(questions)]), K))

        turns = in_turns([ours, raw], rounds=stage.effort.rounds, calls=_CALLS)
    yield Figure(
        "text",
        "text search, 3 words",
        turns.ratio(),
        spread=turns.spread(),
        ours=turns.median(0),
        raw=turns.median(1),
        measured_in="s",
    )


def _questions(stage: Stage) -> list[list[str]]:
    """Return a few words out of each text that is asked for."""
    rng = np.random.default_rng(len(stage.data))
    found = []
    for text in stage.data.questions:
        words = sorted(set(re.findall(r"[^\W\d_]{3,}", text)))
        if words:
            found.append(rng.choice(words, min(_WORDS, len(words)), replace=False).tolist())
    return found or [["nothing"]]


def _plain(stage: Stage) -> Any:
    """Return a database whose texts are indexed as one does it with FTS5 alone."""
    data, dumps = stage.data, json.dumps
    connection: sqlite3.Connection = connect(stage.folder / "words.db")
    connection.execute("BEGIN")
    connection.execute("CREATE TABLE rows(label INTEGER PRIMARY KEY, id TEXT, text TEXT, metadata TEXT)")
    connection.execute(
        "CREATE VIRTUAL TABLE words USING fts5(text, content='rows', content_rowid='label', tokenize='porter')"
    )
    rows = zip(range(len(data)), data.ids, data.texts, map(dumps, data.metadata), strict=True)
    connection.executemany("INSERT INTO rows VALUES(?, ?, ?, ?)", rows)
    connection.execute("INSERT INTO words(words) VALUES('rebuild')")
    connection.execute("COMMIT")
    return connection

"""Search by words: the text index's ranking, filtered, with ties by id."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import islice
from threading import Lock

import numpy as np

from ctxkit.local import text
from ctxkit.local.faults import Place
from ctxkit.local.index import Mask
from ctxkit.local.postings import Scores, UnknownRowError, rows_of
from ctxkit.local.search import Found
from ctxkit.local.view import View

_PAGE = 256


def search(
    connection: sqlite3.Connection, view: View, words: str, k: int, mask: Mask | None, place: Place, turn: Lock
) -> list[Found]:
    """Return the k best of the allowed rows. `turn` is that of those who read, as in `KeptTexts.read`."""
    phrases = text.phrases(words)
    if not phrases or not len(view):
        return []
    try:
        with turn:
            scores = _scored(connection, view, phrases)
        if scores is None:
            return _walked(connection, view, phrases, k, view.alive if mask is None else mask)
    except UnknownRowError as error:
        message = "the text index names rows that do not exist."
        raise place.corrupt(message, fix="call `optimize()` on the store.") from error
    return _best(view, scores, k, mask)


def _scored(connection: sqlite3.Connection, view: View, phrases: Sequence[str]) -> Scores | None:
    try:
        return view.words.scores(connection, view, phrases)
    except BaseException:
        view.words.forget()
        raise


def _best(view: View, scores: Scores, k: int, mask: Mask | None) -> list[Found]:
    """Return the k best of the allowed rows that have a score."""
    rows = np.flatnonzero(scores > 0 if mask is None else mask & (scores > 0))
    values = scores[rows]
    if len(rows) > k:
        near = values >= np.partition(values, len(rows) - k)[len(rows) - k]
        rows, values = rows[near], values[near]
    ids = view.ids
    columns = ((-values).tolist(), [ids[row] for row in rows.tolist()], rows.tolist(), view.labels[rows].tolist())
    return sorted(zip(*columns, strict=True))[:k]


def _walked(connection: sqlite3.Connection, view: View, phrases: Sequence[str], k: int, allowed: Mask) -> list[Found]:
    """Walk FTS5's ranking until k allowed rows, and all that tie with the k-th, are found."""
    ranking = text.ranked(connection, " OR ".join(phrases))
    found: list[Found] = []
    while page := list(islice(ranking, _PAGE)):
        rows = rows_of(view, np.array([label for label, _ in page], dtype=np.int64))
        for (label, score), row in zip(page, rows.tolist(), strict=True):
            if len(found) >= k and -score > found[-1][0]:
                return sorted(found)[:k]
            if allowed[row]:
                found.append((-score, view.ids[row], row, label))
    return sorted(found)[:k]

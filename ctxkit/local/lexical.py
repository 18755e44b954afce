"""Search by words: the text index's ranking, filtered, with ties by id."""

from __future__ import annotations

import sqlite3
from itertools import islice

import numpy as np

from ctxkit.local import text
from ctxkit.local.faults import Place
from ctxkit.local.index import Mask
from ctxkit.local.search import Found
from ctxkit.local.view import View

_PAGE = 256


def search(
    connection: sqlite3.Connection, view: View, words: str, k: int, mask: Mask | None, place: Place
) -> list[Found]:
    """Walk the ranking until k allowed rows, and all that tie with the k-th, are found."""
    expression = text.match_expression(words)
    if expression is None or not view.size:
        return []
    allowed = view.alive if mask is None else mask
    ranking = text.ranked(connection, expression)
    found: list[Found] = []
    while page := list(islice(ranking, _PAGE)):
        labels = np.array([label for label, _ in page], dtype=np.int64)
        rows = np.minimum(np.searchsorted(view.labels, labels), view.size - 1)
        if not (view.labels[rows] == labels).all():
            raise place.corrupt("the text index names rows that do not exist.", fix="call `optimize()` on the store.")
        for (label, score), row in zip(page, rows.tolist(), strict=True):
            if len(found) >= k and -score > found[-1][0]:
                return sorted(found)[:k]
            if allowed[row]:
                found.append((-score, view.ids[row], row, label))
    return sorted(found)[:k]

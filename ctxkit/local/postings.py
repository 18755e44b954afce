"""Which rows hold a word, kept in memory, so that a question about it again costs no walk through the text index.

FTS5 ranks row by row. Here the rows of a word and how often each holds it are arrays, read from FTS5 when the word is
first asked for, and a ranking is a few sums over them: the same BM25, step by step.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ctxkit.local import rows, text
from ctxkit.local.arrays import Growing

if TYPE_CHECKING:
    from ctxkit.local.view import View

Scores = npt.NDArray[np.float64]
_K1, _B = 1.2, 0.75
_LEAST_WEIGHT = 1e-6  # of a word that more than half of the rows hold
_KEPT_BYTES = 32 * 2**20
_FEW = 256  # rows whose words are added to what is kept; for more than that it is read anew
_WORDS_KEPT = 8192
_BYTES_PER_WORD = 400  # an entry of two dicts and its two arrays, beside what these hold


class UnknownRowError(Exception):
    """The text index names a row that does not exist."""


class _Postings:
    """The rows that hold one word, ascending, and how often; without the first `dead` tombstones of the view."""

    __slots__ = ("counts", "dead", "rows")

    def __init__(self) -> None:
        self.rows = Growing(np.int32)
        self.counts = Growing(np.int32)
        self.dead = -1

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + self.counts.nbytes

    def add(self, rows_: npt.ArrayLike, counts: npt.ArrayLike) -> None:
        self.rows.extend(rows_)
        self.counts.extend(counts)

    def living(self, alive: npt.NDArray[np.bool_], dead: int) -> _Postings:
        """Return the postings without tombstones."""
        kept = alive[self.rows.values]
        found = self
        if not kept.all():
            found = _Postings()
            found.add(self.rows.values[kept], self.counts.values[kept])
        found.dead = dead
        return found


class Words:
    """The postings of the words last asked for, of one view. Used by one thread at a time."""

    def __init__(self) -> None:
        self._words: dict[str, list[bytes]] = {}
        self.forget()

    def forget(self) -> None:
        """Keep nothing of the rows: after a failure nobody knows how far it came."""
        self._lengths = Growing(np.int32)
        self._postings: OrderedDict[bytes, _Postings] = OrderedDict()
        self._held = 0

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._held + self._lengths.nbytes + _BYTES_PER_WORD * (len(self._postings) + len(self._words))

    def scores(self, connection: sqlite3.Connection, view: View, phrases: Sequence[str]) -> Scores | None:
        """Return the BM25 score of each row for any of these phrases, 0.0 where it has none of them.

        None where FTS5 has to rank: where a phrase is the beginning of words, or several words, or where the index
        holds other rows than the view.
        """
        asked = self._asked(connection, phrases)
        count, total = text.totals(connection)
        if asked is None or count != len(view) or not total:
            return None
        self._follow(connection, view)
        average = total / count
        found: list[tuple[npt.NDArray[np.int32], Scores]] = []
        for word in asked:
            postings = self._postings_of(connection, view, word)
            places, often = postings.rows.values, postings.counts.values.astype(np.float64)
            # https://www.sqlite.org/fts5.html#the_bm25_function, each step as FTS5 takes it.
            rarity = (count - len(places) + 0.5) / (len(places) + 0.5)
            weight = math.log(rarity) if rarity > 1 else _LEAST_WEIGHT
            share = 1 - _B + _B * self._lengths.values[places] / average
            found.append((places, weight * (often * (_K1 + 1.0) / (often + _K1 * share))))
        if not found:
            return np.zeros(view.size)
        every_place, every_score = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return np.bincount(every_place, every_score, view.size).astype(np.float64, copy=False)

    def _asked(self, connection: sqlite3.Connection, phrases: Sequence[str]) -> list[bytes] | None:
        """Return the word of each phrase as the index has it; None where one is not a single word."""
        if any(phrase.endswith("*") for phrase in phrases):
            return None
        unknown = [phrase for phrase in phrases if phrase not in self._words]
        if unknown:
            if len(self._words) > _WORDS_KEPT:
                self._words.clear()
                unknown = list(phrases)
            parts: dict[str, list[bytes]] = {phrase: [] for phrase in unknown}
            for number, word in text.apart(connection, unknown):
                parts[unknown[number]].append(word)
            self._words.update(parts)
        asked = [self._words[phrase] for phrase in phrases]
        return None if any(len(words) > 1 for words in asked) else [words[0] for words in asked if words]

    def _follow(self, connection: sqlite3.Connection, view: View) -> None:
        """Take in the rows that the view has got since."""
        known = len(self._lengths)
        fresh = view.size - known
        if not fresh:
            return
        labels, sizes = text.lengths(connection, int(view.labels[known - 1]) if known else -1)
        places = rows_of(view, np.array(labels, dtype=np.int64))
        lengths = np.zeros(fresh, dtype=np.int32)
        lengths[places - known] = sizes
        if self._postings and not (fresh <= _FEW and self._add(connection, view, places)):
            self._postings.clear()
            self._held = 0
        self._lengths.extend(lengths)

    def _add(self, connection: sqlite3.Connection, view: View, fresh: npt.NDArray[np.int64]) -> bool:
        """Add the words of live rows to the postings that are kept; return whether that could be done."""
        labels = view.labels[fresh].tolist()
        stored = rows.fetch(connection, labels, view.index.dimension, with_vectors=False)
        if len(stored) < len(labels) or not all(row.ok for row in stored.values()):
            return False
        texts = [text.prepared(stored[label].text) for label in labels]
        for (number, word), often in sorted(Counter(text.apart(connection, texts)).items()):
            postings = self._postings.get(word)
            if postings is not None:
                self._held -= postings.nbytes
                postings.add(fresh[number : number + 1], [often])
                self._held += postings.nbytes
        return True

    def _postings_of(self, connection: sqlite3.Connection, view: View, word: bytes) -> _Postings:
        dead = view.size - len(view)
        postings = self._postings.get(word)
        if postings is None:
            labels = np.fromiter(text.places(connection, word), dtype=np.int64)
            labels, counts = np.unique(labels, return_counts=True)
            postings = _Postings()
            postings.add(rows_of(view, labels), counts)
        else:
            self._held -= postings.nbytes
        if postings.dead != dead:
            postings = postings.living(view.alive, dead)
        self._postings[word] = postings
        self._postings.move_to_end(word)
        self._held += postings.nbytes
        while self._held > _KEPT_BYTES and len(self._postings) > 1:
            self._held -= self._postings.popitem(last=False)[1].nbytes
        return postings


def rows_of(view: View, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the rows of labels; raises UnknownRowError for one that has none."""
    places = np.minimum(np.searchsorted(view.labels, labels), view.size - 1)
    if not (view.labels[places] == labels).all():
        raise UnknownRowError
    return places

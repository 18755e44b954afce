"""Search by vector: the law of k, scores in float64, ties by id.

An index proposes candidates by float32 similarity. They are scored again from the vectors themselves, so every index
scores alike. An exact index's proposal is taken for the truth only when no row left out could, by the rounding
of a float32 sum, belong among the k; else it is asked for more, and in the end every row is scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctxkit.errors import StoreCorruptError
from ctxkit.local.faults import Place
from ctxkit.local.index import Mask
from ctxkit.local.view import View
from ctxkit.records import FloatVector, FloatVectors, Metric

Scores = npt.NDArray[np.float64]
_SPARE = 6
_GROWTH = 8
_MOST_CANDIDATES = 16_384
_BLOCK_ROWS = 4096
_QUERIES_AT_ONCE = 64
_ROUNDING = 2.0**-24  # half a unit in the last place of float32
_SMALLEST = 2.0**-126  # below it, float32 sums may be flushed to zero
_LARGEST = 1e37  # beyond it, float32 sums may overflow


@dataclass(frozen=True, slots=True)
class Found:
    """One hit before its text is read."""

    label: int
    id: str
    score: float


class Searcher:
    """One search over one view."""

    def __init__(self, view: View, metric: Metric) -> None:
        self._view = view
        self._metric: Metric = metric
        self._dimension = view.index.dimension

    def search(self, queries: FloatVectors, k: int, mask: Mask | None) -> Iterator[list[Found]]:
        """Yield, for each query, its best min(k, rows allowed); `mask` marks the allowed rows (None: all)."""
        allowed = None if mask is None else self._view.slot_mask(mask)
        matches = len(self._view.index) if allowed is None else int(np.count_nonzero(allowed))
        wanted = min(k, matches)
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            block = queries[start : start + _QUERIES_AT_ONCE]
            if not wanted:
                yield from ([] for _ in block)
                continue
            for query, found in zip(block, self._proposed(block, wanted, matches, allowed), strict=True):
                yield found if found is not None else self._every_row(query, wanted, mask)

    def _proposed(
        self, queries: FloatVectors, wanted: int, matches: int, allowed: Mask | None
    ) -> list[list[Found] | None]:
        """Return each query's hits, None where the index's proposals do not settle them."""
        results: list[list[Found] | None] = [None] * len(queries)
        open_ = [i for i, query in enumerate(queries) if self._error_bound(query) < _LARGEST]
        size = min(matches, wanted + _SPARE)
        while open_:
            slots, similarities = self._view.index.search(queries[open_], size, allowed)
            rows_ = [self._view.rows_of_slots(found[found >= 0]) for found in slots]
            unsettled = []
            for place, i in enumerate(open_):
                hits = self._scored(queries[i], rows_[place])
                full = len(hits) >= wanted
                if full and self._settled(queries[i], hits[wanted - 1].score, similarities[place], size, matches):
                    results[i] = hits[:wanted]
                else:
                    unsettled.append(i)
            if size >= min(matches, _MOST_CANDIDATES):
                break
            open_, size = unsettled, min(matches, size * _GROWTH, _MOST_CANDIDATES)
        return results

    def _settled(
        self, query: FloatVector, last_score: float, similarities: npt.NDArray[np.float32], size: int, matches: int
    ) -> bool:
        """Whether no row that was not proposed can reach the k-th score."""
        if size >= matches or not self._view.index.exact:
            return True
        ceiling = float(similarities[-1]) + self._slack(query)
        return bool(_final(np.array([ceiling]), self._metric)[0] < last_score)

    def _slack(self, query: FloatVector) -> float:
        """Return how far a float32 similarity may lie from the true one (the bound of a plain sum)."""
        terms = self._dimension + 8
        return terms * (2 * _ROUNDING * self._error_bound(query) + _SMALLEST)

    def _error_bound(self, query: FloatVector) -> float:
        """Return the largest sum of absolute terms that a similarity of this query can have."""
        if self._metric == "cosine":
            return 2.0
        length = float(np.sqrt((query.astype(np.float64) ** 2).sum()))
        return length * self._view.longest if self._metric == "dot" else (length + self._view.longest) ** 2

    def _scored(self, query: FloatVector, rows_: npt.NDArray[np.int64]) -> list[Found]:
        """Return these rows best first."""
        if not len(rows_):
            return []
        return self._ordered(rows_.tolist(), similarity(query, self._view.vectors(rows_), self._metric))

    def _ordered(self, rows_: Sequence[int], scores: Scores) -> list[Found]:
        ids, labels = self._view.ids, self._view.labels
        order = sorted(zip((-scores).tolist(), [ids[row] for row in rows_], rows_, strict=True))
        return [Found(int(labels[row]), record_id, -negative) for negative, record_id, row in order]

    def _every_row(self, query: FloatVector, wanted: int, mask: Mask | None) -> list[Found]:
        """Score every allowed row."""
        allowed = self._view.with_vector() & (self._view.alive if mask is None else mask)
        rows_ = np.flatnonzero(allowed)
        best: list[Found] = []
        for start in range(0, len(rows_), _BLOCK_ROWS):
            block = rows_[start : start + _BLOCK_ROWS]
            best = best + self._scored(query, block)
            best = sorted(best, key=lambda hit: (-hit.score, hit.id))[:wanted]
        return best


def similarity(query: FloatVector, vectors: FloatVectors, metric: Metric) -> Scores:
    """Return the scores of `vectors`, float32[n, d], in float64; equal vectors get equal scores.

    The sums run along each row by itself, so a row's score does not depend on its neighbours.
    """
    wide, asked = vectors.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        return _final(-((wide - asked) ** 2).sum(axis=1), metric)
    products: Scores = (wide * asked).sum(axis=1)
    if metric == "cosine":
        products /= np.sqrt((wide**2).sum(axis=1)) * np.sqrt((asked**2).sum())
    return _final(products, metric)


def _final(similarities: Scores, metric: Metric) -> Scores:
    """Turn similarities (cosine, product, minus squared distance) into scores, keeping their order."""
    if metric == "cosine":
        return np.clip(similarities, -1.0, 1.0)
    if metric == "dot":
        return similarities
    return 1.0 / (1.0 + np.sqrt(np.maximum(-similarities, 0.0)))


def damaged_rows(ids: Sequence[str], place: Place) -> StoreCorruptError:
    """Return the error that names damaged records."""
    shown = ", ".join(repr(record_id) for record_id in ids[:10])
    more = f" and {len(ids) - 10} more" if len(ids) > 10 else ""  # noqa: PLR2004 - as many as a line holds
    return place.corrupt(
        f"records do not match their checksum: {shown}{more}.",
        fix="write these ids again, delete them by id, or restore the collection from a copy; `get` reads the others.",
    )

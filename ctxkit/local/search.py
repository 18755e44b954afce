"""Search by vector: the law of k, scores in float64, ties by id.

An index proposes candidates by float32 similarity. They are scored again from the vectors themselves, so every index
scores alike. An exact index's proposal is taken for the truth only when no row left out could, by the rounding
of a float32 sum, belong among the k; else it is asked for more, and in the end every row is scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ctxkit.errors import StoreCorruptError
from ctxkit.local.faults import Place
from ctxkit.local.index import Mask, Slots
from ctxkit.local.selections import Selection
from ctxkit.local.view import View
from ctxkit.records import FloatVector, FloatVectors, Metric

Scores = npt.NDArray[np.float64]
# One hit before its text is read: minus its score, its id, its row in the view, its label. The best sorts first, ties
# by id.
Found: TypeAlias = tuple[float, str, int, int]
_GROWTH = 8
_MOST_CANDIDATES = 16_384
_BLOCK_ROWS = 1024
_QUERIES_AT_ONCE = 64
_ROUNDING = 2.0**-24  # half a unit in the last place of float32
_SMALLEST = 2.0**-126  # below it, float32 sums may be flushed to zero
_LARGEST = 1e37  # beyond it, float32 sums may overflow


class Searcher:
    """One search over one view."""

    def __init__(self, view: View, metric: Metric) -> None:
        self._view = view
        self._metric: Metric = metric
        self._dimension = view.index.dimension

    def search(self, queries: FloatVectors, k: int, chosen: Selection | None) -> list[list[Found]]:
        """Return, for each query, its best min(k, rows chosen); None chooses all."""
        matches = len(self._view.index) if chosen is None else chosen.matches
        wanted = min(k, matches)
        if not wanted:
            return [[] for _ in queries]
        found: list[list[Found]] = []
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            block = queries[start : start + _QUERIES_AT_ONCE]
            proposed = self._proposed(block, wanted, matches, None if chosen is None else chosen.slots)
            found += [
                self._every_row(query, wanted, None if chosen is None else chosen.rows) if hits is None else hits
                for query, hits in zip(block, proposed, strict=True)
            ]
        return found

    def _proposed(
        self, queries: FloatVectors, wanted: int, matches: int, allowed: Mask | None
    ) -> list[list[Found] | None]:
        """Return each query's hits, None where the index's proposals do not settle them."""
        results: list[list[Found] | None] = [None] * len(queries)
        index = self._view.index
        bounds = self._error_bounds(queries)
        open_ = [place for place, bound in enumerate(bounds.tolist()) if bound < _LARGEST]
        size = min(matches, index.candidates(wanted))
        while open_:
            asked = queries if len(open_) == len(queries) else queries[open_]
            slots, proposed = index.search(asked, size, allowed)
            found = self._ranked(asked, slots, wanted)
            ceilings = None
            if size < matches and index.exact:
                ceilings = _final(proposed[:, -1] + self._slack(bounds[open_]), self._metric).tolist()
            unsettled = []
            for number, (place, hits) in enumerate(zip(open_, found, strict=True)):
                if len(hits) == wanted and (ceilings is None or ceilings[number] < -hits[-1][0]):
                    results[place] = hits
                else:
                    unsettled.append(place)
            if size >= min(matches, _MOST_CANDIDATES):
                break
            open_, size = unsettled, min(matches, size * _GROWTH, _MOST_CANDIDATES)
        return results

    def _slack(self, bounds: Scores) -> Scores:
        """Return how far a float32 similarity may lie from the true one (the bound of a plain sum)."""
        terms = self._dimension + 8
        slack: Scores = terms * (2 * _ROUNDING * bounds + _SMALLEST)
        return slack

    def _error_bounds(self, queries: FloatVectors) -> Scores:
        """Return for each query the largest sum of absolute terms that a similarity can have."""
        if self._metric == "cosine":
            return np.full(len(queries), 2.0)
        lengths: Scores = np.sqrt(np.einsum("ij,ij->i", queries, queries, dtype=np.float64))
        return lengths * self._view.longest if self._metric == "dot" else np.square(lengths + self._view.longest)

    def _ranked(self, queries: FloatVectors, slots: Slots, wanted: int) -> list[list[Found]]:
        """Return, for each query, the best of the rows at its slots; slot -1 is no row."""
        rows_ = self._view.rows_of_slots(slots)
        losses = -self._scores(queries, slots)
        losses[slots < 0] = np.inf
        columns = (losses, rows_, self._view.labels[rows_])
        each_query = zip(*(column.tolist() for column in columns), strict=True)
        return [self._found(*found)[:wanted] for found in each_query]

    def _scores(self, queries: FloatVectors, slots: Slots) -> Scores:
        """Return the scores of the vectors at `slots`, float64 of the same shape; where slot is -1, of any vector."""
        scores = np.empty(slots.shape, dtype=np.float64)
        step = max(1, _BLOCK_ROWS // slots.shape[1])
        for start in range(0, len(slots), step):
            part = slots[start : start + step]
            vectors = self._view.index.rows_at(part.reshape(-1)).reshape(*part.shape, self._dimension)
            scores[start : start + step] = similarity(queries[start : start + step, None, :], vectors, self._metric)
        return scores

    def _found(self, losses: Sequence[float], rows_: Sequence[int], labels: Sequence[int]) -> list[Found]:
        """Return rows as hits in order, without those of infinite loss."""
        ids = self._view.ids
        found = sorted(zip(losses, [ids[row] for row in rows_], rows_, labels, strict=True))
        while found and found[-1][0] == np.inf:
            found.pop()
        return found

    def _every_row(self, query: FloatVector, wanted: int, mask: Mask | None) -> list[Found]:
        """Score every allowed row."""
        allowed = self._view.with_vector() & (self._view.alive if mask is None else mask)
        rows_ = np.flatnonzero(allowed)
        best: list[Found] = []
        for start in range(0, len(rows_), _BLOCK_ROWS):
            block = rows_[start : start + _BLOCK_ROWS]
            losses = -similarity(query, self._view.vectors(block), self._metric)
            found = self._found(losses.tolist(), block.tolist(), self._view.labels[block].tolist())
            best = sorted(best + found)[:wanted]
        return best


def similarity(queries: FloatVectors, vectors: FloatVectors, metric: Metric) -> Scores:
    """Return the scores of `vectors`, float32[..., d], for `queries` of a shape that goes with it, in float64.

    The sums run along each row by itself, so a row's score does not depend on its neighbours.
    """
    wide, asked = vectors.astype(np.float64), queries.astype(np.float64)
    if metric == "l2":
        wide -= asked
        wide *= wide
        return _final(-np.add.reduce(wide, axis=-1), metric)
    if metric == "dot":
        wide *= asked
        return _final(np.add.reduce(wide, axis=-1), metric)
    lengths = np.sqrt(np.add.reduce(wide * wide, axis=-1))
    wide *= asked
    products: Scores = np.add.reduce(wide, axis=-1)
    products /= lengths * np.sqrt(np.add.reduce(asked * asked, axis=-1))
    return _final(products, metric)


def _final(similarities: Scores, metric: Metric) -> Scores:
    """Turn similarities (cosine, product, minus squared distance) into scores, keeping their order."""
    if metric == "cosine":
        return np.minimum(np.maximum(similarities, -1.0), 1.0)
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

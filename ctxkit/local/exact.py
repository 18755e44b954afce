"""Exact search with numpy: one matrix product per block of queries."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ctxkit.local.arrays import Growing
from ctxkit.local.index import AnnIndex, Mask, Slots, unit
from ctxkit.records import FloatVectors, Metric

_BLOCK_CELLS = 4_000_000
# Below this share of allowed rows it is cheaper to copy them out than to multiply with all.
_GATHER_SHARE = 0.25


class ExactIndex(AnnIndex):
    """All vectors in one float32 matrix (of unit length under cosine)."""

    name: ClassVar[str] = "Exact"
    exact: ClassVar[bool] = True

    def __init__(self, dimension: int, metric: Metric) -> None:
        super().__init__(dimension, metric)
        self._rows = Growing(np.float32, (dimension,))
        self._squares = Growing(np.float32)
        self._alive = Growing(np.bool_)
        self._live = 0

    def add(self, vectors: FloatVectors) -> None:
        """Append vectors."""
        self._rows.extend(unit(vectors) if self.metric == "cosine" else vectors)
        if self.metric == "l2":
            with np.errstate(over="ignore"):
                self._squares.extend(np.einsum("ij,ij->i", vectors, vectors))
        self._alive.extend(np.ones(len(vectors), dtype=np.bool_))
        self._live += len(vectors)

    def remove(self, slots: Slots) -> None:
        """Leave tombstones."""
        alive = self._alive.values
        self._live -= int(np.count_nonzero(alive[slots]))
        alive[slots] = False

    def search(self, queries: FloatVectors, k: int, allowed: Mask | None) -> tuple[Slots, npt.NDArray[np.float32]]:
        """Return the k best of each query, `allowed` or not, by brute force."""
        if self.metric == "cosine":
            queries = unit(queries)
        chosen, hidden = self._candidates(allowed)
        rows = self._rows.values if chosen is None else self._rows.values[chosen]
        slots = np.full((len(queries), k), -1, dtype=np.int64)
        similarities = np.full((len(queries), k), -np.inf, dtype=np.float32)
        block = max(1, _BLOCK_CELLS // max(1, len(rows)))
        for start in range(0, len(queries), block):
            part = queries[start : start + block]
            scores = self._similarities(part, rows, chosen)
            if hidden is not None:
                scores[:, hidden] = -np.inf
            best = _best(scores, min(k, len(rows)))
            found = np.take_along_axis(scores, best, axis=1)
            places = best if chosen is None else chosen[best]
            slots[start : start + block, : best.shape[1]] = np.where(found == -np.inf, -1, places)
            similarities[start : start + block, : best.shape[1]] = found
        return slots, similarities

    def __len__(self) -> int:
        return self._live

    @property
    def nbytes(self) -> int:
        """Bytes of the matrix and its companions."""
        return self._rows.nbytes + self._squares.nbytes + self._alive.nbytes

    def reserve(self, size: int) -> None:
        """Make room at once, so that loading copies nothing twice."""
        self._rows.reserve(size)

    def _candidates(self, allowed: Mask | None) -> tuple[Slots | None, Mask | None]:
        """Return the slots to copy out (None: all) and, of all, the mask of those to hide (None: none)."""
        alive = self._alive.values
        if allowed is None:
            return (None, None) if self._live == len(alive) else (None, ~alive)
        wanted = allowed & alive
        if np.count_nonzero(wanted) < _GATHER_SHARE * len(alive):
            return np.flatnonzero(wanted), None
        return None, ~wanted

    def _similarities(self, queries: FloatVectors, rows: FloatVectors, chosen: Slots | None) -> npt.NDArray[np.float32]:
        # For one query einsum reads the rows once, in order; BLAS takes two to four times as long.
        products: npt.NDArray[np.float32] = (
            np.einsum("ij,j->i", rows, queries[0])[None, :] if len(queries) == 1 else queries @ rows.T
        )
        if self.metric == "l2":
            squares = self._squares.values if chosen is None else self._squares.values[chosen]
            products *= 2.0
            products -= squares[None, :]
            products -= np.einsum("ij,ij->i", queries, queries)[:, None]
        return products


def _best(scores: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.intp]:
    """Return the columns of the k greatest of each row, greatest first."""
    if k < scores.shape[1]:
        chosen = np.argpartition(scores, scores.shape[1] - k, axis=1)[:, scores.shape[1] - k :]
    else:
        chosen = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    order = np.argsort(-np.take_along_axis(scores, chosen, axis=1), axis=1, kind="stable")
    return np.take_along_axis(chosen, order, axis=1)

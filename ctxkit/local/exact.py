"""Exact search with numpy: one matrix product per block of queries."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ctxkit.local.arrays import Growing
from ctxkit.local.index import Mask, Similarities, Slots
from ctxkit.records import FloatVectors, Metric

_BLOCK_CELLS = 4_000_000
_ROWS_AT_ONCE = 256
# Below this share of allowed rows it is cheaper to copy them out than to multiply with all.
_GATHER_SHARE = 0.25


class ExactRows:
    """Vectors as one float32 matrix, searched by brute force: growing in memory, or fixed in a mapped file."""

    def __init__(self, dimension: int, metric: Metric, mapped: tuple[FloatVectors, Similarities] | None = None) -> None:
        self.metric: Metric = metric
        self._mapped = mapped
        self._rows = Growing(np.float32, (dimension,))
        self._extras = Growing(np.float32)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def rows(self) -> FloatVectors:
        """All vectors as `kept` returns them, float32[n, d], not to be changed."""
        return self._rows.values if self._mapped is None else self._mapped[0]

    @property
    def extras(self) -> Similarities:
        """One number for each vector, float32[n], as `kept` returns them; empty under dot."""
        return self._extras.values if self._mapped is None else self._mapped[1]

    @property
    def nbytes(self) -> int:
        """Bytes of private memory; those of a mapped file are the system's to keep or to drop."""
        return self._rows.nbytes + self._extras.nbytes

    def reserve(self, size: int) -> None:
        """Make room at once, so that loading copies nothing twice."""
        self._rows.reserve(size)

    def add(self, vectors: FloatVectors) -> None:
        """Append vectors."""
        self.add_kept(*kept(vectors, self.metric))

    def add_kept(self, rows: FloatVectors, extras: Similarities) -> None:
        """Append vectors that are as `kept` returns them already."""
        self._rows.extend(rows)
        self._extras.extend(extras)

    def search(self, queries: FloatVectors, k: int, allowed: Mask | None) -> tuple[Slots, Similarities]:
        """Return the k best of each prepared query among the allowed ones (None: all), as AnnIndex.search does."""
        chosen = hidden = None
        if allowed is not None:
            if np.count_nonzero(allowed) < _GATHER_SHARE * len(allowed):
                chosen = np.flatnonzero(allowed)
            else:
                hidden = ~allowed
        count = len(self.rows) if chosen is None else len(chosen)
        slots = np.full((len(queries), k), -1, dtype=np.int64)
        similarities = np.full((len(queries), k), -np.inf, dtype=np.float32)
        block = max(1, _BLOCK_CELLS // max(1, count))
        for start in range(0, len(queries), block):
            scores = self._similarities(queries[start : start + block], chosen)
            if hidden is not None:
                scores[:, hidden] = -np.inf
            for query, row in enumerate(scores, start):
                best = _best(row, min(k, count))
                found = row[best]
                places = best if chosen is None else chosen[best]
                slots[query, : len(best)] = np.where(found == -np.inf, -1, places)
                similarities[query, : len(best)] = found
        return slots, similarities

    def _similarities(self, queries: FloatVectors, chosen: Slots | None) -> Similarities:
        products = self._products(queries, chosen)
        if self.metric == "dot":
            return products
        extras = self.extras if chosen is None else self.extras[chosen]
        if self.metric == "cosine":
            products *= extras
            return products
        products *= 2.0
        products -= extras[None, :]
        products -= np.einsum("ij,ij->i", queries, queries)[:, None]
        return products

    def _products(self, queries: FloatVectors, chosen: Slots | None) -> Similarities:
        if chosen is not None:
            return self._gathered_products(queries, chosen)
        if len(queries) == 1:
            # Einsum reads the rows once, in order; BLAS takes two to four times as long.
            single: Similarities = np.einsum("ij,j->i", self.rows, queries[0])[None, :]
            return single
        products: Similarities = queries @ self.rows.T
        return products

    def _gathered_products(self, queries: FloatVectors, chosen: Slots) -> Similarities:
        """Copy out a few rows at a time, so that they are still in the processor's cache when they are multiplied."""
        products = np.empty((len(queries), len(chosen)), dtype=np.float32)
        room = np.empty((min(_ROWS_AT_ONCE, len(chosen)), queries.shape[1]), dtype=np.float32)
        for start in range(0, len(chosen), _ROWS_AT_ONCE):
            some = slice(start, start + _ROWS_AT_ONCE)
            rows = room[: len(chosen[some])]
            self.rows.take(chosen[some], axis=0, out=rows, mode="clip")  # another mode would copy twice
            products[:, some] = queries @ rows.T
        return products


def kept(vectors: FloatVectors, metric: Metric) -> tuple[FloatVectors, Similarities]:
    """Return vectors as they are kept for brute force and for exact scores, and one number for each.

    dot: the vectors. l2: the vectors and their squared lengths (infinite where float32 overflows). cosine: the vectors
    times a power of two, which rounds nothing and brings their lengths between 1/2 and 1, and one over those lengths.
    """
    if metric == "dot":
        return vectors, np.zeros(0, dtype=np.float32)
    if metric == "l2":
        with np.errstate(over="ignore"):
            return vectors, np.einsum("ij,ij->i", vectors, vectors)
    wide = vectors.astype(np.float64)
    mantissas, exponents = np.frexp(np.sqrt(np.einsum("ij,ij->i", wide, wide)))
    return np.ldexp(vectors, -exponents[:, None]).astype(np.float32, copy=False), (1 / mantissas).astype(np.float32)


def _best(scores: Similarities, k: int) -> npt.NDArray[np.intp]:
    """Return the places of the k greatest, greatest first."""
    if k >= len(scores):
        return np.argsort(-scores, kind="stable")
    chosen = np.argpartition(scores, len(scores) - k)[len(scores) - k :]
    return chosen[np.argsort(-scores[chosen], kind="stable")]

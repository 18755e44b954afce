"""Sums of piece vectors, straight from the 4-bit codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ctxkit_static.model_file import StaticModel

_PIECES_AT_ONCE = 4_096  # 6 MB of float32 at 384 components: small enough to stay near the processor


class PiecePool:
    """Adds up the vectors of pieces, span by span, with the first `components` components of a model.

    The table stays in its 4-bit form; a look-up of 256 entries turns each byte into two values, and the scale
    of a component is applied once to each sum instead of once to each piece.
    """

    def __init__(self, model: StaticModel, components: int) -> None:
        self._codes = np.ascontiguousarray(model.codes[:, : components // 2])
        self._row_scales = model.row_scales
        self._column_scales = model.column_scales[:components]
        byte = np.arange(256)
        pairs = np.stack([model.codebook[byte & 15], model.codebook[byte >> 4]], axis=1)
        # Two float32 travel as one 8-byte item, which halves the work of the look-up.
        self._pairs = np.ascontiguousarray(pairs, np.float32).view(np.uint64).ravel()

    def sums(self, rows: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the weighted sum of each span's pieces, float32 of shape (spans, components).

        `rows` holds the spans' pieces one after the other and `counts` how many each has. A span's sum does not
        depend on the spans beside it.
        """
        totals = np.zeros((len(counts), len(self._column_scales)), np.float32)
        ends = np.cumsum(counts)
        first = 0
        while first < len(counts):
            begin = int(ends[first] - counts[first])
            last = max(first + 1, int(np.searchsorted(ends, begin + _PIECES_AT_ONCE, side="right")))
            filled = first + np.flatnonzero(counts[first:last])
            if len(filled):
                values = self._values(rows[begin : ends[last - 1]])
                starts = ends[filled] - counts[filled] - begin
                totals[filled] = np.add.reduceat(values, starts, axis=0)
            first = last
        totals *= self._column_scales
        return totals

    def _values(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        values: NDArray[np.float32] = self._pairs[self._codes[rows]].view(np.float32)
        values *= self._row_scales[rows][:, None]
        return values

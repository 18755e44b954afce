"""An exact scan of the rows that pass a filter, as one writes it with numpy: what a filtered query is measured by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ctxkit.records import FloatVector
from ctxkit_conformance.bench.baseline import Row, unit
from ctxkit_conformance.bench.baselines.brute import largest
from ctxkit_conformance.bench.data import RANK, REGION, Dataset
from ctxkit_conformance.bench.sqlite_rows import TextRows

Mask = npt.NDArray[np.bool_]

# Gathering the rows costs more than scoring all of them from about here on.
_GATHERED_SHARE: Final = 0.25


class Scan:
    """The vectors and the filter columns as arrays in memory; text and metadata in SQLite."""

    def __init__(self, folder: Path, data: Dataset) -> None:
        folder.mkdir(parents=True)
        self.vectors = data.vectors
        self.ranks, self.regions = data.column(RANK), data.column(REGION)
        self._rows = TextRows(folder / "rows.db")
        self._rows.load(data.ids, data.texts, data.metadata)

    def query(self, query: FloatVector, k: int, passing: Callable[[], Mask] | None = None) -> list[Row]:
        """Return the k nearest rows, or the k nearest of those that `passing` marks, with text and metadata."""
        asked = unit(query[None])[0]
        if passing is None:
            return self._best(self.vectors @ asked, None, k)
        mask = passing()
        if np.count_nonzero(mask) < _GATHERED_SHARE * len(mask):
            places = np.flatnonzero(mask)
            return self._best(self.vectors[places] @ asked, places, k)
        products = self.vectors @ asked
        products[~mask] = -np.inf
        return self._best(products, None, k)

    def close(self) -> None:
        """Close the database."""
        self._rows.close()

    def _best(self, products: npt.NDArray[np.float32], places: npt.NDArray[np.int64] | None, k: int) -> list[Row]:
        found, values = largest(products[None], min(k, len(products)))
        labels = found[0] if places is None else places[found[0]]
        rows = self._rows.read(labels.tolist())
        return [
            (id_, score, text, metadata) for score, (id_, text, metadata) in zip(values[0].tolist(), rows, strict=True)
        ]

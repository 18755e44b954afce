"""FAISS's Flat indexes as the engine's index."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ctxkit.errors import MissingDependencyError
from ctxkit.local import AnnIndex, Mask, Slots, unit
from ctxkit.records import FloatVectors, Metric

try:
    import faiss
except ImportError as error:
    raise MissingDependencyError(
        f"FAISS cannot be imported: {error}.", fix="pip install ctxkit-faiss", backend="faiss"
    ) from error


class FlatIndex(AnnIndex):
    """`IndexFlatIP` (on vectors of unit length under cosine) or `IndexFlatL2`.

    Removing from a Flat index moves every later vector, so removed ones stay and are left out by a selector.
    """

    name: ClassVar[str] = "Flat"
    exact: ClassVar[bool] = True

    def __init__(self, dimension: int, metric: Metric, threads: int) -> None:
        super().__init__(dimension, metric)
        self._threads = threads
        self._index: Any = faiss.IndexFlatL2(dimension) if metric == "l2" else faiss.IndexFlatIP(dimension)
        self._removed: list[Slots] = []
        self._dead = 0

    def add(self, vectors: FloatVectors) -> None:
        """Append vectors."""
        self._index.add(unit(vectors) if self.metric == "cosine" else np.ascontiguousarray(vectors))

    def remove(self, slots: Slots) -> None:
        """Leave tombstones."""
        self._removed.append(slots)
        self._dead += len(slots)

    def search(self, queries: FloatVectors, k: int, allowed: Mask | None) -> tuple[Slots, npt.NDArray[np.float32]]:
        """Return the k best of each query among the allowed and not removed ones."""
        if self.metric == "cosine":
            queries = unit(queries)
        # The setting belongs to the calling thread, and another library may have changed it.
        faiss.omp_set_num_threads(self._threads)
        wanted = self._selected(allowed)
        if wanted is None:
            values, slots = self._index.search(np.ascontiguousarray(queries), k)
        else:
            # The selector refers to the bits, so they must outlive the search.
            bits = np.packbits(wanted, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
            parameters: Any = faiss.SearchParameters()
            parameters.sel = selector
            values, slots = self._index.search(np.ascontiguousarray(queries), k, params=parameters)
        return slots, -values if self.metric == "l2" else values

    def __len__(self) -> int:
        return int(self._index.ntotal) - self._dead

    @property
    def nbytes(self) -> int:
        """Bytes of FAISS's copy of the vectors."""
        return int(self._index.ntotal) * self.dimension * 4

    def _selected(self, allowed: Mask | None) -> Mask | None:
        if not self._dead:
            return allowed
        wanted = np.ones(self._index.ntotal, dtype=np.bool_) if allowed is None else allowed.copy()
        wanted[np.concatenate(self._removed)] = False
        return wanted

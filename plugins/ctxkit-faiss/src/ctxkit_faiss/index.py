"""FAISS's indexes as the engine's index."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ctxkit.errors import MissingDependencyError
from ctxkit.local import AnnIndex, Similarities, Slots
from ctxkit.records import FloatVectors, Metric

try:
    import faiss
except ImportError as error:
    raise MissingDependencyError(
        f"FAISS cannot be imported: {error}.", fix="pip install ctxkit-faiss", backend="faiss"
    ) from error


class FaissIndex(AnnIndex):
    """Any FAISS index that is searched with queries alone; a kind of index says how an empty one is made."""

    concurrent: ClassVar[bool] = True
    version: ClassVar[str] = f"faiss {faiss.__version__}"

    def __init__(self, dimension: int, metric: Metric, threads: int) -> None:
        super().__init__(dimension, metric)
        self._threads = threads
        # Under cosine vectors have length 1, so the inner product is the cosine.
        self._distance = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        self._index: Any = self.made()

    def made(self) -> Any:
        """Return an empty index of FAISS's own."""
        raise NotImplementedError

    def add(self, vectors: FloatVectors) -> None:
        """Append vectors."""
        faiss.omp_set_num_threads(self._threads)
        self._index.add(vectors)

    def search(self, queries: FloatVectors, k: int) -> tuple[Slots, Similarities]:
        """Return the k best slots of each query."""
        # The setting belongs to the calling thread, and another library may have changed it.
        faiss.omp_set_num_threads(self._threads)
        values, slots = self._index.search(np.ascontiguousarray(queries), k)
        return slots, -values if self.metric == "l2" else values

    def save(self, path: Path) -> None:
        """Write FAISS's own format."""
        faiss.write_index(self._index, str(path))

    def load(self, path: Path) -> None:
        """Read FAISS's own format."""
        self._index = faiss.read_index(str(path))

    @property
    def nbytes(self) -> int:
        """Bytes of FAISS's copy of the vectors, and of the graph where there is one."""
        return int(self._index.ntotal) * self.dimension * 4


class FlatIndex(FaissIndex):
    """`IndexFlat`: exact search."""

    name: ClassVar[str] = "Flat"
    exact: ClassVar[bool] = True

    def made(self) -> Any:
        """Return an empty Flat index."""
        return faiss.IndexFlat(self.dimension, self._distance)


class HnswIndex(FaissIndex):
    """`IndexHNSWFlat`: approximate search in a graph of neighbours.

    `m` neighbours for each vector (twice as many on the ground floor), `ef_construction` and `ef_search` candidates
    while the graph is made and searched (Malkov and Yashunin, 2018, https://arxiv.org/abs/1603.09320).
    """

    name: ClassVar[str] = "HNSW"

    def __init__(
        self, dimension: int, metric: Metric, threads: int, *, m: int, ef_construction: int, ef_search: int
    ) -> None:
        self._m, self._ef_construction, self._ef_search = m, ef_construction, ef_search
        super().__init__(dimension, metric, threads)

    @property
    def key(self) -> str:
        """The kind and what shaped the graph; ef_search can change without a new one."""
        return f"HNSW m={self._m} ef_construction={self._ef_construction}"

    def made(self) -> Any:
        """Return an empty graph."""
        index = faiss.IndexHNSWFlat(self.dimension, self._m, self._distance)
        index.hnsw.efConstruction = self._ef_construction
        index.hnsw.efSearch = self._ef_search
        return index

    def load(self, path: Path) -> None:
        """Read the graph; how hard to search is a setting of today."""
        super().load(path)
        self._index.hnsw.efSearch = self._ef_search

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors and of the links."""
        return int(self._index.ntotal) * (self.dimension * 4 + self._m * 2 * 4 + 16)

"""FAISS's indexes as the engine's index."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from ctxkit.errors import MissingDependencyError
from ctxkit.local import AnnIndex, Similarities, Slots
from ctxkit.records import FloatVectors, Metric
from ctxkit_faiss.config import FaissConfig

try:
    import faiss
except ImportError as error:
    raise MissingDependencyError(
        f"FAISS cannot be imported: {error}.", fix="pip install ctxkit-faiss", backend="faiss"
    ) from error


# How FAISS's scalar quantizer keeps a number, in how many bytes, and how many times k candidates the engine then needs.
_QUANTIZERS: Final[dict[str, tuple[Any, int, float]]] = {
    "fp16": (faiss.ScalarQuantizer.QT_fp16, 2, 1.5),
    "sq8": (faiss.ScalarQuantizer.QT_8bit, 1, 3.0),
}
_RANGE_MARGIN: Final = 0.2  # of the range of the sample: what lies beyond is cut off


class FaissIndex(AnnIndex):
    """Any FAISS index that is searched with queries alone; a kind of index says how an empty one is made."""

    version: ClassVar[str] = f"faiss {faiss.__version__}"
    concurrent = True

    def __init__(self, dimension: int, metric: Metric, config: FaissConfig) -> None:
        super().__init__(dimension, metric)
        self._config = config
        # Under cosine vectors have length 1, so the inner product is the cosine.
        self._distance = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        self._quantizer, self._bytes, self.oversampling = _QUANTIZERS.get(config.quantization, (None, 4, 1.0))
        self._index: Any = self.made()

    def made(self) -> Any:
        """Return an empty index of FAISS's own."""
        raise NotImplementedError

    @property
    def key(self) -> str:
        """The kind, and how it keeps the vectors."""
        return self.name if self._quantizer is None else f"{self.name} {self._config.quantization}"

    def train(self, sample: FloatVectors) -> None:
        """Learn the range of each dimension, which one byte has to cover."""
        if not self._index.is_trained:
            self._index.train(sample)

    def add(self, vectors: FloatVectors) -> None:
        """Append vectors."""
        faiss.omp_set_num_threads(self._config.threads)
        self._index.add(vectors)

    def search(self, queries: FloatVectors, k: int) -> tuple[Slots, Similarities]:
        """Return the k best slots of each query."""
        # The setting belongs to the calling thread, and another library may have changed it.
        faiss.omp_set_num_threads(self._config.threads)
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
        return int(self._index.ntotal) * self.dimension * self._bytes

    def widened(self, quantizer: Any) -> None:
        """Have a quantizer leave room beyond the range that its sample has."""
        quantizer.rangestat = faiss.ScalarQuantizer.RS_minmax
        quantizer.rangestat_arg = _RANGE_MARGIN


class FlatIndex(FaissIndex):
    """`IndexFlat`: exact search; or `IndexScalarQuantizer`, which searches all vectors as they are rounded."""

    name: ClassVar[str] = "Flat"

    def __init__(self, dimension: int, metric: Metric, config: FaissConfig) -> None:
        super().__init__(dimension, metric, config)
        self.exact = self._quantizer is None

    def made(self) -> Any:
        """Return an empty Flat index."""
        if self._quantizer is None:
            return faiss.IndexFlat(self.dimension, self._distance)
        index = faiss.IndexScalarQuantizer(self.dimension, self._quantizer, self._distance)
        self.widened(index.sq)
        return index


class HnswIndex(FaissIndex):
    """`IndexHNSWFlat`, or `IndexHNSWSQ` for quantised vectors: approximate search in a graph of neighbours.

    `m` neighbours for each vector (twice as many on the ground floor), `ef_construction` and `ef_search` candidates
    while the graph is made and searched (Malkov and Yashunin, 2018, https://arxiv.org/abs/1603.09320).
    """

    name: ClassVar[str] = "HNSW"

    @property
    def key(self) -> str:
        """The kind and what shaped the graph; ef_search can change without a new one."""
        return f"{super().key} m={self._config.m} ef_construction={self._config.ef_construction}"

    def made(self) -> Any:
        """Return an empty graph."""
        index: Any
        if self._quantizer is None:
            index = faiss.IndexHNSWFlat(self.dimension, self._config.m, self._distance)
        else:
            index = faiss.IndexHNSWSQ(self.dimension, self._quantizer, self._config.m, self._distance)
            storage: Any = faiss.downcast_index(index.storage)
            self.widened(storage.sq)
        index.hnsw.efConstruction = self._config.ef_construction
        index.hnsw.efSearch = self._config.ef_search
        return index

    def load(self, path: Path) -> None:
        """Read the graph; how hard to search is a setting of today."""
        super().load(path)
        self._index.hnsw.efSearch = self._config.ef_search

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors and of the links."""
        return super().nbytes + int(self._index.ntotal) * (self._config.m * 2 * 4 + 16)

"""hnswlib's graph as the engine's index."""

from __future__ import annotations

from contextlib import suppress
from importlib import metadata
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import numpy as np

from ctxkit.errors import MissingDependencyError
from ctxkit.local import AnnIndex, Similarities, Slots
from ctxkit.records import FloatVectors, Metric

try:
    import hnswlib
except ImportError as error:
    raise MissingDependencyError(
        f"hnswlib cannot be imported: {error}.", fix="pip install ctxkit-hnswlib", backend="hnswlib"
    ) from error

_SEED = 100  # of the graph's levels: the same vectors give the same graph


class HnswIndex(AnnIndex):
    """A graph of neighbours (Malkov and Yashunin, 2018, https://arxiv.org/abs/1603.09320).

    hnswlib raises when its search runs dry before it has k answers; then it is asked to search harder, and in the end
    the places stay empty, which the engine fills by brute force.
    """

    name: ClassVar[str] = "HNSW"
    concurrent = True
    version: ClassVar[str] = f"hnswlib {metadata.version('hnswlib')}"

    def __init__(
        self, dimension: int, metric: Metric, threads: int, *, m: int, ef_construction: int, ef_search: int
    ) -> None:
        super().__init__(dimension, metric)
        self._threads, self._m, self._ef_construction, self._ef_search = threads, m, ef_construction, ef_search
        # Under cosine vectors have length 1, so the inner product is the cosine.
        self._index: Any = hnswlib.Index("l2" if metric == "l2" else "ip", dimension)
        self._efforts = Lock()
        self._room = 0
        self._count = 0

    @property
    def key(self) -> str:
        """The kind and what shaped the graph; ef_search can change without a new one."""
        return f"HNSW m={self._m} ef_construction={self._ef_construction}"

    def reserve(self, size: int) -> None:
        """Make room: hnswlib's graphs have a fixed size."""
        self._index.init_index(size, M=self._m, ef_construction=self._ef_construction, random_seed=_SEED)
        self._index.set_ef(self._ef_search)
        self._room = size

    def add(self, vectors: FloatVectors) -> None:
        """Append vectors."""
        if not self._room:
            self.reserve(len(vectors))
        elif self._count + len(vectors) > self._room:
            self._room = self._count + len(vectors)
            self._index.resize_index(self._room)
        labels = np.arange(self._count, self._count + len(vectors))
        self._index.add_items(vectors, labels, num_threads=self._threads)
        self._count += len(vectors)

    def search(self, queries: FloatVectors, k: int) -> tuple[Slots, Similarities]:
        """Return the k best slots of each query."""
        try:
            labels, distances = self._asked(queries, k)
        except RuntimeError:
            harder = self._harder(queries, k)
            if harder is None:
                # Part of the graph cannot be reached from where the search begins.
                return np.full((len(queries), k), -1), np.full((len(queries), k), -np.inf, dtype=np.float32)
            labels, distances = harder
        similarities = -distances if self.metric == "l2" else np.float32(1.0) - distances
        return labels.astype(np.int64), similarities

    def _asked(self, queries: FloatVectors, k: int) -> tuple[Any, Any]:
        found: tuple[Any, Any] = self._index.knn_query(queries, k=k, num_threads=self._threads)
        return found

    def _harder(self, queries: FloatVectors, k: int) -> tuple[Any, Any] | None:
        """Search with more and more effort; None where even all of it finds too few. Others search harder meanwhile."""
        effort = max(k, self._ef_search)
        with self._efforts:
            try:
                while effort < self._count:
                    effort = min(effort * 4, self._count)
                    self._index.set_ef(effort)
                    with suppress(RuntimeError):
                        return self._asked(queries, k)
                return None
            finally:
                self._index.set_ef(self._ef_search)

    def save(self, path: Path) -> None:
        """Write hnswlib's own format."""
        self._index.save_index(str(path))

    def load(self, path: Path) -> None:
        """Read hnswlib's own format."""
        self._index.load_index(str(path))
        self._index.set_ef(self._ef_search)
        self._count = self._room = self._index.get_current_count()

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors and of the links."""
        return self._room * (self.dimension * 4 + self._m * 2 * 4 + 24)

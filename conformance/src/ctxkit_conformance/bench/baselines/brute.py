"""numpy: every row scored with one matrix product."""

from __future__ import annotations

import numpy as np

from ctxkit.records import FloatVectors
from ctxkit_conformance.bench.baseline import IndexBaseline, Labels, Similarities, unit

_FILE = "vectors.npy"


class BruteBaseline(IndexBaseline):
    """Brute force, as one writes it with numpy."""

    @property
    def label(self) -> str:
        """What it is."""
        return "numpy exact scan + SQLite"

    def build(self, vectors: FloatVectors) -> None:
        """Keep the vectors."""
        self._vectors = unit(vectors)

    def search(self, vectors: FloatVectors, k: int) -> tuple[Labels, Similarities]:
        """Return the k largest products."""
        return largest(unit(vectors) @ self._vectors.T, k)

    def save(self) -> bool:
        """Write the vectors."""
        np.save(self.folder / _FILE, self._vectors)
        return True

    def restore(self) -> None:
        """Read the vectors."""
        self._vectors = np.load(self.folder / _FILE)


def largest(products: Similarities, k: int) -> tuple[Labels, Similarities]:
    """Return places and values of the k largest of each row, best first."""
    rows, count = products.shape
    best = (
        np.argpartition(products, count - k, axis=1)[:, count - k :]
        if k < count
        else np.tile(np.arange(count), (rows, 1))
    )
    values = np.take_along_axis(products, best, axis=1)
    order = np.argsort(-values, axis=1)
    return np.take_along_axis(best, order, axis=1), np.take_along_axis(values, order, axis=1)

"""hnswlib, with its own cosine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ctxkit.records import FloatVectors
from ctxkit_conformance.bench.baseline import IndexBaseline, Labels, Similarities, library

_FILE = "graph.bin"


class HnswlibBaseline(IndexBaseline):
    """An hnswlib graph with the parameters of the store."""

    requires = "hnswlib"
    install = "pip install hnswlib"

    def __init__(self, folder: Path, dimension: int, options: Mapping[str, Any]) -> None:
        self._graph: Any = library(self.requires, self.install).Index("cosine", dimension)
        super().__init__(folder, dimension, options)

    @property
    def label(self) -> str:
        """What it is."""
        return "hnswlib + SQLite"

    def build(self, vectors: FloatVectors) -> None:
        """Make the graph; with every core, because no clock runs."""
        options = self.options
        self._graph.init_index(
            len(vectors), M=int(options.get("m", 32)), ef_construction=int(options.get("ef_construction", 200))
        )
        self._graph.add_items(vectors, np.arange(len(vectors)), num_threads=os.cpu_count() or 1)
        self._settle()

    def search(self, vectors: FloatVectors, k: int) -> tuple[Labels, Similarities]:
        """Return hnswlib's answer."""
        labels, distances = self._graph.knn_query(vectors, k=k, num_threads=self.threads)
        return labels, 1.0 - distances

    def save(self) -> bool:
        """Write hnswlib's own format."""
        self._graph.save_index(str(self.folder / _FILE))
        return True

    def restore(self) -> None:
        """Read hnswlib's own format."""
        self._graph.load_index(str(self.folder / _FILE))
        self._settle()

    def _settle(self) -> None:
        self._graph.set_ef(int(self.options.get("ef_search", 64)))

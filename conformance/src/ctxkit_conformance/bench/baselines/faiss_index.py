"""FAISS: Flat, HNSW, or any index that its own index_factory knows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from ctxkit.errors import ConfigError
from ctxkit.records import FloatVectors
from ctxkit_conformance.bench.baseline import IndexBaseline, Labels, Similarities, library, unit

_FILE: Final = "index.faiss"
# FAISS's own names of the ways in which a store's options keep vectors.
_QUANTIZERS: Final = {"none": None, "fp16": "QT_fp16", "sq8": "QT_8bit"}


class FaissBaseline(IndexBaseline):
    """A FAISS index over inner products of unit vectors, with the parameters of the store."""

    requires = "faiss"
    install = "pip install faiss-cpu"

    def __init__(self, folder: Path, dimension: int, options: Mapping[str, Any]) -> None:
        self._faiss = library(self.requires, self.install)
        super().__init__(folder, dimension, options)
        self._kind = str(options.get("index_type", "Flat"))
        self._quantization = str(options.get("quantization") or "none")

    @property
    def label(self) -> str:
        """What it is."""
        kind = self._kind if self._quantization == "none" else f"{self._kind} {self._quantization}"
        return f"faiss {kind} + SQLite"

    def build(self, vectors: FloatVectors) -> None:
        """Train where that is needed, and add; with every core, because no clock runs."""
        faiss = self._faiss
        self._index = self._empty()
        faiss.omp_set_num_threads(os.cpu_count() or 1)
        ready = unit(vectors)
        if not self._index.is_trained:
            self._index.train(ready)
        self._index.add(ready)
        self._settle()

    def search(self, vectors: FloatVectors, k: int) -> tuple[Labels, Similarities]:
        """Return FAISS's answer."""
        # The setting belongs to the calling thread; it is not made for every search of one that has it already.
        if self._faiss.omp_get_max_threads() != self.threads:
            self._faiss.omp_set_num_threads(self.threads)
        values, labels = self._index.search(unit(vectors), k)
        return labels, values

    def save(self) -> bool:
        """Write FAISS's own format."""
        self._faiss.write_index(self._index, str(self.folder / _FILE))
        return True

    def restore(self) -> None:
        """Read FAISS's own format."""
        self._index = self._faiss.read_index(str(self.folder / _FILE))
        self._settle()

    def _empty(self) -> Any:
        faiss, metric = self._faiss, self._faiss.METRIC_INNER_PRODUCT
        if self._quantization not in _QUANTIZERS:
            raise _unknown(f"quantization {self._quantization!r}")
        name = _QUANTIZERS[self._quantization]
        quantizer = None if name is None else getattr(faiss.ScalarQuantizer, name)
        if self._kind == "HNSW":
            m = int(self.options.get("m", 32))
            made = (
                faiss.IndexHNSWFlat(self.dimension, m, metric)
                if quantizer is None
                else faiss.IndexHNSWSQ(self.dimension, quantizer, m, metric)
            )
            made.hnsw.efConstruction = int(self.options.get("ef_construction", 200))
            return made
        if quantizer is not None and self._kind == "Flat":
            return faiss.IndexScalarQuantizer(self.dimension, quantizer, metric)
        try:
            return faiss.index_factory(self.dimension, self._kind, metric)
        except RuntimeError as error:
            raise _unknown(f"index_type {self._kind!r}") from error

    def _settle(self) -> None:
        """Set how hard to search, and search with as many threads as the store."""
        if self._kind == "HNSW":
            self._index.hnsw.efSearch = int(self.options.get("ef_search", 64))
        elif "nprobe" in self.options and hasattr(self._index, "nprobe"):
            self._index.nprobe = int(self.options["nprobe"])
        self._faiss.omp_set_num_threads(self.threads)
        self._index.search(np.ones((1, self.dimension), dtype=np.float32), 1)


def _unknown(what: str) -> ConfigError:
    return ConfigError(f"nobody knows what to compare with {what}.", fix="say it with --baseline module:factory.")

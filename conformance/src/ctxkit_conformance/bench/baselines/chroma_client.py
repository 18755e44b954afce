"""Chroma by its own client: a whole store, so text, metadata, filters and durable writes are its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ctxkit.errors import ConfigError
from ctxkit.records import FloatVector, FloatVectors, RecordBatch
from ctxkit_conformance.bench.baseline import Baseline, Row, library
from ctxkit_conformance.bench.data import Dataset

_BATCH: Final = 1000
_INCLUDE: Final = ["documents", "metadatas", "distances"]
_COLUMNS: Final = ("ids", "distances", "documents", "metadatas")
# What a store calls its parameters, and what Chroma does.
_PARAMETERS: Final = {
    "m": "max_neighbors",
    "ef_construction": "ef_construction",
    "ef_search": "ef_search",
    "sync_threshold": "sync_threshold",
}


class ChromaBaseline(Baseline):
    """One collection of an embedded, persistent Chroma, under the cosine, with the parameters of the store."""

    requires = "chromadb"
    install = "pip install chromadb"

    def __init__(self, folder: Path, dimension: int, options: Mapping[str, Any]) -> None:
        if options.get("host"):
            raise ConfigError(
                "no baseline is known for a Chroma server.", fix="say what to compare with: --baseline module:factory."
            )
        super().__init__(folder, dimension, options)
        self._own = _ChromaWriter(folder, options)

    @property
    def label(self) -> str:
        """What it is."""
        return "chromadb's own client"

    def load(self, data: Dataset) -> None:
        """Add all rows."""
        for batch in data.batches(_BATCH):
            self._own.write(batch)

    def query(self, vectors: FloatVectors, k: int) -> list[list[Row]]:
        """Return Chroma's answer."""
        return self._asked(vectors, k, None)

    def filtered(self, vector: FloatVector, k: int, where: Mapping[str, Any]) -> list[Row]:
        """Return Chroma's answer under its own filter."""
        return self._asked(vector[None], k, dict(where))[0]

    def writer(self, folder: Path) -> _ChromaWriter:
        """Return another client, with a collection in another folder."""
        return _ChromaWriter(folder, self.options)

    def close(self) -> None:
        """Release the client."""
        self._own.close()

    def _asked(self, vectors: FloatVectors, k: int, where: dict[str, Any] | None) -> list[list[Row]]:
        found = self._own.collection.query(query_embeddings=vectors, n_results=k, where=where, include=_INCLUDE)
        columns: Sequence[Sequence[Sequence[Any]]] = [found[name] for name in _COLUMNS]
        return [
            [(id_, 1.0 - distance, text, metadata) for id_, distance, text, metadata in zip(*rows, strict=True)]
            for rows in zip(*columns, strict=True)
        ]


class _ChromaWriter:
    """A client with one collection, written in batches."""

    def __init__(self, folder: Path, options: Mapping[str, Any]) -> None:
        chromadb = library(ChromaBaseline.requires, ChromaBaseline.install)
        folder.mkdir(parents=True, exist_ok=True)
        # A file .env in the current directory is none of ours.
        settings = chromadb.config.Settings(_env_file=None, anonymized_telemetry=False)
        self._client = chromadb.PersistentClient(path=str(folder), settings=settings)
        graph = {theirs: options[ours] for ours, theirs in _PARAMETERS.items() if ours in options}
        self.collection = self._client.create_collection(
            "bench", embedding_function=None, configuration={"hnsw": {"space": "cosine", **graph}}
        )

    def write(self, batch: RecordBatch) -> None:
        """Write a batch; Chroma has it on disk when this returns."""
        self.collection.upsert(
            ids=list(batch.ids),
            embeddings=np.asarray(batch.vectors, dtype=np.float32),
            documents=list(batch.texts or ()),
            metadatas=[dict(each) for each in batch.metadata or ()],
        )

    def close(self) -> None:
        """Forget the client; not every version of Chroma has a call for it."""
        close = getattr(self._client, "close", None)
        if callable(close):
            close()

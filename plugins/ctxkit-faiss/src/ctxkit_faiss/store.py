"""The FAISS store: the durable engine searched by FAISS."""

from __future__ import annotations

from typing import ClassVar

from ctxkit.errors import ConfigError
from ctxkit.local import AnnIndex, EngineStore, LocalConfig
from ctxkit.records import Metric
from ctxkit_faiss.config import FaissConfig
from ctxkit_faiss.index import FlatIndex, HnswIndex


class FaissStore(EngineStore):
    """Search by FAISS over records that SQLite holds."""

    backend: ClassVar[str] = "faiss"

    @classmethod
    def make_index(cls, dimension: int, metric: Metric, config: LocalConfig) -> AnnIndex:
        """Return an empty FAISS index."""
        if not isinstance(config, FaissConfig):
            raise ConfigError(f"faiss was given a {type(config).__name__}.", fix="pass a FaissConfig.", backend="faiss")
        if config.index_type == "Flat":
            return FlatIndex(dimension, metric, config)
        return HnswIndex(dimension, metric, config)

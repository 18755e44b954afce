"""The hnswlib store: the durable engine searched by hnswlib."""

from __future__ import annotations

from typing import ClassVar

from ctxkit.errors import ConfigError
from ctxkit.local import AnnIndex, EngineStore, LocalConfig
from ctxkit.records import Metric
from ctxkit_hnswlib.config import HnswlibConfig
from ctxkit_hnswlib.index import HnswIndex


class HnswlibStore(EngineStore):
    """Approximate search by hnswlib over records that SQLite holds."""

    backend: ClassVar[str] = "hnswlib"

    @classmethod
    def make_index(cls, dimension: int, metric: Metric, config: LocalConfig) -> AnnIndex:
        """Return an empty graph."""
        if not isinstance(config, HnswlibConfig):
            raise ConfigError(
                f"hnswlib was given a {type(config).__name__}.", fix="pass a HnswlibConfig.", backend="hnswlib"
            )
        return HnswIndex(
            dimension,
            metric,
            config.threads,
            m=config.m,
            ef_construction=config.ef_construction,
            ef_search=config.ef_search,
        )

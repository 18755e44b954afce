"""The exact store: the durable engine with a numpy index."""

from __future__ import annotations

from typing import ClassVar

from ctxkit.local import AnnIndex, EngineStore, LocalConfig
from ctxkit.records import Metric


class ExactConfig(LocalConfig):
    """The exact store's configuration: the engine's own options."""


class ExactStore(EngineStore):
    """Exact search in memory over records that SQLite holds; the reference for every other backend."""

    backend: ClassVar[str] = "exact"

    @classmethod
    def make_index(cls, dimension: int, metric: Metric, config: LocalConfig) -> AnnIndex | None:  # noqa: ARG003
        """Return no index: brute force over the vectors as they are stored is what this store is."""
        return None

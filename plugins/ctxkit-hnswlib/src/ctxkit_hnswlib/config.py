"""What a user can set on the hnswlib store."""

from __future__ import annotations

from pydantic import Field

from ctxkit.interfaces import Capabilities
from ctxkit.local import LocalConfig


class HnswlibConfig(LocalConfig):
    """The engine's options, the graph's parameters, and the threads that make and search it (1 to 1024).

    `m` neighbours each; `ef_construction` candidates while the graph is made, `ef_search` while it is searched: more
    find more and take longer.
    """

    m: int = Field(default=32, ge=2, le=512)
    ef_construction: int = Field(default=200, ge=1, le=10_000)
    ef_search: int = Field(default=64, ge=1, le=100_000)
    threads: int = Field(default=1, ge=1, le=1024)

    def capabilities(self) -> Capabilities:
        """Return what a store can do under this configuration: a graph is not exact."""
        return super().capabilities().model_copy(update={"exact": False})

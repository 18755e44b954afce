"""What a user can set on the local engine."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from ctxkit.interfaces import BackendConfig, Capabilities
from ctxkit.local.capabilities import local_capabilities


class LocalConfig(BackendConfig):
    """Where the collections live and how hard they hold on.

    `path` is the directory of all collections; None keeps a collection in memory for as long as its handle.
    `durability` "full" survives a power cut, "normal" a killed process. `busy_timeout` is how many seconds a
    writer waits for another one before StoreLockedError. `exact_below` is the number of vectors up to which no index
    is made: brute force is quick enough. `index_build` "background" makes the index beside the searches, "inline"
    within the write that makes it due, so that what follows surely uses it.
    """

    path: Path | None = None
    durability: Literal["full", "normal"] = "full"
    busy_timeout: float = Field(default=30.0, ge=0, le=86_400, allow_inf_nan=False)
    exact_below: int = Field(default=10_000, ge=0)
    index_build: Literal["background", "inline"] = "background"

    def capabilities(self) -> Capabilities:
        """Return what a store can do under this configuration."""
        return local_capabilities(durable=self.path is not None)

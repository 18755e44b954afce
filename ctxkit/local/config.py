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
    writer waits for another one before StoreLockedError.
    """

    path: Path | None = None
    durability: Literal["full", "normal"] = "full"
    busy_timeout: float = Field(default=30.0, ge=0, le=86_400, allow_inf_nan=False)

    def capabilities(self) -> Capabilities:
        """Return what a store can do under this configuration."""
        return local_capabilities(durable=self.path is not None)

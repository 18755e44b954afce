"""Where a vault came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ctxkit.config import Config
from ctxkit.plugins import PluginRegistry


@dataclass(frozen=True, slots=True)
class Source:
    """What a vault was opened with.

    `vector_store` and `embedder` name the providers that were really used, and `fallbacks` say why where they are not
    the configured ones.
    """

    config: Config
    path: Path | None
    registry: PluginRegistry
    vector_store: str
    embedder: str
    fallbacks: tuple[str, ...] = ()

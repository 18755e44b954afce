"""What the tests of the context manager share: a manager on the exact store with the embedder of hashed words."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from components import config, registry

from ctxkit import Config, ContextManager

REGISTRY: Final = registry()


def manager(path: Path | None = None, *, settings: Config | None = None, **scope: Any) -> ContextManager:
    """Return a manager on the exact store with the embedder of hashed words."""
    return ContextManager(settings or config(), path=path, registry=REGISTRY, **scope)

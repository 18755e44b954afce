"""ctxkit: memory for LLM applications that cannot be lost, on the storage backend you choose.

    from ctxkit import ContextManager

    with ContextManager(path="memory") as cm:
        cm.observe("I moved to Lisbon in May.", "Noted!")
        print(cm.build_context("Where do I live?"))

Names are imported when they are first used, so `import ctxkit` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctxkit.async_manager import AsyncContextManager
    from ctxkit.config import (
        Config,
        EmbedderConfig,
        LLMConfig,
        MemoryConfig,
        RetrievalConfig,
        TokenizerConfig,
        VectorStoreConfig,
    )
    from ctxkit.context import ContextResult
    from ctxkit.errors import CtxkitError
    from ctxkit.filters import F
    from ctxkit.manager import ContextManager
    from ctxkit.plugins import PluginRegistry, get_registry
    from ctxkit.records import Hit, Hits, Record, RecordBatch

__version__ = "0.1.0"

__all__ = [
    "AsyncContextManager",
    "Config",
    "ContextManager",
    "ContextResult",
    "CtxkitError",
    "EmbedderConfig",
    "F",
    "Hit",
    "Hits",
    "LLMConfig",
    "MemoryConfig",
    "PluginRegistry",
    "Record",
    "RecordBatch",
    "RetrievalConfig",
    "TokenizerConfig",
    "VectorStoreConfig",
    "get_registry",
]

_HOMES = {
    "async_manager": ("AsyncContextManager",),
    "config": (
        "Config",
        "EmbedderConfig",
        "LLMConfig",
        "MemoryConfig",
        "RetrievalConfig",
        "TokenizerConfig",
        "VectorStoreConfig",
    ),
    "context": ("ContextResult",),
    "errors": ("CtxkitError",),
    "filters": ("F",),
    "manager": ("ContextManager",),
    "plugins": ("PluginRegistry", "get_registry"),
    "records": ("Hit", "Hits", "Record", "RecordBatch"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

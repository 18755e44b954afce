"""The durable engine that local indexes plug into.

What an announcement needs is imported at once, the engine when one of its names is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ctxkit.local.capabilities import local_capabilities

if TYPE_CHECKING:
    from ctxkit.local.config import LocalConfig
    from ctxkit.local.engine import EngineStore
    from ctxkit.local.index import AnnIndex, Similarities, Slots

__all__ = ["AnnIndex", "EngineStore", "LocalConfig", "Similarities", "Slots", "local_capabilities"]

_HOME_OF = {
    "AnnIndex": "index",
    "EngineStore": "engine",
    "LocalConfig": "config",
    "Similarities": "index",
    "Slots": "index",
}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

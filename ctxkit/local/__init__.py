"""The durable engine that local indexes plug into."""

from __future__ import annotations

from ctxkit.local.config import LocalConfig, local_capabilities
from ctxkit.local.engine import EngineStore
from ctxkit.local.index import AnnIndex, Mask, Slots, unit

__all__ = ["AnnIndex", "EngineStore", "LocalConfig", "Mask", "Slots", "local_capabilities", "unit"]

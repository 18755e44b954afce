"""Configuration: pydantic models with the names, defaults and limits that users know."""

from __future__ import annotations

from ctxkit.config.conflicts import conflicts
from ctxkit.config.models import (
    Config,
    EmbedderConfig,
    LLMConfig,
    MemoryConfig,
    RetrievalConfig,
    TokenizerConfig,
    VectorStoreConfig,
)
from ctxkit.config.problems import as_config_error
from ctxkit.config.secrets import without_secrets

__all__ = [
    "Config",
    "EmbedderConfig",
    "LLMConfig",
    "MemoryConfig",
    "RetrievalConfig",
    "TokenizerConfig",
    "VectorStoreConfig",
    "as_config_error",
    "conflicts",
    "without_secrets",
]

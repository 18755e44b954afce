"""What stands in for a default that is not installed; what a user named has no stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ctxkit.config import EmbedderConfig, LLMConfig, TokenizerConfig, VectorStoreConfig
from ctxkit.interfaces import Kind
from ctxkit.plugins.registry import PluginRegistry

STAND_INS: Final[Mapping[Kind, str]] = {"vector_store": "exact", "embedder": "none"}


def provider_of(
    kind: Kind, section: EmbedderConfig | LLMConfig | TokenizerConfig | VectorStoreConfig, registry: PluginRegistry
) -> str:
    """Return the name of the component that a section of a configuration stands for."""
    name = section.provider
    if "provider" in section.model_fields_set or registry.is_available(kind, name):
        return name
    return STAND_INS.get(kind, name)

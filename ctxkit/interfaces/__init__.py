"""What a plugin author implements: four small abstract classes and the specification that announces one."""

from __future__ import annotations

from ctxkit.interfaces.embedder import Embedder, EmbedderCapabilities
from ctxkit.interfaces.llm import LLM, Completion, LLMCapabilities, Message, Usage
from ctxkit.interfaces.spec import SPEC_VERSION, BackendConfig, BackendSpec, Kind
from ctxkit.interfaces.tokenizer import Tokenizer, TokenizerCapabilities
from ctxkit.interfaces.vector_store import (
    Capabilities,
    CollectionSpec,
    StoreHealth,
    StoreStats,
    VectorStore,
)

__all__ = [
    "LLM",
    "SPEC_VERSION",
    "BackendConfig",
    "BackendSpec",
    "Capabilities",
    "CollectionSpec",
    "Completion",
    "Embedder",
    "EmbedderCapabilities",
    "Kind",
    "LLMCapabilities",
    "Message",
    "StoreHealth",
    "StoreStats",
    "Tokenizer",
    "TokenizerCapabilities",
    "Usage",
    "VectorStore",
]

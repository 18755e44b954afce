"""What a plugin author implements: four small abstract classes and the specification that announces one.

What an announcement needs is imported at once; the classes, which need numpy and pydantic, when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ctxkit.interfaces.capabilities import (
    Capabilities,
    EmbedderCapabilities,
    LLMCapabilities,
    TokenizerCapabilities,
)
from ctxkit.interfaces.spec import SPEC_VERSION, BackendSpec, Kind
from ctxkit.interfaces.values import InvalidValueError

if TYPE_CHECKING:
    from ctxkit.interfaces.async_vector_store import AsyncVectorStore
    from ctxkit.interfaces.config import BackendConfig
    from ctxkit.interfaces.embedder import Embedder
    from ctxkit.interfaces.executor_vector_store import ExecutorVectorStore, asynchronous
    from ctxkit.interfaces.harness import DirectoryHarness, Harness
    from ctxkit.interfaces.llm import LLM, Completion, Message, ToolCall, Usage
    from ctxkit.interfaces.tokenizer import Tokenizer
    from ctxkit.interfaces.vector_store import CollectionSpec, StoreHealth, StoreStats, VectorStore

__all__ = [
    "LLM",
    "SPEC_VERSION",
    "AsyncVectorStore",
    "BackendConfig",
    "BackendSpec",
    "Capabilities",
    "CollectionSpec",
    "Completion",
    "DirectoryHarness",
    "Embedder",
    "EmbedderCapabilities",
    "ExecutorVectorStore",
    "Harness",
    "InvalidValueError",
    "Kind",
    "LLMCapabilities",
    "Message",
    "StoreHealth",
    "StoreStats",
    "Tokenizer",
    "TokenizerCapabilities",
    "ToolCall",
    "Usage",
    "VectorStore",
    "asynchronous",
]

_HOME_OF = {
    "AsyncVectorStore": "async_vector_store",
    "BackendConfig": "config",
    "CollectionSpec": "vector_store",
    "Completion": "llm",
    "DirectoryHarness": "harness",
    "Embedder": "embedder",
    "ExecutorVectorStore": "executor_vector_store",
    "Harness": "harness",
    "LLM": "llm",
    "Message": "llm",
    "StoreHealth": "vector_store",
    "StoreStats": "vector_store",
    "Tokenizer": "tokenizer",
    "ToolCall": "llm",
    "Usage": "llm",
    "VectorStore": "vector_store",
    "asynchronous": "executor_vector_store",
}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

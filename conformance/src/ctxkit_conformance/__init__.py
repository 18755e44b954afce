"""The checks that every component of ctxkit has to pass, as classes for an author's own pytest file.

from ctxkit_conformance import VectorStoreContract

class TestAcme(VectorStoreContract):
    component = "acme"
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctxkit_conformance.embedders.contract import EmbedderContract
    from ctxkit_conformance.llms.contract import LLMContract
    from ctxkit_conformance.marks import covers, not_applicable
    from ctxkit_conformance.stores.contract import QuickVectorStoreContract, VectorStoreContract
    from ctxkit_conformance.tokenizers.contract import TokenizerContract

__all__ = [
    "EmbedderContract",
    "LLMContract",
    "QuickVectorStoreContract",
    "TokenizerContract",
    "VectorStoreContract",
    "covers",
    "not_applicable",
]

_HOME_OF = {
    "EmbedderContract": "embedders.contract",
    "LLMContract": "llms.contract",
    "QuickVectorStoreContract": "stores.contract",
    "TokenizerContract": "tokenizers.contract",
    "VectorStoreContract": "stores.contract",
    "covers": "marks",
    "not_applicable": "marks",
}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

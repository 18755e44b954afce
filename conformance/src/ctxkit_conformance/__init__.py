"""The checks that every component of ctxkit has to pass, as classes for an author's own pytest file.

from ctxkit_conformance import VectorStoreContract

class TestAcme(VectorStoreContract):
    component = "acme"
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ctxkit_conformance.stores.contract import VectorStoreContract

# Before they are imported: a failed check then shows the values it compared.
pytest.register_assert_rewrite(*(f"{__name__}.{kind}" for kind in ("stores", "embedders", "tokenizers", "llms")))

__all__ = ["VectorStoreContract"]

_HOME_OF = {"VectorStoreContract": "stores.contract"}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

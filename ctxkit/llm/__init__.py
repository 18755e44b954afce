"""Language models by name."""

from __future__ import annotations

from ctxkit.llm.adapters import create_llm_adapter

__all__ = ["create_llm_adapter"]

"""The same names as `ctxkit.tokens`, under the path that older code imports."""

from __future__ import annotations

from ctxkit.tokens import TokenCounter

__all__ = ["TokenCounter"]

"""Counting and cutting text by tokens: the public face of the tokenizers."""

from __future__ import annotations

from typing import Literal

from ctxkit.interfaces import Tokenizer
from ctxkit.plugins import PluginRegistry, get_registry

__all__ = ["TokenCounter"]


class TokenCounter:
    """Counts the tokens of text and cuts text to a number of tokens.

    `tokenizer` is a component or the name of an installed one ("estimate" needs nothing and never counts too few).
    Raises PluginNotFoundError for a name that is not installed.
    """

    def __init__(self, tokenizer: Tokenizer | str = "estimate", *, registry: PluginRegistry | None = None) -> None:
        if isinstance(tokenizer, str):
            tokenizer = (registry or get_registry()).create_tokenizer(tokenizer)
        self.tokenizer = tokenizer

    @property
    def exact(self) -> bool:
        """Whether counts are the model's own; if not, they are never below them."""
        return self.tokenizer.exact

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of the text."""
        return self.tokenizer.count(text)

    def truncate_to_tokens(self, text: str, max_tokens: int, side: Literal["left", "right"] = "right") -> str:
        """Return the longest part of `text` within `max_tokens`; `side` is the side that is cut away."""
        return self.tokenizer.truncate(text, max_tokens, side)

    def __repr__(self) -> str:
        return f"TokenCounter({self.tokenizer.name!r})"

"""Counting and cutting text by tokens: the public face of the tokenizers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ctxkit.errors import ConfigError
from ctxkit.interfaces import Tokenizer
from ctxkit.plugins import PluginRegistry, get_registry

__all__ = ["RememberingTokenizer", "TokenCounter"]

_REMEMBERED = 65_536


class TokenCounter:
    """Counts the tokens of text and cuts text to a number of tokens.

        counter = TokenCounter()                                          # estimates, never too few
        counter = TokenCounter("tiktoken", options={"model": "gpt-4o"})   # the model's own tokens

    `tokenizer` is a component or the name of an installed one ("estimate" needs nothing and never counts too few), and
    `options` are those of the named one, as `ctxkit plugins show tokenizer:tiktoken` lists them. Raises
    PluginNotFoundError for a name that is not installed, and ConfigError for options that it does not have.
    """

    def __init__(
        self,
        tokenizer: Tokenizer | str = "estimate",
        *,
        options: Mapping[str, Any] | None = None,
        registry: PluginRegistry | None = None,
    ) -> None:
        if isinstance(tokenizer, str):
            tokenizer = (registry or get_registry()).create_tokenizer(tokenizer, options)
        elif options:
            raise ConfigError(
                f"the tokenizer {tokenizer.name} is made already, and takes no options.",
                fix="give its name together with the options, or make it with them.",
            )
        self.tokenizer = tokenizer

    @property
    def name(self) -> str:
        """Which tokens are counted, for example "o200k_base"; "estimate" where the model's own cannot be."""
        return self.tokenizer.name

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


class RememberingTokenizer(Tokenizer):
    """A tokenizer that remembers the counts of the texts it saw last, because memories are counted again and again.

    It keeps a digest of each text, not the text.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._counts: dict[bytes, int] = {}

    @property
    def name(self) -> str:
        """The tokenizer's own name."""
        return self._tokenizer.name

    @property
    def exact(self) -> bool:
        """As the tokenizer."""
        return self._tokenizer.exact

    @property
    def concatenation_bound(self) -> int:
        """As the tokenizer."""
        return self._tokenizer.concatenation_bound

    def count(self, text: str) -> int:
        """Return the number of tokens, from memory if the text was counted before."""
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        known = self._counts.get(key)
        if known is None:
            if len(self._counts) >= _REMEMBERED:
                self._counts.clear()
            known = self._counts[key] = self._tokenizer.count(text)
        return known

    def encode(self, text: str) -> list[int]:
        """As the tokenizer."""
        return self._tokenizer.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """As the tokenizer."""
        return self._tokenizer.decode(ids)

    def truncate(self, text: str, max_tokens: int, side: Literal["left", "right"] = "right") -> str:
        """As the tokenizer."""
        return self._tokenizer.truncate(text, max_tokens, side)

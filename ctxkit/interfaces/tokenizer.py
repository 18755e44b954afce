"""The tokenizer interface: how long a text is for a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from ctxkit.errors import UnsupportedError


class Tokenizer(ABC):
    """Counts tokens. Constructed from its configuration; safe to call from several threads."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Which tokens are counted, for example "cl100k_base"."""

    @property
    @abstractmethod
    def exact(self) -> bool:
        """Whether `count` is the model's own number; if not, it is never below it."""

    @property
    @abstractmethod
    def concatenation_bound(self) -> int:
        """The b in: count(x + y) <= count(x) + count(y) + b, for all x and y."""

    @abstractmethod
    def count(self, text: str) -> int:
        """Return the number of tokens; special-token text counts as plain text."""

    def encode(self, text: str) -> list[int]:
        """Return the token ids; raises UnsupportedError where the tokenizer only counts."""
        msg = f"the tokenizer {self.name} counts tokens but has no ids for them ({len(text)} characters given)."
        raise UnsupportedError(msg, fix="choose an exact tokenizer, for example tiktoken.")

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids; raises UnsupportedError where the tokenizer only counts."""
        msg = f"the tokenizer {self.name} cannot decode ({len(ids)} ids given)."
        raise UnsupportedError(msg, fix="choose an exact tokenizer, for example tiktoken.")

    @abstractmethod
    def truncate(self, text: str, max_tokens: int, side: Literal["left", "right"] = "right") -> str:
        """Return the longest part of `text` of at most `max_tokens` tokens, cut on a character boundary.

        `side` is the side that is cut away: "right" keeps the beginning, "left" keeps the end.
        """

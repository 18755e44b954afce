"""Counting what is being put together, without counting everything again after each piece."""

from __future__ import annotations

from ctxkit.interfaces import Tokenizer


class Purse:
    """A token budget that pieces of text are paid from.

    A piece costs its own tokens plus the tokenizer's concatenation bound, so the whole can never cost more than
    the sum of its pieces.
    """

    def __init__(self, tokenizer: Tokenizer, budget: int) -> None:
        self._tokenizer = tokenizer
        self.left = budget

    def price(self, text: str) -> int:
        """Return what a piece costs; nothing costs nothing."""
        return self._tokenizer.count(text) + self._tokenizer.concatenation_bound if text else 0

    def pay(self, price: int) -> bool:
        """Take the price if it is there and say whether it was."""
        if price > self.left:
            return False
        self.left -= price
        return True

    def cut(self, text: str, price: int) -> str:
        """Return the longest beginning of the text that costs at most `price`."""
        return self._tokenizer.truncate(text, max(price - self._tokenizer.concatenation_bound, 0))

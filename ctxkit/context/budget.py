"""Counting what is being put together, without counting everything again after each piece."""

from __future__ import annotations

from ctxkit.interfaces import Tokenizer


class Purse:
    """A token budget that pieces of text are paid from, each with its own count.

    Text put together may count a little more or less than its pieces, so what is bought is a draft: whoever renders
    it counts the whole once and gives something back if it is too much.
    """

    def __init__(self, tokenizer: Tokenizer, budget: int) -> None:
        self._tokenizer = tokenizer
        self.left = budget

    def price(self, text: str) -> int:
        """Return what a piece costs."""
        return self._tokenizer.count(text)

    def pay(self, price: int) -> bool:
        """Take the price if it is there and say whether it was."""
        if price > self.left:
            return False
        self.left -= price
        return True

    def cut(self, text: str, price: int) -> str:
        """Return the longest beginning of the text that costs at most `price`."""
        return self._tokenizer.truncate(text, price)

"""Cutting text to a number of tokens, and splitting it, with any tokenizer that counts exactly."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal, Protocol

from ctxkit.errors import TokenizerError

Side = Literal["left", "right"]

LOOKAHEAD: Final = 16
"""Characters more that are tried: a word may have fewer tokens than its beginning."""

_CHARACTERS_A_TOKEN = 8  # more than most text has; where it is too few, more text is looked at
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


class Ruler(Protocol):
    """What cutting asks of a tokenizer, for one text."""

    def guess(self, text: str, max_tokens: int, side: Side) -> int:
        """Return about how many characters `max_tokens` tokens take, and all of them if the text fits."""

    def counter(self, text: str, guess: int, side: Side) -> Callable[[int], int]:
        """Return what counts the part of a size near `guess`: a beginning, or with side "left" an end."""


def truncate_text(text: str, max_tokens: int, side: Side, ruler: Ruler) -> str:
    """Return the longest beginning (side "right") or end (side "left") of `text` within `max_tokens` tokens.

    No part that is up to LOOKAHEAD characters longer fits. Halves of a surrogate pair stay together. Raises
    TokenizerError if `max_tokens` is negative or `side` is neither.
    """
    if max_tokens < 0:
        raise TokenizerError(f"max_tokens is {max_tokens}.", fix="give a budget of 0 or more.")
    if side not in ("left", "right"):
        raise TokenizerError(f"side is {side!r}.", fix='cut away the "left" or the "right" side.')
    for window in _windows(max_tokens, len(text)):
        seen = _part(text, window, side)
        guess = ruler.guess(seen, max_tokens, side)
        if guess < window:
            kept = _settle(seen, guess, max_tokens, side, ruler)
            if kept + LOOKAHEAD <= window or window == len(text):
                return _part(text, kept, side)
    return text


def split_text(text: str, max_tokens: int, overlap: int, truncate: Callable[[str, int, Side], str]) -> list[str]:
    """Return consecutive parts of at most `max_tokens` tokens each, together the whole text.

    A part begins with the end of the one before it, of at most `overlap` tokens; where that would leave no room for
    anything new, there is no overlap. Raises TokenizerError for numbers that do not allow this, and for a character
    that has more tokens than a part may have.
    """
    if max_tokens < 1:
        raise TokenizerError(f"max_tokens is {max_tokens}.", fix="give each part 1 token or more.")
    if not 0 <= overlap < max_tokens:
        raise TokenizerError(f"overlap is {overlap}.", fix=f"give 0 to {max_tokens - 1}, less than max_tokens.")
    parts: list[str] = []
    end = 0
    while end < len(text):
        shared = truncate(parts[-1], overlap, "left") if parts and overlap else ""
        part = _beginning(text, end - len(shared), max_tokens, truncate)
        if len(part) <= len(shared):
            shared, part = "", _beginning(text, end, max_tokens, truncate)
        if not part:
            raise TokenizerError(
                f"the character at {end} alone has more than {max_tokens} tokens.", fix="raise max_tokens."
            )
        parts.append(part)
        end += len(part) - len(shared)
    return parts


def _beginning(text: str, start: int, max_tokens: int, truncate: Callable[[str, int, Side], str]) -> str:
    """Return the beginning of what follows `start`, without copying all of that."""
    part = ""
    for window in _windows(max_tokens, len(text) - start):
        part = truncate(text[start : start + window], max_tokens, "right")
        if len(part) + LOOKAHEAD <= window:
            break
    return part


def _windows(max_tokens: int, length: int) -> list[int]:
    """Return how many characters to look at, growing to the whole text."""
    sizes = [_CHARACTERS_A_TOKEN * max_tokens + 4 * LOOKAHEAD]
    while sizes[-1] < length:
        sizes.append(4 * sizes[-1])
    return [*sizes[:-1], length]


def _settle(text: str, guess: int, max_tokens: int, side: Side, ruler: Ruler) -> int:
    """Return a size that fits while none of the next LOOKAHEAD does, found near the guess."""
    count = ruler.counter(text, guess, side)

    def fits(size: int) -> bool:
        at = size if side == "right" else len(text) - size
        return not _splits_pair(text, at) and count(size) <= max_tokens

    size, step = guess, 1
    while size > 0 and not fits(size):
        size, step = max(0, size - step), 2 * step
    while more := next((each for each in range(min(size + LOOKAHEAD, len(text)), size, -1) if fits(each)), 0):
        size = more
    return size


def _part(text: str, size: int, side: Side) -> str:
    return text[:size] if side == "right" else text[len(text) - size :]


def _splits_pair(text: str, at: int) -> bool:
    return _PAIR.match(text, at - 1) is not None if at > 0 else False


def well_formed(text: str) -> str:
    """Return the text with surrogate pairs joined and lone surrogates replaced by U+FFFD, as tiktoken does."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def own_size(text: str, size: int, side: Side) -> int:
    """Return how many characters of `text` stand for `size` characters of `well_formed(text)`, from one end."""
    pairs = [(match.start(), match.end()) for match in _PAIR.finditer(text)]
    if side == "left":
        pairs = [(len(text) - end, len(text) - start) for start, end in reversed(pairs)]
    for start, _ in pairs:
        if start >= size:
            break
        size += 1
    return size

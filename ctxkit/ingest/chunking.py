"""Cutting text into overlapping chunks of at most so many tokens, at natural boundaries where there are any."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ctxkit.errors import ConfigError
from ctxkit.interfaces import Tokenizer

# From the best place to end a chunk to the worst; each match ends where the chunk may end.
_BOUNDARIES = (
    re.compile(r"\n[ \t]*\n+"),
    re.compile(r"\n+"),
    re.compile(r"[.!?…][\"')\]]*\s+|[。！？]"),
    re.compile(r"\s+"),
)
_FIRST_GUESS = 3  # characters per token; the chunk before says it better
_MOST_PER_TOKEN = 8
# Counting is what cutting costs, so a piece that is nearly full is taken as it is.
_NEARLY_FULL = 0.92
_AIM = 0.97
_STRAIGHT_GUESSES = 4


@dataclass(frozen=True, slots=True)
class Chunk:
    """A verbatim piece of a text: `text == source[start:end]`; `index` counts from 0."""

    index: int
    start: int
    end: int
    text: str


def split_text(text: str, tokenizer: Tokenizer, *, size: int, overlap: int = 0) -> Iterator[Chunk]:
    """Yield chunks of at most `size` tokens, each repeating up to `overlap` tokens of the one before.

    Chunks end at a paragraph, line, sentence or word where the second half of the chunk has one. Every character
    but surrounding white space is in some chunk. Raises ConfigError unless 0 <= overlap < size.
    """
    if not 0 <= overlap < size:
        raise ConfigError(
            f"chunks of {size} tokens cannot overlap by {overlap}.", fix="use an overlap from 0 to size - 1."
        )
    position, index, per_token = 0, 0, float(_FIRST_GUESS)
    while position < len(text):
        window = text[position : position + size * _MOST_PER_TOKEN]
        length, per_token = _fitting(window, tokenizer, size, per_token, _beginning)
        # A character can cost more than a tiny `size`; taking it anyway is the only way forward.
        fitting = window[: max(length, 1)]
        end = position + len(fitting)
        if end < len(text):
            end = position + _natural_end(fitting)
        piece = text[position:end]
        if piece.strip():
            yield Chunk(index, position, end, piece)
            index += 1
        if end >= len(text):
            return
        position = max(position + 1, _overlap_start(piece, end, tokenizer, overlap, per_token))


def _beginning(text: str, length: int) -> str:
    return text[:length]


def _end(text: str, length: int) -> str:
    return text[len(text) - length :]


def _fitting(
    text: str, tokenizer: Tokenizer, size: int, per_token: float, part: Callable[[str, int], str]
) -> tuple[int, float]:
    """Return how many characters to take from one side for at most `size` tokens, and their characters per token.

    The piece is nearly full: no longer one was found to fit that is worth another count. `per_token` is the guess
    that the search begins with; it ends after a few counts where the text is even, and halves where it is not.
    """
    fits, too_long = 0, len(text) + 1
    length = min(max(int(size * _AIM * per_token), 1), len(text))
    tries = 0
    while too_long - fits > 1:
        tokens = tokenizer.count(part(text, length))
        per_token = length / max(tokens, 1)
        if tokens > size:
            too_long = length
        elif tokens >= size * _NEARLY_FULL or length == len(text):
            return length, per_token
        else:
            fits = length
        tries += 1
        aim = int(size * _AIM * per_token) if tries < _STRAIGHT_GUESSES else (fits + too_long) // 2
        length = min(max(aim, fits + 1), too_long - 1)
    return fits, per_token


def _natural_end(text: str) -> int:
    """Return the length of `text` up to the best boundary in its second half."""
    half = len(text) // 2
    for boundary in _BOUNDARIES:
        ends = [match.end() for match in boundary.finditer(text, half)]
        if ends:
            return ends[-1]
    return len(text)


def _overlap_start(piece: str, end: int, tokenizer: Tokenizer, overlap: int, per_token: float) -> int:
    """Return where the next chunk begins: up to `overlap` tokens before `end`, at the start of a word."""
    if overlap == 0:
        return end
    # Half the chunk at most, so that each step moves on by a fair share of it.
    half = piece[len(piece) // 2 :]
    length, _ = _fitting(half, tokenizer, overlap, per_token, _end)
    tail = _end(half, length)
    word = re.search(r"\s+", tail)
    return end - length if word is None else end - length + word.end()

"""Cutting text into overlapping chunks of at most so many tokens, at natural boundaries where there are any."""

from __future__ import annotations

import re
from collections.abc import Iterator
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
_CHARACTERS_PER_TOKEN = 8


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
    position, index = 0, 0
    while position < len(text):
        window = text[position : position + size * _CHARACTERS_PER_TOKEN]
        # A character can cost more than a tiny `size`; taking it anyway is the only way forward.
        fitting = tokenizer.truncate(window, size) or window[:1]
        end = position + len(fitting)
        if end < len(text):
            end = position + _natural_end(fitting)
        piece = text[position:end]
        if piece.strip():
            yield Chunk(index, position, end, piece)
            index += 1
        if end >= len(text):
            return
        position = max(position + 1, _overlap_start(piece, end, tokenizer, overlap))


def _natural_end(text: str) -> int:
    """Return the length of `text` up to the best boundary in its second half."""
    half = len(text) // 2
    for boundary in _BOUNDARIES:
        ends = [match.end() for match in boundary.finditer(text, half)]
        if ends:
            return ends[-1]
    return len(text)


def _overlap_start(piece: str, end: int, tokenizer: Tokenizer, overlap: int) -> int:
    """Return where the next chunk begins: up to `overlap` tokens before `end`, at the start of a word."""
    if overlap == 0:
        return end
    # Half the chunk at most, so that each step moves on by a fair share of it.
    tail = tokenizer.truncate(piece[len(piece) // 2 :], overlap, "left")
    word = re.search(r"\s+", tail)
    if word is None:
        return end if len(tail) == 0 else end - len(tail)
    return end - len(tail) + word.end()

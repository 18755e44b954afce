"""What of a text goes into its index of words, and the words of a question: as the engine's own index has them.

Letters in lower case without accents, runs of Chinese, Japanese or Korean characters as overlapping pairs; PostgreSQL
stems what it is given, and leaves nothing out.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from ctxkit.local.parts import words as engine

_WORD: Final = re.compile(r"[^\W_]+")
_QUOTED: Final = re.compile(r'"([^"]+)"( \*)?')
_MOST_BYTES: Final = 500_000  # of a text's words: a tsvector has room for 2**20 bytes of words and places
_MOST_LETTER_BYTES: Final = 4


def said(text: str) -> tuple[str, int]:
    """Return the words of a text, with spaces between, and how many they are: no more than 500 000 bytes."""
    found = _WORD.findall(_folded(engine.prepared(text)))
    joined = " ".join(found)
    if len(joined) * _MOST_LETTER_BYTES > _MOST_BYTES:
        joined = joined.encode()[:_MOST_BYTES].decode(errors="ignore")
        return joined, joined.count(" ") + 1
    return joined, len(found)


def asked(text: str) -> tuple[list[str], list[bool]]:
    """Return the words of a question, each once, and which of them are beginnings of words."""
    terms = _QUOTED.findall(engine.match_expression(text) or "")
    found = {(word, bool(star)): None for quoted, star in terms for word in _WORD.findall(_folded(quoted))}
    return [word for word, _ in found], [star for _, star in found]


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFD", text.lower())
    return unicodedata.normalize("NFC", "".join(part for part in parts if not unicodedata.combining(part)))

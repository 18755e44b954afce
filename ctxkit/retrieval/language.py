"""The little that retrieval knows of English. A text in another language is treated as if it had no such words."""

from __future__ import annotations

import re
from typing import Final

STOP_WORDS: Final = frozenset(
    """
    a about am an and any are as at be because been being but by can could did do does doing for from had has have
    having he her hers him his how i if in into is it its itself me my no not of on or our ours s she should so t than
    that the their theirs them then there these they this those to us was we were what when where which while who whom
    why will with would you your yours
    """.split()  # noqa: SIM905 - a list of a hundred words reads badly
)
MONTHS: Final = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_OPENINGS: Final = [[word] for word in ("how", "what", "when", "where", "which", "who", "whom", "whose", "why")]
_WORD = re.compile(r"[^\W_]+")
# A note in brackets, "[shares image: a red kite]", is nothing that was said.
_NOTE = re.compile(r"\s*\[[^\[\]]*\]$")
_MARKS_AT_END = 3


def search_words(question: str) -> str:
    """Return the question without the words that stand in every text, each word once; all of it if none is left.

    BM25 gives frequent words little weight; in a conversation, though, "what did you" is rare enough to count.
    """
    words = dict.fromkeys(word for word in _WORD.findall(question.lower()) if word not in STOP_WORDS)
    return " ".join(words) or question


def repeats(text: str, question: str) -> bool:
    """Whether a text says a question again, word for word, and nothing else."""
    words = _WORD.findall(question.lower())
    return (asks(question) or words[:1] in _OPENINGS) and _WORD.findall(text.lower()) == words


def asks(text: str) -> bool:
    """Whether a text ends with a question; what follows is then likely to be the answer."""
    said = text.rstrip()
    if said.endswith("]"):
        said = _NOTE.sub("", said)
    return "?" in said[-_MARKS_AT_END:]

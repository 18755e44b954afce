"""The stand-in for a language model: it answers with passages of the context, word for word."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ctxkit.context import ContextResult, LedgerRow
from ctxkit.retrieval.language import asks, repeats, search_words

_PASSAGES = 3
_LONGEST = 300  # characters of a passage
_SPEAKER = re.compile(r"^(?:User|Assistant): ")
_HEADING = re.compile(r"#{1,6} ")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
NOTHING = "Nothing in memory fits."


def quote(context: ContextResult) -> str:
    """Return up to three passages of the memories in a context, a line each, those that fit the question best."""
    shown = {row.id for row in context.ledger if row.kept}
    ranked = sorted((row for row in context.ledger if row.id in shown and row.part == "memory"), key=_falling)
    passages: dict[str, None] = {}
    for row in ranked:
        passage = _passage(row.text, context.question)
        if passage and len(passages) < _PASSAGES:
            passages.setdefault(passage)
    return "\n".join(f"“{passage}”" for passage in passages) or NOTHING


def _falling(row: LedgerRow) -> float:
    return -row.final


def _passage(text: str, question: str) -> str:
    """Return the sentence with most of the question's words, the first of equals; nothing where all of them ask.

    The question itself, asked before, is no answer to it, whether or not a mark ends it.
    """
    said = [sentence for sentence in _sentences(text) if not asks(sentence) and not repeats(sentence, question)]
    words = search_words(question).split()
    best = max(said, key=lambda sentence: sum(word in sentence.lower() for word in words), default="")
    return best if len(best) <= _LONGEST else f"{best[:_LONGEST]}…"


def _sentences(text: str) -> Iterator[str]:
    for line in text.splitlines():
        said = _SPEAKER.sub("", line)
        for part in () if _HEADING.match(said) else _SENTENCE_END.split(said):
            if part.strip():
                yield part.strip()

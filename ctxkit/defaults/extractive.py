"""A summariser without a model: it repeats the sentences that say most.

Stands in for a language model where none is configured or none answers. A sentence scores by the words that are
frequent in the whole text, after SumBasic: every word of a chosen sentence loses weight, so that the next one says
something new (Nenkova and Vanderwende, "The Impact of Frequency on Summarization", 2005).
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from ctxkit.defaults.estimator import EstimatingTokenizer
from ctxkit.errors import LLMError
from ctxkit.interfaces import LLM, BackendConfig, Completion, Message, Usage

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_WORD = re.compile(r"[^\W_]{3,}|[\u3040-\u30ff\u4e00-\u9fff]")
_MAX_CHARACTERS = 400_000
_MAX_SENTENCES = 2_000
_ROLES = ("system", "user", "assistant", "tool")
_COMMON = frozenset(
    """
    the and that this with you your for are was were have has had not but can will would could should from they them
    there their what when which who how why all any about into out than then its our some just like also been being
    did does here him her his she user assistant yes let get got one
    """.split()  # noqa: SIM905 - ninety quoted words would be harder to read
)


def _check(messages: Sequence[Message]) -> None:
    """Raise LLMError for what no model would take, so that a slip shows before there is a model."""
    if not messages:
        raise LLMError("there is no message to summarise.", fix="pass at least one message with content.")
    for number, message in enumerate(messages, start=1):
        if message.get("role") not in _ROLES:
            raise LLMError(
                f"message {number} has the role {message.get('role')!r}.", fix=f"use one of {', '.join(_ROLES)}."
            )
        if "content" not in message:
            raise LLMError(f"message {number} has no content.", fix="give it a content, which may be empty.")


class ExtractiveConfig(BackendConfig):
    """`max_tokens` is the length of a summary when the call does not say."""

    max_tokens: int = Field(default=300, ge=1)


class ExtractiveSummarizer(LLM):
    """Answers with the most telling sentences of the last message, in their order, never more than asked for.

    Text beyond 400,000 characters is read at both ends, and of more than 2,000 sentences as many, evenly spread.
    """

    name = "extractive"

    def __init__(self, config: ExtractiveConfig | None = None) -> None:
        self._config = config or ExtractiveConfig()
        self._tokenizer = EstimatingTokenizer()

    def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,  # noqa: ARG002 - nothing here is random
        **options: Any,  # noqa: ARG002 - options of real models mean nothing here
    ) -> Completion:
        """Return a summary of the last message's content of at most `max_tokens` tokens."""
        _check(messages)
        text = str(messages[-1]["content"] or "")
        budget = max_tokens or self._config.max_tokens
        summary = self._summarize(text, budget)
        usage = Usage(input_tokens=self._tokenizer.count(text), output_tokens=self._tokenizer.count(summary))
        return Completion(text=summary, model=self.name, usage=usage, finish_reason="stop")

    def _summarize(self, text: str, budget: int) -> str:
        if len(text) > _MAX_CHARACTERS:
            text = f"{text[: _MAX_CHARACTERS // 2]}\n{text[-_MAX_CHARACTERS // 2 :]}"
        sentences = _spread([part.strip() for part in _SENTENCE_END.split(text) if part.strip()])
        words = [[w for w in _WORD.findall(s.lower()) if w not in _COMMON] for s in sentences]
        weights = Counter(word for sentence in words for word in sentence)
        scale = max(sum(weights.values()), 1)
        value = {word: count / scale for word, count in weights.items()}
        chosen: list[int] = []
        used = 0
        for index in _by_value(words, value, limit=max(budget // 3, 1)):
            cost = self._tokenizer.count(sentences[index]) + 1
            if used + cost <= budget:
                chosen.append(index)
                used += cost
        summary = " ".join(sentences[index] for index in sorted(chosen))
        if not summary and sentences:
            summary = self._tokenizer.truncate(sentences[0], budget)
        return self._tokenizer.truncate(summary, budget)


def _spread(sentences: list[str]) -> list[str]:
    """Return the sentences, or `_MAX_SENTENCES` of them at even distances, the first and the last included."""
    last = len(sentences) - 1
    if last < _MAX_SENTENCES:
        return sentences
    return [sentences[number * last // (_MAX_SENTENCES - 1)] for number in range(_MAX_SENTENCES)]


def _by_value(words: list[list[str]], value: dict[str, float], *, limit: int) -> list[int]:
    """Return sentence numbers, the most telling first, each weighed after the words already told are discounted.

    Values only fall, so a weight from before is never too low: the sentence on top of the heap is weighed anew, and
    it is the best of all if it weighs what it did.
    """

    def weight(index: int) -> float:
        return sum(value[word] for word in words[index]) / len(words[index])

    heap = [(-weight(index), index) for index, sentence in enumerate(words) if sentence]
    heapq.heapify(heap)
    order: list[int] = []
    while heap and len(order) < limit:
        known, index = heap[0]
        now = -weight(index)
        if now != known:
            heapq.heapreplace(heap, (now, index))
            continue
        heapq.heappop(heap)
        order.append(index)
        for word in set(words[index]):
            value[word] = value[word] ** 2
    return order

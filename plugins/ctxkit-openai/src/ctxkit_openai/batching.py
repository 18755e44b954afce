"""Texts as the provider takes them: no longer than its model reads, and no more at once than it allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ctxkit.defaults.estimator import EstimatingTokenizer
from ctxkit.providers import well_formed

_NOTHING = " "  # the provider refuses an empty text


class Batcher:
    """Prepares texts and groups them.

    Tokens are estimated, never too few: a token of OpenAI's models has at least one byte, and where that says too
    little the core's estimator counts.
    """

    def __init__(self, *, max_tokens: int, max_batch: int, max_batch_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._max_batch = max_batch
        self._max_batch_tokens = max_batch_tokens
        self._tokenizer = EstimatingTokenizer()

    def prepared(self, text: str) -> str:
        """Return what is sent for a text: its first `max_tokens` tokens, lone surrogates as U+FFFD, never nothing."""
        text = well_formed(text)
        if len(text.encode("utf-8")) > self._max_tokens:
            text = self._tokenizer.truncate(text, self._max_tokens)
        return text or _NOTHING

    def batches(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """Yield the texts in groups, in their order; a text that alone is too much for a request is one of its own."""
        sizes = [len(text.encode("utf-8")) for text in texts]
        if sum(sizes) > self._max_batch_tokens:
            sizes = [self._tokenizer.count(text) for text in texts]
        batch: list[str] = []
        total = 0
        for text, size in zip(texts, sizes, strict=True):
            if batch and (len(batch) >= self._max_batch or total + size > self._max_batch_tokens):
                yield batch
                batch, total = [], 0
            batch.append(text)
            total += size
        if batch:
            yield batch

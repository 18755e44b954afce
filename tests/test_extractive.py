"""The summariser without a model."""

from __future__ import annotations

import asyncio

import pytest

from ctxkit.defaults.estimator import EstimatingTokenizer
from ctxkit.defaults.extractive import ExtractiveConfig, ExtractiveSummarizer
from ctxkit.errors import LLMError

TOKENIZER = EstimatingTokenizer()
TEXT = (
    "The mill needs a new wheel. Oak is dear this year. The wheel of the mill was cut in 1911. "
    "Somebody whistled. The miller wants the wheel by June. Lunch was late."
)


def test_it_repeats_whole_sentences_in_their_order() -> None:
    """What is said often in the text is what stays."""
    summary = ExtractiveSummarizer().generate_sync(TEXT, max_tokens=20)
    assert "wheel" in summary
    assert "whistled" not in summary
    position = -1
    for sentence in summary.split(". "):
        assert TEXT.find(sentence) > position
        position = TEXT.find(sentence)


@pytest.mark.parametrize("limit", [1, 3, 10, 1000])
@pytest.mark.parametrize(
    "text", [TEXT, "", "   ", "!!!", "word " * 5000, "磨坊需要一个新轮子。轮子很旧。" * 50, "no end " * 50, "🤖" * 99]
)
def test_it_never_exceeds_what_was_asked_for(text: str, limit: int) -> None:
    """Any text, any limit; the answer is deterministic."""
    summarizer = ExtractiveSummarizer(ExtractiveConfig())
    completion = summarizer.complete([{"role": "user", "content": text}], max_tokens=limit)
    assert TOKENIZER.count(completion.text) <= limit
    assert completion == summarizer.complete([{"role": "user", "content": text}], max_tokens=limit)
    assert completion.usage.output_tokens == TOKENIZER.count(completion.text)


def test_very_long_text_is_read_at_both_ends() -> None:
    """A summary of a novel must not take an evening."""
    text = "The first oak is tall. " + "Filler words go here. " * 40_000 + "The last oak is small."
    summary = ExtractiveSummarizer().generate_sync(text, max_tokens=60)
    assert "Filler" in summary


def test_it_has_every_face_of_a_language_model() -> None:
    """Stream and async give the same answer."""
    summarizer = ExtractiveSummarizer()
    messages = [{"role": "user", "content": TEXT}]
    text = summarizer.complete(messages).text
    assert list(summarizer.stream(messages)) == [text]
    assert asyncio.run(summarizer.generate(TEXT)) == text

    async def streamed() -> list[str]:
        return [piece async for piece in summarizer.astream(messages)]

    assert asyncio.run(streamed()) == [text]
    summarizer.close()


def test_no_message_is_an_error() -> None:
    """There is nothing to summarise."""
    with pytest.raises(LLMError, match="no message"):
        ExtractiveSummarizer().complete([])

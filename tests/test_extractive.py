"""The summariser without a model."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxkit.defaults.estimator import EstimatingTokenizer
from ctxkit.defaults.extractive import ExtractiveConfig, ExtractiveSummarizer, _by_value, _spread
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


def plainly(words: list[list[str]], value: dict[str, float], limit: int) -> list[int]:
    """Choose as `_by_value` does, weighing every sentence anew each time."""
    left = {index for index, sentence in enumerate(words) if sentence}
    order: list[int] = []
    while left and len(order) < limit:
        best = max(left, key=lambda index: (sum(value[w] for w in words[index]) / len(words[index]), -index))
        left.remove(best)
        order.append(best)
        for word in set(words[best]):
            value[word] **= 2
    return order


class Weights(dict[str, float]):
    """Values of words that count how often they are looked up."""

    looked_up = 0

    def __getitem__(self, word: str) -> float:
        """Count and answer."""
        self.looked_up += 1
        return super().__getitem__(word)


@given(st.lists(st.lists(st.sampled_from("abcdefg"), max_size=5), max_size=25), st.integers(1, 30))
def test_the_choice_is_the_same_as_weighing_all_sentences_each_time(words: list[list[str]], limit: int) -> None:
    """The heap saves work and changes nothing, ties included."""
    total = sum(map(len, words)) or 1
    value = {letter: sum(sentence.count(letter) for sentence in words) / total for letter in "abcdefg"}
    assert _by_value(words, dict(value), limit=limit) == plainly(words, dict(value), limit)


def test_sentences_are_not_all_weighed_again_for_each_choice() -> None:
    """The work is that of reading the sentences a few times, not once for every sentence chosen."""
    words = [["same", f"own{number}"] for number in range(2000)]
    value = Weights({word: 1 / 4000 for sentence in words for word in sentence}, same=0.5)
    assert len(_by_value(words, value, limit=500)) == 500
    assert value.looked_up < 30 * 4000


def test_too_many_sentences_are_read_evenly_spread() -> None:
    """The first and the last are read, and what lies between at even distances."""
    few = [str(number) for number in range(2000)]
    assert _spread(few) == few
    many = [int(sentence) for sentence in _spread([str(number) for number in range(50_000)])]
    assert (len(many), many[0], many[-1]) == (2000, 0, 49_999)
    assert {after - before for before, after in pairwise(many)} == {25, 26}

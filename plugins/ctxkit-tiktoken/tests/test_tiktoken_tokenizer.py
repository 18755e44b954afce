"""Counting, encoding, cutting and splitting, held against tiktoken itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import tiktoken
from ctxkit_tiktoken import pieces
from ctxkit_tiktoken import tokenizer as tokenizer_module
from ctxkit_tiktoken.config import TiktokenConfig
from ctxkit_tiktoken.tokenizer import TiktokenTokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken_vocab import encodings

from ctxkit.errors import ConfigError, TokenizerError, UnsupportedError
from ctxkit.tokens import TokenCounter

NAMES = ["cl100k_base", "o200k_base"]
SIDES: list[Literal["left", "right"]] = ["left", "right"]
UNITS = [
    *(
        "a",
        "B",
        "é",
        "中",
        "か",
        "\uff0c",
        "。",
        "😀",
        "\u0301",
        "'s",
        "'LL",
        "1",
        "23",
        "٣",
        "!",
        "/",
        "-",
        " the",
        "x1y",
    ),
    *(" ", "\n", "\r\n", "\t", "\u00a0", "\u2003", "\x1c", "\x85", "\ud800", "\udc00", "\u200d", "<|endoftext|>"),
]
TEXT = st.lists(st.tuples(st.sampled_from(UNITS), st.sampled_from([1, 1, 2, 3, 45])), max_size=30).map(
    lambda parts: "".join(unit * times for unit, times in parts)
)
few = settings(max_examples=60, deadline=None)


def make(name: str = "o200k_base") -> TiktokenTokenizer:
    """Return the tokenizer of an encoding."""
    return TiktokenTokenizer(TiktokenConfig(encoding=name, exact=True))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take text apart into tiny blocks and call a few blanks endless, so that short texts show what long ones do."""
    monkeypatch.setattr(pieces, "BLOCK", 32)
    for module in (pieces, tokenizer_module):
        monkeypatch.setattr(module, "LONG_RUN", 40)


def true_count(encoding: tiktoken.Encoding, text: str) -> int:
    """Return tiktoken's own number of tokens."""
    return len(encoding.encode(text, disallowed_special=()))


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_those_of_tiktoken(name: str) -> None:
    """What is encoded, counted and decoded is what tiktoken says, special-token text taken as plain."""
    tokenizer, own = make(name), encodings()[name]
    assert (tokenizer.name, tokenizer.exact) == (name, True)
    for text in [
        "",
        "Hello, world!",
        "don't <|endoftext|> <|im_start|>",
        "今天的天气很好。",
        "👨\u200d👩\u200d👧 \ud83d\ude00",
        "a\ud800b",
    ]:
        ids = tokenizer.encode(text)
        assert ids == own.encode(text, disallowed_special=())
        assert tokenizer.count(text) == len(ids)
        assert tokenizer.decode(ids) == own.decode(ids)
    assert len(tokenizer.encode("<|endoftext|>")) > 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("small_parts")
def test_text_taken_apart_has_the_ids_of_the_whole(name: str) -> None:
    """Blocks and endless blanks are encoded apart, and nothing changes by it."""
    tokenizer, own = make(name), encodings()[name]

    @few
    @given(TEXT)
    def law(text: str) -> None:
        assert tokenizer.encode(text) == own.encode(text, disallowed_special=())

    law()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.usefixtures("small_parts")
def test_cuts_fit_and_are_maximal(side: Literal["left", "right"]) -> None:
    """By tiktoken's own count the part fits, and none of the next 16 longer ones does."""
    tokenizer, own = make(), encodings()["o200k_base"]

    @few
    @given(TEXT, st.integers(0, 60))
    def law(text: str, budget: int) -> None:
        kept = tokenizer.truncate(text, budget, side)
        assert kept == (text[: len(kept)] if side == "right" else text[len(text) - len(kept) :])
        assert true_count(own, kept) <= budget
        for size in range(len(kept) + 1, min(len(kept) + 16, len(text)) + 1):
            at = size if side == "right" else len(text) - size
            if not ("\ud800" <= text[at - 1 : at] <= "\udbff" and "\udc00" <= text[at : at + 1] <= "\udfff"):
                assert true_count(own, text[:at] if side == "right" else text[at:]) > budget

    law()


def test_characters_are_never_cut() -> None:
    """An emoji of three tokens is there whole or not at all."""
    tokenizer = make("cl100k_base")
    assert tokenizer.count("🦜") == 3
    assert [tokenizer.truncate("🦜🦜", budget) for budget in (2, 3, 5, 6)] == ["", "🦜", "🦜", "🦜🦜"]
    assert tokenizer.truncate("🦜🦜", 5, "left") == "🦜"
    assert tokenizer.truncate("\ud83e\udd9c!", 2) == ""


def test_a_long_text_is_cut_at_either_end() -> None:
    """A small budget takes the same from a megabyte as from its beginning or end."""
    tokenizer = make()
    text = "The boat is moored at berth 14, said the harbour master. " * 20_000
    assert tokenizer.truncate(text, 100) == tokenizer.truncate(text[:2_000], 100)
    assert tokenizer.truncate(text, 100, "left") == tokenizer.truncate(text[-2_000:], 100, "left")
    assert tokenizer.truncate(text, 10**9) is text


def test_blanks_that_overflow_tiktoken_are_counted(capfd: pytest.CaptureFixture[str]) -> None:
    """A million blanks before a word end tiktoken with a panic; here they have the tokens that belong to them.

    o200k_base has tokens of up to 128 blanks; the last blank belongs to the word.
    """
    blanks = 128 * 7_820
    assert make().count("a" + " " * blanks + " boat") == 7_820 + 2
    assert capfd.readouterr().err == ""


def test_a_panic_of_the_library_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no Exception is must not end a server; here the blanks are left to tiktoken on purpose."""
    for module in (pieces, tokenizer_module):
        monkeypatch.setattr(module, "LONG_RUN", 10**9)
    with pytest.raises(TokenizerError, match=r"broke down over a text of 1100002 characters.*Fix: "):
        make().count("a" + " " * 1_100_000 + "x")


@pytest.mark.parametrize("overlap", [0, 3, 9])
def test_split_covers_the_text(overlap: int) -> None:
    """Each part fits, begins with the end of the one before, and together they are the text."""
    tokenizer = make()
    text = " ".join(f"{number} boats 🦜 came in on day {number}. 今天的天气很好。" for number in range(100, 130))
    parts = tokenizer.split(text, 10, overlap)
    assert all(tokenizer.count(part) <= 10 for part in parts)
    end, shared = 0, []
    for part in parts:
        start = (
            end if overlap == 0 else next(at for at in range(max(0, end - 40), end + 1) if text.startswith(part, at))
        )
        assert text[start : start + len(part)] == part
        assert start + len(part) > end
        shared.append(tokenizer.count(text[start:end]))
        end = start + len(part)
    assert end == len(text)
    assert max(shared) <= overlap
    assert (sum(shared) > len(parts)) == (overlap > 0)


def test_split_of_nothing_and_of_what_fits() -> None:
    """No text has no parts, and a text that fits is one."""
    assert make().split("", 5) == []
    assert make().split("a boat", 5, 4) == ["a boat"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda tokenizer: tokenizer.split("a boat", 0), "max_tokens is 0"),
        (lambda tokenizer: tokenizer.split("a boat", 3, 3), "overlap is 3"),
        (lambda tokenizer: tokenizer.split("a boat", 3, -1), "overlap is -1"),
        (lambda tokenizer: tokenizer.split("a 🦜", 2), "character at 2 alone"),
        (lambda tokenizer: tokenizer.truncate("a boat", -1), "max_tokens is -1"),
        (lambda tokenizer: tokenizer.truncate("a boat", 1, "middle"), "side is 'middle'"),
        (lambda tokenizer: tokenizer.decode([-1]), "not all tokens of cl100k_base"),
        (lambda tokenizer: tokenizer.decode([10**12]), "not all tokens of cl100k_base"),
        (lambda tokenizer: tokenizer.decode([100_262]), "not all tokens of cl100k_base"),
    ],
)
def test_impossible_requests_are_typed_errors(call: Callable[[TiktokenTokenizer], object], message: str) -> None:
    """Each names what is wrong and what to do."""
    with pytest.raises(TokenizerError, match=rf"{message}.*Fix: "):
        call(make("cl100k_base"))


def test_counts_of_turns_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that was counted is not encoded again; a very long one is, because it is not kept."""
    tokenizer = make()
    turn, document = "a turn about a boat", "a document about a boat. " * 400
    counts = [tokenizer.count(turn), tokenizer.count(document)]
    monkeypatch.setattr(tokenizer_module._Engine, "parts", lambda _self, _text: iter([[0]]))
    assert [tokenizer.count("".join(turn)), tokenizer.count(document)] == [counts[0], 1]
    assert counts[1] > 1


def test_without_the_vocabulary_the_estimate_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One clear line, once; then counts that are never too few, and no ids."""
    config = TiktokenConfig(model="gpt-4o", directory=tmp_path)
    with caplog.at_level(logging.WARNING, "ctxkit"):
        tokenizer, other = TiktokenTokenizer(config), TiktokenTokenizer(config)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"the vocabulary of o200k_base is not in {tmp_path}: tokens are estimated")
    assert "\n" not in line
    assert "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken" in line
    assert (tokenizer.name, tokenizer.exact) == (other.name, other.exact) == ("estimate", False)
    assert config.capabilities().model_dump() == {"exact": False, "encodes": False}
    text = "The boat is moored at berth 14."
    assert tokenizer.count(text) >= true_count(encodings()["o200k_base"], text)
    assert text.startswith(tokenizer.truncate(text, 4))
    assert "".join(tokenizer.split(text, 4)) == text
    for refused in (lambda: tokenizer.encode("a"), lambda: tokenizer.decode([1])):
        with pytest.raises(UnsupportedError, match="no ids without the vocabulary of o200k_base"):
            refused()


def test_exactness_that_was_asked_for_is_an_error(tmp_path: Path) -> None:
    """With `exact`, no estimate stands in."""
    with pytest.raises(TokenizerError, match=r"o200k_base is not in .* Fix: with a network"):
        TiktokenTokenizer(TiktokenConfig(directory=tmp_path, exact=True))


def test_token_counter_takes_it_by_name() -> None:
    """The core's counter makes it from its name, and counts exactly."""
    counter = TokenCounter("tiktoken")
    assert counter.exact
    assert counter.count_tokens("Hello, world!") == 4
    assert counter.truncate_to_tokens("Hello, world!", 2) == "Hello,"


def test_token_counter_takes_options(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The model chooses the encoding; without its vocabulary a line says so, or an error where that was asked."""
    assert TokenCounter("tiktoken", options={"model": "gpt-4"}).name == "cl100k_base"
    assert TokenCounter("tiktoken", options={"model": "gpt-4o"}).name == "o200k_base"
    with caplog.at_level(logging.WARNING, "ctxkit"):
        counter = TokenCounter("tiktoken", options={"model": "gpt-4", "directory": tmp_path})
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"the vocabulary of cl100k_base is not in {tmp_path}: tokens are estimated, never too few")
    assert (counter.name, counter.exact) == ("estimate", False)
    with pytest.raises(TokenizerError, match=r"cl100k_base is not in .* Fix: with a network"):
        TokenCounter("tiktoken", options={"model": "gpt-4", "directory": tmp_path, "exact": True})
    with pytest.raises(ConfigError, match="no encoding is known for the model 'gpt-99'; name one with encoding"):
        TokenCounter("tiktoken", options={"model": "gpt-99"})
    with pytest.raises(ConfigError, match="there is no such option"):
        TokenCounter("tiktoken", options={"modell": "gpt-4"})
    with pytest.raises(ConfigError, match="is made already"):
        TokenCounter(make(), options={"model": "gpt-4"})

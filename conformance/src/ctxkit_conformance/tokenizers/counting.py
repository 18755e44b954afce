"""Checks of counting and encoding: any text, special tokens as plain text, ids and back."""

from __future__ import annotations

import pytest

from ctxkit.interfaces import BackendConfig, Tokenizer, TokenizerCapabilities
from ctxkit_conformance.chance import tries
from ctxkit_conformance.effort import Effort
from ctxkit_conformance.journal import brief
from ctxkit_conformance.marks import covers
from ctxkit_conformance.tokenizers import clauses
from ctxkit_conformance.tokenizers.base import TokenizerChecks, must_be_refused, refuses_encoding
from ctxkit_conformance.tokenizers.samples import ANY_TEXT, ODD_TEXTS, PLAIN_TEXTS, SPECIAL_TEXTS, well_formed

_TEXTS = [*PLAIN_TEXTS, *ODD_TEXTS.values(), *SPECIAL_TEXTS]


class CountChecks(TokenizerChecks):
    """What is counted, and that ids agree with it."""

    @covers(clauses.DECLARATIONS)
    def test_tokenizer_is_what_it_declares(self, tokenizer: Tokenizer, declared: TokenizerCapabilities) -> None:
        """A failure means that a budget is trusted to be exact, or padded, when it is not."""
        assert isinstance(tokenizer.name, str)
        assert tokenizer.name.strip(), "the name is empty"
        assert type(tokenizer.exact) is bool
        assert tokenizer.exact == declared.exact, f"exact is {tokenizer.exact}, declared is {declared.exact}"

    @covers(clauses.DECLARATIONS)
    def test_announced_as_configured(self, config: BackendConfig) -> None:
        """A failure means that a tokenizer is chosen for what it announces, and then counts in another way."""
        self.check_announced(type(config))

    @covers(clauses.COUNT)
    def test_no_text_has_no_tokens(self, tokenizer: Tokenizer) -> None:
        """A failure means that every part of a prompt costs tokens that the model does not see there."""
        assert tokenizer.count("") == 0, "the empty text has tokens: those that a model puts around a text do not count"

    @pytest.mark.parametrize("name", ODD_TEXTS)
    @covers(clauses.ANY_TEXT, clauses.COUNT)
    def test_odd_text_is_counted(self, tokenizer: Tokenizer, name: str) -> None:
        """A failure means that one strange message makes the building of every prompt fail."""
        text = ODD_TEXTS[name]
        found = tokenizer.count(text)
        assert type(found) is int, f"count returned a {type(found).__name__}, not an int"
        least = 1 if any(character.isalnum() for character in text) else 0
        assert found >= least, f"{text!r} has {found} tokens"

    @covers(clauses.ANY_TEXT, clauses.COUNT, clauses.ENCODING)
    def test_any_text_is_counted(self, tokenizer: Tokenizer, declared: TokenizerCapabilities, effort: Effort) -> None:
        """A failure means that there is a text, shown below, that cannot be counted, or whose ids are another text."""

        @tries(effort, 100, text=ANY_TEXT)
        def law(text: str) -> None:
            assert tokenizer.count(text) >= 0
            if declared.encodes:
                _check_ids(tokenizer, text)

        law()

    @covers(clauses.COUNT)
    def test_counts_do_not_depend_on_the_past(self, config: BackendConfig) -> None:
        """A failure means that the same prompt fits or not depending on what was counted before."""
        texts = [*_TEXTS, *(text + "!" for text in _TEXTS), *(text * 20 for text in PLAIN_TEXTS)]
        one, other = self.make(config), self.make(config)
        forwards = [one.count(text) for text in texts]
        backwards = [other.count(text) for text in reversed(texts)][::-1]
        again = [one.count(text) for text in texts]
        for text, *counts in zip(texts, forwards, backwards, again, strict=True):
            assert len(set(counts)) == 1, f"{brief(text)} has {counts} tokens, counted in one order, another, and again"
        assert len(set(forwards)) > 10, "texts of all lengths have the same count"

    @pytest.mark.parametrize("text", SPECIAL_TEXTS)
    @covers(clauses.SPECIAL)
    def test_special_token_text_is_plain_text(
        self, tokenizer: Tokenizer, declared: TokenizerCapabilities, text: str
    ) -> None:
        """A failure means that a user who writes a control token breaks the prompt, or takes control of it."""
        assert tokenizer.count(text) >= 2, f"{text!r} is taken for one special token"
        inside = f"before {text} after"
        assert tokenizer.count(inside) >= tokenizer.count("before") + 2
        if declared.encodes:
            _check_ids(tokenizer, text)
            _check_ids(tokenizer, inside)

    @covers(clauses.ENCODING)
    def test_count_is_the_number_of_ids(self, tokenizer: Tokenizer, declared: TokenizerCapabilities) -> None:
        """A failure means that a prompt that was counted to fit is longer once it is encoded."""
        if refuses_encoding(tokenizer, declared):
            return
        for text in _TEXTS:
            ids = tokenizer.encode(text)
            assert isinstance(ids, list), f"encode returned a {type(ids).__name__}, not a list"
            assert all(type(each) is int for each in ids), "the ids are not all int"
            count = tokenizer.count(text)
            assert count == len(ids), f"{text!r} counts {count} tokens and has {len(ids)} ids"

    @covers(clauses.ENCODING)
    def test_ids_come_back_as_text(self, tokenizer: Tokenizer, declared: TokenizerCapabilities) -> None:
        """A failure means that text is altered on its way through the tokenizer."""
        if refuses_encoding(tokenizer, declared):
            return
        for text in _TEXTS:
            _check_ids(tokenizer, text)
        assert tokenizer.decode([]) == ""

    @covers(clauses.ENCODING)
    def test_impossible_ids_are_refused(self, tokenizer: Tokenizer, declared: TokenizerCapabilities) -> None:
        """A failure means that a slip ends in the library's own error, or in text out of nowhere."""
        if refuses_encoding(tokenizer, declared):
            return
        for ids in ([-1], [10**12], [*tokenizer.encode("a boat"), -1]):
            must_be_refused(lambda ids=ids: tokenizer.decode(ids), f"decoding {ids}")  # type: ignore[misc]

    @covers(clauses.NO_ALIASING, clauses.ENCODING)
    def test_ids_belong_to_the_caller(self, tokenizer: Tokenizer, declared: TokenizerCapabilities) -> None:
        """A failure means that whoever appends to a list of ids spoils the tokenizer's cache for everybody."""
        if refuses_encoding(tokenizer, declared):
            return
        text = "The list of these ids is changed by its owner."
        ids = tokenizer.encode(text)
        before = list(ids)
        ids.append(0)
        ids[0] = 0
        assert tokenizer.encode(text) == before, "changing the ids that were returned changes the next answer"
        assert tokenizer.count(text) == len(before)


def _check_ids(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert len(ids) == tokenizer.count(text), f"{text!r} has {len(ids)} ids and counts {tokenizer.count(text)} tokens"
    back = tokenizer.decode(ids)
    assert back in {text, well_formed(text)}, f"{text!r} comes back as {back!r}"

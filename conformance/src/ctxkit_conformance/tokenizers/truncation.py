"""Checks of cutting: what is left fits, is a part of the text, and could not be longer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import strategies as st

from ctxkit.interfaces import Tokenizer
from ctxkit_conformance.chance import tries
from ctxkit_conformance.effort import Effort
from ctxkit_conformance.journal import brief
from ctxkit_conformance.marks import covers
from ctxkit_conformance.tokenizers import clauses
from ctxkit_conformance.tokenizers.base import SIDES, Side, TokenizerChecks, must_be_refused
from ctxkit_conformance.tokenizers.corpus import corpus
from ctxkit_conformance.tokenizers.samples import ANY_TEXT, ODD_TEXTS, PLAIN_TEXTS

LOOKAHEAD = 16
"""How many characters more are tried. Counts are not monotone, so that one more is not enough to show anything."""

_BUDGETS = 24  # different ones for a text


class TruncationChecks(TokenizerChecks):
    """The law of truncation, from either side."""

    @pytest.mark.parametrize("side", SIDES)
    @covers(clauses.TRUNCATION)
    def test_truncation_never_exceeds(self, tokenizer: Tokenizer, side: Side) -> None:
        """A failure means that a prompt cut to the model's limit is refused by the model all the same."""
        for text, budget in _cases(tokenizer):
            kept = tokenizer.truncate(text, budget, side)
            count = tokenizer.count(kept)
            assert count <= budget, f"{brief(text)} cut to {budget} tokens, side {side!r}: {brief(kept)} has {count}"

    @pytest.mark.parametrize("side", SIDES)
    @covers(clauses.TRUNCATION)
    def test_truncation_keeps_a_part(self, tokenizer: Tokenizer, side: Side) -> None:
        """A failure means that a cut text ends in half a character, in marks nobody wrote, or is the wrong end."""
        for text, budget in _cases(tokenizer):
            _check_part(text, tokenizer.truncate(text, budget, side), budget, side)

    @pytest.mark.parametrize("side", SIDES)
    @covers(clauses.MAXIMAL)
    def test_truncation_is_maximal(self, tokenizer: Tokenizer, side: Side) -> None:
        """A failure means that room in the prompt stays empty although there was text for it."""
        for text, budget in _cases(tokenizer):
            _check_maximal(tokenizer, text, tokenizer.truncate(text, budget, side), budget, side)

    @pytest.mark.parametrize("side", SIDES)
    @covers(clauses.MAXIMAL)
    def test_what_fits_stays_whole(self, tokenizer: Tokenizer, side: Side) -> None:
        """A failure means that text is lost though the budget had room for all of it."""
        for text in [*ODD_TEXTS.values(), *PLAIN_TEXTS, *(each.text for each in corpus()[::4])]:
            count = tokenizer.count(text)
            for budget in (count, count + 1, 10 * count + 100):
                kept = tokenizer.truncate(text, budget, side)
                assert kept == text, f"{brief(text)} has {count} tokens, cut to {budget} it is {brief(kept)}"

    @covers(clauses.TRUNCATION)
    def test_the_beginning_is_kept_by_default(self, tokenizer: Tokenizer) -> None:
        """A failure means that callers that name no side keep the other end of a text."""
        text = " ".join(PLAIN_TEXTS)
        budget = tokenizer.count(text) // 2
        kept = tokenizer.truncate(text, budget)
        assert kept == tokenizer.truncate(text, budget, "right")
        assert text.startswith(kept), "without a side, the end was kept"
        assert kept

    @pytest.mark.parametrize("side", SIDES)
    @covers(clauses.TRUNCATION, clauses.MAXIMAL)
    def test_any_text_is_cut(self, tokenizer: Tokenizer, effort: Effort, side: Side) -> None:
        """A failure means that there is a text, shown below, that is cut wrongly."""

        @tries(effort, 60, text=ANY_TEXT, budget=st.integers(0, 30))
        def law(text: str, budget: int) -> None:
            kept = tokenizer.truncate(text, budget, side)
            assert tokenizer.count(kept) <= budget
            _check_part(text, kept, budget, side)
            _check_maximal(tokenizer, text, kept, budget, side)

        law()

    @pytest.mark.parametrize("side", SIDES)
    @covers(clauses.TRUNCATION, clauses.MAXIMAL)
    def test_long_text_is_cut(self, tokenizer: Tokenizer, rng: np.random.Generator, effort: Effort, side: Side) -> None:
        """A failure means that documents are cut wrongly, though short messages are not."""
        texts = [*(each.text for each in corpus()), "\n\n".join(each.text for each in corpus())]
        for text in texts:
            total = tokenizer.count(text)
            for budget in rng.integers(0, total, effort.times(2)):
                kept = tokenizer.truncate(text, int(budget), side)
                count = tokenizer.count(kept)
                assert count <= budget, f"cut to {budget} tokens, {count} are left of {brief(text)}"
                _check_part(text, kept, int(budget), side)
                _check_maximal(tokenizer, text, kept, int(budget), side)

    @covers(clauses.BOUNDS)
    def test_impossible_cuts_are_refused(self, tokenizer: Tokenizer) -> None:
        """A failure means that a budget that went below zero gives a long prompt instead of an error."""
        for text in ("a boat at the pier", ""):
            for side in SIDES:
                must_be_refused(lambda text=text, side=side: tokenizer.truncate(text, -1, side), "max_tokens -1")  # type: ignore[misc]
        must_be_refused(lambda: tokenizer.truncate("a boat at the pier", 2, "middle"), "side 'middle'")  # type: ignore[arg-type]


def _cases(tokenizer: Tokenizer) -> Iterator[tuple[str, int]]:
    """Yield texts with budgets from nothing to a little more than they need."""
    for text in [*ODD_TEXTS.values(), *PLAIN_TEXTS]:
        count = tokenizer.count(text)
        step = max(1, count // _BUDGETS)
        for budget in sorted({0, 1, 2, *range(0, count + 1, step), max(0, count - 1)}):
            yield text, budget


def _check_part(text: str, kept: str, budget: int, side: Side) -> None:
    assert isinstance(kept, str), f"truncate returned a {type(kept).__name__}, not a str"
    expected = text[: len(kept)] if side == "right" else text[len(text) - len(kept) :]
    part = "a beginning" if side == "right" else "an end"
    assert kept == expected, f"{brief(text)} cut to {budget} tokens, side {side!r}: {brief(kept)} is not {part} of it"


def _check_maximal(tokenizer: Tokenizer, text: str, kept: str, budget: int, side: Side) -> None:
    for size in range(len(kept) + 1, min(len(kept) + LOOKAHEAD, len(text)) + 1):
        at = size if side == "right" else len(text) - size
        if _splits_pair(text, at):
            continue
        longer = text[:at] if side == "right" else text[at:]
        assert tokenizer.count(longer) > budget, (
            f"{brief(text)} cut to {budget} tokens, side {side!r}: {size} characters fit, {len(kept)} were kept"
        )


def _splits_pair(text: str, at: int) -> bool:
    """Whether a cut here parts the two halves of one character, which some tokenizers keep together."""
    return "\ud800" <= text[at - 1 : at] <= "\udbff" and "\udc00" <= text[at : at + 1] <= "\udfff"

"""Checks of the declared bound: how much more two texts may count together than apart."""

from __future__ import annotations

import numpy as np

from ctxkit.interfaces import Tokenizer
from ctxkit_conformance.chance import tries
from ctxkit_conformance.effort import Effort
from ctxkit_conformance.journal import brief
from ctxkit_conformance.marks import covers
from ctxkit_conformance.tokenizers import clauses
from ctxkit_conformance.tokenizers.base import TokenizerChecks
from ctxkit_conformance.tokenizers.corpus import corpus
from ctxkit_conformance.tokenizers.samples import ANY_TEXT, ODD_TEXTS, PLAIN_TEXTS, SPECIAL_TEXTS

# Runs in which it matters where the tokens begin.
_UNITS = [
    "a",
    "ab",
    "7",
    "123",
    " ",
    "\n",
    " \n",
    "\t ",
    "-",
    "=-",
    "'s",
    "중",
    "中",
    "é",
    "e\u0301",
    "😀",
    "\u0663",
    "A",
]


class ConcatenationChecks(TokenizerChecks):
    """The bound itself, splits of real texts, pairs of any texts, runs."""

    @covers(clauses.CONCATENATION)
    def test_concatenation_bound_is_a_number(self, tokenizer: Tokenizer) -> None:
        """A failure means that nothing can be packed by the bound."""
        bound = tokenizer.concatenation_bound
        assert type(bound) is int, f"concatenation_bound is a {type(bound).__name__}, not an int"
        assert bound >= 0
        assert bound == tokenizer.concatenation_bound

    @covers(clauses.CONCATENATION)
    def test_concatenation_at_every_split(self, tokenizer: Tokenizer) -> None:
        """A failure means that a prompt packed from parts that fit does not fit."""
        for text in [*ODD_TEXTS.values(), *PLAIN_TEXTS, *SPECIAL_TEXTS]:
            for at in range(min(len(text), 200) + 1):
                _check(tokenizer, text[:at], text[at:])

    @covers(clauses.CONCATENATION)
    def test_concatenation_of_neighbours(self, tokenizer: Tokenizer, rng: np.random.Generator, effort: Effort) -> None:
        """A failure means that records that fit a budget each do not fit together, nor the two halves of a document."""
        texts = [each.text for each in corpus()]
        for text in texts:
            for at in rng.integers(0, len(text), effort.times(6)):
                _check(tokenizer, text[:at], text[at:])
        shorter = [*ODD_TEXTS.values(), *PLAIN_TEXTS, *SPECIAL_TEXTS]
        for one, other in rng.integers(0, len(shorter), (effort.times(200), 2)):
            _check(tokenizer, shorter[one], shorter[other])

    @covers(clauses.CONCATENATION)
    def test_concatenation_of_runs(self, tokenizer: Tokenizer) -> None:
        """A failure means that lines of dashes, indentation or digits break the arithmetic of a prompt."""
        for unit in _UNITS:
            for times in (3, 40, 400):
                text = unit * times
                for at in {1, 2, 5, len(text) // 3, len(text) // 2, len(text) - 1}:
                    _check(tokenizer, text[:at], text[at:])

    @covers(clauses.CONCATENATION)
    def test_concatenation_of_any_texts(self, tokenizer: Tokenizer, effort: Effort) -> None:
        """A failure means that there are two texts, shown below, that count more together than the bound allows."""

        @tries(effort, 100, left=ANY_TEXT, right=ANY_TEXT)
        def law(left: str, right: str) -> None:
            _check(tokenizer, left, right)

        law()


def _check(tokenizer: Tokenizer, left: str, right: str) -> None:
    apart = tokenizer.count(left) + tokenizer.count(right)
    together = tokenizer.count(left + right)
    bound = tokenizer.concatenation_bound
    assert together <= apart + bound, (
        f"{brief(left)} and {brief(right)} count {apart} apart and {together} together: more than {bound} above"
    )

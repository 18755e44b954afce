"""Checks of estimates against true counts: never below, not far above."""

from __future__ import annotations

import statistics
from typing import Final

import pytest

from ctxkit.interfaces import Tokenizer, TokenizerCapabilities
from ctxkit_conformance.marks import covers
from ctxkit_conformance.measurement import measure
from ctxkit_conformance.tokenizers import clauses
from ctxkit_conformance.tokenizers.base import TokenizerChecks
from ctxkit_conformance.tokenizers.corpus import VOCABULARIES, CountedText, corpus, kinds

MOST_EXCESS: Final = {"English": 0.25, "code": 0.40}


class EstimateChecks(TokenizerChecks):
    """The suite's corpus, whose counts in cl100k_base and o200k_base are known."""

    @pytest.mark.parametrize("kind", kinds())
    @covers(clauses.ESTIMATE)
    def test_corpus_is_not_undercounted(self, tokenizer: Tokenizer, declared: TokenizerCapabilities, kind: str) -> None:
        """A failure means that a prompt that was packed to the model's limit is refused by the model.

        An exact tokenizer of another vocabulary is held to counting every text above zero: its truth is not known here.
        """
        for each in _of(kind):
            found = tokenizer.count(each.text)
            if not declared.exact:
                assert found >= each.most, f"{each.name} has {each.most} tokens, the estimate is {found}"
            elif tokenizer.name in VOCABULARIES:
                true = each.counts[tokenizer.name]
                assert found == true, f"{each.name} has {true} tokens in {tokenizer.name}, {found} were counted"
            else:
                assert found > 0, f"{each.name} has no tokens"

    @pytest.mark.parametrize("kind", MOST_EXCESS)
    @covers(clauses.ESTIMATE)
    def test_mean_excess(
        self, request: pytest.FixtureRequest, tokenizer: Tokenizer, declared: TokenizerCapabilities, kind: str
    ) -> None:
        """A failure means that prompts stay half empty: the estimate is so high that room for memories is lost.

        It is asked of estimates and of exact tokenizers of the two vocabularies; of another exact one the figure is
        only reported.
        """
        excess = statistics.mean(tokenizer.count(each.text) / each.most - 1 for each in _of(kind))
        measure(request, "excess", kind=kind, mean=excess)
        if declared.exact and tokenizer.name not in VOCABULARIES:
            assert excess > -1, "nothing was counted"
            return
        limit = MOST_EXCESS[kind]
        assert excess <= limit, f"on {kind} the mean excess is {excess:.0%}, at most {limit:.0%} is allowed"


def _of(kind: str) -> list[CountedText]:
    found = [each for each in corpus() if each.kind == kind]
    assert found, f"the corpus has no text of the kind {kind}"
    return found

"""The whole contract of a tokenizer as one class, for an author's own test file."""

from __future__ import annotations

from ctxkit_conformance.tokenizers.concatenation import ConcatenationChecks
from ctxkit_conformance.tokenizers.counting import CountChecks
from ctxkit_conformance.tokenizers.estimates import EstimateChecks
from ctxkit_conformance.tokenizers.truncation import TruncationChecks
from ctxkit_conformance.tokenizers.use import UseTokenizerChecks


class TokenizerContract(CountChecks, TruncationChecks, ConcatenationChecks, EstimateChecks, UseTokenizerChecks):
    """Everything that is checked. Derive a class whose name begins with Test and set `component` to an installed name.

    from ctxkit_conformance import TokenizerContract

    class TestAcme(TokenizerContract):
        component = "acme"

    Without a plugin: `tokenizer_class = AcmeTokenizer`, and `make_config(self)` that returns its configuration.
    """

"""Checks of how a tokenizer is used: threads, processes, endless texts, configuration."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest
from pydantic import ValidationError

from ctxkit.interfaces import BackendConfig, Tokenizer, TokenizerCapabilities
from ctxkit_conformance.children import PATIENCE, Child
from ctxkit_conformance.effort import Effort
from ctxkit_conformance.marks import covers
from ctxkit_conformance.measurement import measure
from ctxkit_conformance.tokenizers import clauses
from ctxkit_conformance.tokenizers.base import TokenizerChecks
from ctxkit_conformance.tokenizers.corpus import corpus
from ctxkit_conformance.tokenizers.elsewhere import count_elsewhere, endure_elsewhere
from ctxkit_conformance.tokenizers.samples import ODD_TEXTS, PLAIN_TEXTS, SPECIAL_TEXTS

_THREADS = 8
_LONG = 1_000_000  # bytes that are counted
_CUT = 30_000  # bytes that are cut
_ENDLESS: Final = {
    "one letter": "a",
    "letters without order": "",
    "blanks": " ",
    "line breaks": "\n",
    "mixed blanks": " \t\n",
    "digits": "7",
    "signs": "-",
    "short words": "a ",
    "Chinese": "中",
    "joined emoji": "👨\u200d👩\u200d👧",
    "combining": "e\u0301",
    "lone surrogates": "\ud800",
}


class UseTokenizerChecks(TokenizerChecks):
    """Threads, processes, time, configuration."""

    @covers(clauses.THREADS)
    def test_threads_agree(self, tokenizer: Tokenizer, effort: Effort) -> None:
        """A failure means that a server counts one user's text and answers another with it."""
        texts = [*PLAIN_TEXTS, *ODD_TEXTS.values(), *(each.text for each in corpus()[:6])]
        counts = [tokenizer.count(text) for text in texts]
        cuts = [tokenizer.truncate(text, count // 2) for text, count in zip(texts, counts, strict=True)]

        def use(number: int) -> None:
            place = number % len(texts)
            found = tokenizer.count(texts[place])
            assert found == counts[place], f"among threads a text has {found} tokens, alone {counts[place]}"
            cut = tokenizer.truncate(texts[place], counts[place] // 2)
            assert cut == cuts[place], "among threads a text is cut elsewhere than alone"

        _in_threads(use, effort.times(3) * len(texts))

    @covers(clauses.THREADS)
    def test_first_use_by_several_threads(self, tokenizer: Tokenizer, config: BackendConfig) -> None:
        """A failure means that a server fails in its first second, when requests meet what is not loaded yet."""
        expected = [tokenizer.count(text) for text in PLAIN_TEXTS]
        barrier = threading.Barrier(_THREADS)
        fresh = self.make(config)

        def use(_: int) -> None:
            barrier.wait(PATIENCE)
            found = [fresh.count(text) for text in PLAIN_TEXTS]
            assert found == expected, "at the first use by threads, texts have other counts"

        _in_threads(use, _THREADS)

    @covers(clauses.DETERMINISTIC)
    def test_another_process_counts_alike(
        self, tokenizer: Tokenizer, config: BackendConfig, declared: TokenizerCapabilities
    ) -> None:
        """A failure means that a prompt fits in one process and not in the next, or that stored ids mean nothing."""
        texts = [*PLAIN_TEXTS, *ODD_TEXTS.values(), *SPECIAL_TEXTS, *(each.text for each in corpus())]
        how = "encode" if declared.encodes else "count"
        with Child(count_elsewhere, self.tokenizer_class, config, texts, how) as child:
            answer = child.receive()
        assert answer["name"] == tokenizer.name, "another process has another name for it"
        fresh = self.make(config)
        for text, count in zip(texts, answer["counts"], strict=True):
            here = (tokenizer.count(text), fresh.count(text))
            assert here == (count, count), f"{text[:60]!r} has {count} tokens in another process, {here} in this one"
        if declared.encodes:
            for text, ids in zip(texts, answer["ids"], strict=True):
                assert tokenizer.encode(text) == ids, f"{text[:60]!r} has other ids in another process"

    @pytest.mark.parametrize("kind", _ENDLESS)
    @covers(clauses.LINEAR)
    def test_long_text_ends(self, request: pytest.FixtureRequest, config: BackendConfig, kind: str) -> None:
        """A failure means that one pasted log file, or somebody who means harm, stops the server for good.

        Times are recorded, not judged; a megabyte that is not counted within `patience` seconds is a hang.
        """
        sizes = (_LONG // 4, _LONG)
        arguments = (self.tokenizer_class, config, _ENDLESS[kind], sizes, _CUT)
        with Child(endure_elsewhere, *arguments) as child:
            while (answer := child.receive(self.patience)) is not None:
                operation, characters, seconds = answer
                measure(request, "linearity", text=kind, operation=operation, characters=characters, seconds=seconds)

    @covers(clauses.CONFIGURATION)
    def test_unknown_options_are_refused(self, config: BackendConfig) -> None:
        """A failure means that a mistyped option is ignored, and other tokens are counted than those of the model."""
        with pytest.raises(ValidationError, match="no_such_option"):
            type(config).model_validate({"no_such_option": 1})


def _in_threads(use: Any, times: int) -> None:
    """Call `use(0)`, `use(1)`, ... in eight threads; the first failure is raised."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for done in [pool.submit(use, number) for number in range(times)]:
            done.result(PATIENCE)

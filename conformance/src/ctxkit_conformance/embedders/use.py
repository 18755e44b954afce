"""Checks of how an embedder is used: threads, arrays that are the caller's own, closing, what is refused."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from ctxkit.errors import EmbedderError
from ctxkit.interfaces import BackendConfig, Embedder
from ctxkit_conformance.children import PATIENCE
from ctxkit_conformance.effort import Effort
from ctxkit_conformance.embedders import clauses
from ctxkit_conformance.embedders.base import EmbedderChecks, must_be_refused
from ctxkit_conformance.marks import covers
from ctxkit_conformance.tokenizers.samples import PLAIN_TEXTS

_THREADS = 8
_NO_TEXTS: dict[str, Any] = {"None": None, "a number": 7, "bytes": b"a boat", "a list": ["a boat"]}


class UseChecks(EmbedderChecks):
    """Threads, aliasing, life and refusals."""

    @covers(clauses.THREADS)
    def test_threads_agree(self, embedder: Embedder, effort: Effort) -> None:
        """A failure means that a server answers one user with the vector of another's text."""
        batches = [list(PLAIN_TEXTS[first : first + 4]) for first in range(7)]
        alone = [np.array(embedder.embed_documents(batch)) for batch in batches]
        questions = [np.array(embedder.embed_query(batch[0])) for batch in batches]

        def use(number: int) -> None:
            place = number % len(batches)
            self.check_same(embedder.embed_documents(batches[place]), alone[place], "among threads")
            self.check_same(embedder.embed_query(batches[place][0]), questions[place], "a query among threads")

        _in_threads(use, effort.times(5) * _THREADS)

    @covers(clauses.THREADS)
    def test_first_use_by_several_threads(self, embedder: Embedder, config: BackendConfig) -> None:
        """A failure means that a server fails in its first second, when requests meet a model that is not loaded."""
        expected = np.array(embedder.embed_documents(list(PLAIN_TEXTS)))
        barrier = threading.Barrier(_THREADS)
        with self.make(config) as fresh:

            def use(_: int) -> None:
                barrier.wait(PATIENCE)
                self.check_same(fresh.embed_documents(list(PLAIN_TEXTS)), expected, "at the first use by threads")

            _in_threads(use, _THREADS)

    @covers(clauses.NO_ALIASING)
    def test_texts_are_not_changed(self, embedder: Embedder) -> None:
        """A failure means that the caller's own list is altered, and is stored that way."""
        texts = ["  Two Blanks  ", "", "e\u0301", *PLAIN_TEXTS, "a\ud800b"]
        before = list(texts)
        embedder.embed_documents(texts)
        assert texts == before, "embed_documents changed the list of texts"

    @covers(clauses.NO_ALIASING)
    def test_results_belong_to_the_caller(self, config: BackendConfig) -> None:
        """A failure means that whoever scales a vector in place spoils the embedder's cache for everybody."""
        texts = list(PLAIN_TEXTS[:3])
        with self.make(config) as embedder:  # not the one that other checks use: it may be spoiled now
            for result in (embedder.embed_documents(texts), embedder.embed_query(texts[0])):
                kept = np.array(result)
                if result.flags.writeable:
                    result[:] = 7.0
                again = embedder.embed_documents(texts) if kept.ndim == 2 else embedder.embed_query(texts[0])
                self.check_same(again, kept, "after the result was overwritten")

    @covers(clauses.NO_ALIASING)
    def test_later_calls_leave_earlier_results(self, embedder: Embedder) -> None:
        """A failure means that vectors change after they were returned: what is stored belongs to a later text."""
        results = [embedder.embed_documents([text, "same"]) for text in PLAIN_TEXTS]
        results += [embedder.embed_query(text) for text in PLAIN_TEXTS]
        kept = [np.array(result) for result in results]
        embedder.embed_documents([PLAIN_TEXTS[-1], PLAIN_TEXTS[0]])
        embedder.embed_query(PLAIN_TEXTS[1])
        for text, result, before in zip(PLAIN_TEXTS * 2, results, kept, strict=True):
            assert np.array_equal(result, before), f"a later call changed the vector of {text!r}"
            fresh = embedder.embed_documents([text, "same"]) if before.ndim == 2 else embedder.embed_query(text)
            self.check_same(before, fresh, f"the vector of {text!r} had changed before it was looked at")

    @covers(clauses.LIFECYCLE)
    def test_closing_twice(self, config: BackendConfig) -> None:
        """A failure means that tidying up raises, and hides the error that led there."""
        made = self.make(config)
        made.embed_documents(["a boat"])
        made.close()
        made.close()
        unused = self.make(config)
        unused.close()
        unused.close()
        with self.make(config) as entered:
            assert isinstance(entered, Embedder), "`with embedder as x` has to give the embedder"
            entered.close()

    @covers(clauses.LIFECYCLE, clauses.ERRORS)
    def test_use_after_closing(self, embedder: Embedder, config: BackendConfig) -> None:
        """A failure means that a late call crashes, or is answered with vectors of a model that is gone."""
        with self.make(config) as made:
            expected = np.array(made.embed_documents(list(PLAIN_TEXTS)))
        try:
            found = made.embed_documents(list(PLAIN_TEXTS))
        except EmbedderError:
            must_be_refused(lambda: made.embed_query("a boat"), "a query to a closed embedder")
        else:
            self.check_same(found, expected, "after closing")
        self.check_same(embedder.embed_documents(list(PLAIN_TEXTS)), expected, "after another instance was closed")

    @covers(clauses.LIFECYCLE)
    def test_closing_one_leaves_the_others(self, config: BackendConfig) -> None:
        """A failure means that one part of an application ends the embedder of another."""
        with self.make(config) as staying, self.make(config) as leaving:
            expected = np.array(staying.embed_documents(list(PLAIN_TEXTS)))
            leaving.embed_documents(["a boat"])
            leaving.close()
            self.check_same(staying.embed_documents(list(PLAIN_TEXTS)), expected, "after another one was closed")

    @pytest.mark.parametrize("what", _NO_TEXTS)
    @covers(clauses.ERRORS)
    def test_what_is_no_text_is_refused(self, embedder: Embedder, what: str) -> None:
        """A failure means that a caller's slip is stored as the vector of "None", or ends in a library's own error."""
        wrong = _NO_TEXTS[what]
        must_be_refused(lambda: embedder.embed_query(wrong), f"{what} as a query")
        must_be_refused(lambda: embedder.embed_documents([wrong]), f"{what} in place of a text")
        must_be_refused(lambda: embedder.embed_documents(["a boat", wrong]), f"{what} beside a text")

    @covers(clauses.ERRORS)
    def test_one_text_is_no_list(self, embedder: Embedder) -> None:
        """A failure means that a text given in place of a list is embedded letter by letter, without a word."""
        must_be_refused(lambda: embedder.embed_documents("a boat"), "one str in place of a list")
        must_be_refused(lambda: embedder.embed_documents(b"a boat"), "bytes in place of a list")  # type: ignore[arg-type]

    @covers(clauses.CONFIGURATION)
    def test_unknown_options_are_refused(self, config: BackendConfig) -> None:
        """A failure means that a mistyped option is ignored, and another model is used than the one that was meant."""
        with pytest.raises(ValidationError, match="no_such_option"):
            type(config).model_validate({"no_such_option": 1})


def _in_threads(use: Any, times: int) -> None:
    """Call `use(0)`, `use(1)`, ... in eight threads; the first failure is raised."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for done in [pool.submit(use, number) for number in range(times)]:
            done.result(PATIENCE)

"""Checks of what texts are accepted: odd ones, long ones, any at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st

from ctxkit.interfaces import Embedder, EmbedderCapabilities
from ctxkit_conformance.chance import tries
from ctxkit_conformance.effort import Effort
from ctxkit_conformance.embedders import clauses
from ctxkit_conformance.embedders.base import EmbedderChecks, check_array, distances, must_be_refused
from ctxkit_conformance.marks import covers
from ctxkit_conformance.tokenizers.samples import ANY_TEXT, ODD_TEXTS, PLAIN_TEXTS

_LONGEST_COUNTED = 20_000  # tokens; a text beyond a larger limit would take minutes
_LONG_TEXT = 200_000  # characters


class TextChecks(EmbedderChecks):
    """Every str is accepted; a long one as declared."""

    @pytest.mark.parametrize("name", ODD_TEXTS)
    @covers(clauses.ANY_TEXT, clauses.UNIT_LENGTH)
    def test_odd_text(self, embedder: Embedder, declared: EmbedderCapabilities, name: str) -> None:
        """A failure means that one strange message makes the whole memory of a conversation fail."""
        text = ODD_TEXTS[name]
        document = check_array(embedder.embed_documents([text]), (1, embedder.dimension))
        query = check_array(embedder.embed_query(text), (embedder.dimension,))
        if declared.normalized:
            self.check_unit_length(np.stack([document[0], query]), [text, text])

    @covers(clauses.ANY_TEXT, clauses.BATCHES)
    def test_odd_texts_spoil_no_neighbour(self, embedder: Embedder) -> None:
        """A failure means that one strange text in a batch changes or loses the vectors of the others."""
        mixed = [text for pair in zip(ODD_TEXTS.values(), PLAIN_TEXTS * 3, strict=False) for text in pair]
        found = check_array(embedder.embed_documents(mixed), (len(mixed), embedder.dimension))
        plain = embedder.embed_documents(mixed[1::2])
        self.check_same(found[1::2], plain, "ordinary texts have other vectors beside odd ones")

    @covers(clauses.ANY_TEXT, clauses.UNIT_LENGTH)
    def test_any_text(self, embedder: Embedder, declared: EmbedderCapabilities, effort: Effort) -> None:
        """A failure means that there is a text, shown below, that cannot be stored or searched."""

        @tries(effort, 40, texts=st.lists(ANY_TEXT, min_size=1, max_size=6))
        def law(texts: list[str]) -> None:
            found = check_array(embedder.embed_documents(texts), (len(texts), embedder.dimension))
            if declared.normalized:
                self.check_unit_length(found, texts)

        law()

    @covers(clauses.LONG_TEXT)
    def test_very_long_text(self, embedder: Embedder, declared: EmbedderCapabilities) -> None:
        """A failure means that a long document cannot be ingested, or is taken though it is declared to be refused."""
        limit = embedder.max_tokens
        assert limit is None or (type(limit) is int and limit >= 1), f"max_tokens is {limit!r}, not None or an int >= 1"
        sentence = " ".join(PLAIN_TEXTS) + " "
        text = (sentence * (_LONG_TEXT // len(sentence) + 1))[:_LONG_TEXT]
        words = len(text.split())
        if limit is not None and not declared.truncates and words > limit:
            must_be_refused(lambda: embedder.embed_documents([text]), f"a text of {words} words, {limit} tokens count,")
            return
        for endless in (text, "x" * _LONG_TEXT) if limit is None or declared.truncates else (text,):
            found = check_array(embedder.embed_documents([endless, "a boat"]), (2, embedder.dimension))
            if declared.normalized:
                self.check_unit_length(found, [endless, "a boat"])

    @covers(clauses.LONG_TEXT)
    def test_what_counts_plays_a_part(self, embedder: Embedder) -> None:
        """A failure means that the end of a text is left out silently, though max_tokens says that it counts."""
        limit = embedder.max_tokens
        # One letter and a blank are two tokens at most, in any model; two more mark the ends.
        words = 6000 if limit is None else min(max(2, (limit - 4) // 2), _LONGEST_COUNTED)
        head, tail = words - words // 4, words // 4
        one, other = embedder.embed_documents(["a " * head + "b " * tail, "a " * head + "q " * tail])
        assert distances(one, other)[0] > self.tolerance, (
            f"the last quarter of {words} words plays no part, though max_tokens is {limit}"
        )

    @covers(clauses.LONG_TEXT)
    def test_what_does_not_count_plays_no_part(self, embedder: Embedder, declared: EmbedderCapabilities) -> None:
        """A failure means that max_tokens is not where a text is cut: whoever splits documents by it splits wrongly."""
        limit = embedder.max_tokens
        words = 1000 if limit is None else min(limit, _LONGEST_COUNTED) + 8
        head = "boat " * words
        texts = [head + "sails north", head + "tax return form"]
        if limit is None:
            found = embedder.embed_documents([head, "boat " * words + "tax return form " * words])
            assert distances(found[0], found[1])[0] > self.tolerance, (
                f"what follows {words} words plays no part, though max_tokens is None"
            )
        elif limit > _LONGEST_COUNTED:
            check_array(embedder.embed_documents(texts), (2, embedder.dimension))
        elif declared.truncates:
            one, other = embedder.embed_documents(texts)
            self.check_same(one, other, f"what follows {words} words plays a part, though max_tokens is {limit}")
        else:
            must_be_refused(lambda: embedder.embed_documents(texts), f"a text of more than max_tokens = {limit} tokens")

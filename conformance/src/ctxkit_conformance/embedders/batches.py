"""Checks of batches: rows belong to their texts, whatever else is in the batch and however large it is."""

from __future__ import annotations

import time

import numpy as np
import pytest

from ctxkit.interfaces import Embedder
from ctxkit_conformance.embedders import clauses
from ctxkit_conformance.embedders.base import EmbedderChecks, check_array, distances
from ctxkit_conformance.marks import covers
from ctxkit_conformance.measurement import measure
from ctxkit_conformance.tokenizers.samples import PLAIN_TEXTS

_SIZES = [1, 2, 31, 32, 33, 64, 100, 257]


class BatchChecks(EmbedderChecks):
    """Order, company and size of a batch."""

    @covers(clauses.BATCHES)
    def test_row_i_is_text_i(self, embedder: Embedder, rng: np.random.Generator) -> None:
        """A failure means that texts are stored with each other's vectors: a search finds the wrong ones, silently."""
        order = rng.permutation(len(PLAIN_TEXTS))
        straight = embedder.embed_documents(list(PLAIN_TEXTS))
        for first in range(1, len(PLAIN_TEXTS)):
            apart = distances(straight[first:], straight[:-first])
            assert (apart > self.tolerance).all(), "different texts have the same vector: order means nothing"
        shuffled = embedder.embed_documents([PLAIN_TEXTS[place] for place in order])
        self.check_same(shuffled, straight[order], "in another order, texts have other vectors")
        backwards = embedder.embed_documents(sorted(PLAIN_TEXTS, key=len, reverse=True))
        expected = straight[sorted(range(len(PLAIN_TEXTS)), key=lambda place: len(PLAIN_TEXTS[place]), reverse=True)]
        self.check_same(backwards, expected, "longest first, texts have other vectors")

    @covers(clauses.BATCHES)
    def test_batch_equals_single(self, embedder: Embedder) -> None:
        """A failure means that what a text is found by depends on what was stored along with it."""
        texts = ["", *PLAIN_TEXTS, "word " * 120, "short"]
        together = embedder.embed_documents(texts)
        alone = np.concatenate([embedder.embed_documents([text]) for text in texts])
        self.check_same(together, alone, "in a batch, texts have other vectors than alone")

    @pytest.mark.parametrize("size", _SIZES)
    @covers(clauses.BATCHES)
    def test_batch_size(self, request: pytest.FixtureRequest, embedder: Embedder, size: int) -> None:
        """A failure means that with this many texts at once some get a wrong vector, or none."""
        texts = [f"{PLAIN_TEXTS[number % len(PLAIN_TEXTS)]} ({number})" for number in range(size)]
        start = time.perf_counter()
        found = check_array(embedder.embed_documents(texts), (size, embedder.dimension))
        seconds = time.perf_counter() - start
        measure(request, "embedding", texts=size, seconds=seconds)
        places = sorted({0, size // 2, *range(max(0, size - 3), size), *range(31, min(size, 34))})
        alone = np.concatenate([embedder.embed_documents([texts[place]]) for place in places])
        self.check_same(found[places], alone, f"of {size} texts, those at {places} have other vectors than alone")

    @covers(clauses.BATCHES)
    def test_repeated_texts(self, embedder: Embedder) -> None:
        """A failure means that a batch in which a text occurs twice comes back too short or out of step."""
        one, other = PLAIN_TEXTS[:2]
        found = check_array(embedder.embed_documents([one, one, other, one, ""]), (5, embedder.dimension))
        expected = embedder.embed_documents([one, other, ""])
        self.check_same(found, expected[[0, 0, 1, 0, 2]], "repeated texts have other vectors")

    @covers(clauses.BATCHES)
    def test_texts_may_be_a_tuple(self, embedder: Embedder) -> None:
        """A failure means that only a list will do, where the interface promises any sequence of texts."""
        texts = PLAIN_TEXTS[:3]
        self.check_same(embedder.embed_documents(texts), embedder.embed_documents(list(texts)), "a tuple differs")

"""Checks of what every vector is: its type, its shape, its length, and what is declared of it."""

from __future__ import annotations

import numpy as np
import pytest

from ctxkit.interfaces import BackendConfig, Embedder, EmbedderCapabilities
from ctxkit_conformance.embedders import clauses
from ctxkit_conformance.embedders.base import EmbedderChecks, check_array
from ctxkit_conformance.marks import covers
from ctxkit_conformance.tokenizers.samples import PLAIN_TEXTS


class VectorChecks(EmbedderChecks):
    """Declarations, shapes, types and lengths, on ordinary texts."""

    @covers(clauses.DECLARATIONS)
    def test_dimension_is_true(self, embedder: Embedder, declared: EmbedderCapabilities) -> None:
        """A failure means that a collection is made for vectors of another length, and every write is refused."""
        dimension = embedder.dimension
        assert type(dimension) is int, f"dimension is a {type(dimension).__name__}, not an int"
        assert dimension >= 1
        found = embedder.embed_documents(["a boat"]).shape[-1]
        assert found == dimension, f"the vectors have {found} components, dimension says {dimension}"
        assert embedder.dimension == dimension, "dimension changed when the embedder was used"
        if declared.dimension is not None:
            assert dimension == declared.dimension, f"dimension is {dimension}, declared is {declared.dimension}"

    @covers(clauses.DECLARATIONS)
    def test_normalized_is_declared(self, embedder: Embedder, declared: EmbedderCapabilities) -> None:
        """A failure means that a user picks a metric for unit vectors and gets others, or the reverse."""
        assert type(embedder.normalized) is bool
        assert embedder.normalized == declared.normalized, "normalized differs from the declared one"

    @covers(clauses.DECLARATIONS)
    def test_announced_as_configured(self, config: BackendConfig) -> None:
        """A failure means that an embedder is chosen for what it announces, and then makes other vectors."""
        self.check_announced(type(config))

    @covers(clauses.SHAPE)
    def test_vectors_are_finite_float32(self, embedder: Embedder) -> None:
        """A failure means that every store has to convert what it is given, or refuses it."""
        for texts in (PLAIN_TEXTS[:1], PLAIN_TEXTS):
            check_array(embedder.embed_documents(list(texts)), (len(texts), embedder.dimension))

    @covers(clauses.SHAPE)
    def test_a_query_gives_one_vector(self, embedder: Embedder) -> None:
        """A failure means that no question can be put to a store."""
        for text in PLAIN_TEXTS:
            check_array(embedder.embed_query(text), (embedder.dimension,))

    @covers(clauses.SHAPE)
    def test_no_texts_give_no_vectors(self, embedder: Embedder) -> None:
        """A failure means that an ingestion ends in an error as soon as one document is empty."""
        check_array(embedder.embed_documents([]), (0, embedder.dimension))

    @pytest.mark.parametrize("what", ["documents", "query"])
    @covers(clauses.UNIT_LENGTH)
    def test_declared_unit_length(self, embedder: Embedder, declared: EmbedderCapabilities, what: str) -> None:
        """A failure means that scores of dot product and cosine differ, and thresholds drop the wrong records."""
        if what == "documents":
            vectors = embedder.embed_documents(list(PLAIN_TEXTS))
        else:
            vectors = np.stack([embedder.embed_query(text) for text in PLAIN_TEXTS])
        check_array(vectors, (len(PLAIN_TEXTS), embedder.dimension))
        if declared.normalized:
            self.check_unit_length(vectors, PLAIN_TEXTS)
        else:
            assert vectors.any(axis=1).all(), "an ordinary text has the zero vector, which cosine cannot compare"

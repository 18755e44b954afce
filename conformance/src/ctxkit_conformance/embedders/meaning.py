"""Checks that vectors mean something: what says the same is near."""

from __future__ import annotations

import numpy as np
import pytest

from ctxkit.interfaces import Embedder, EmbedderCapabilities
from ctxkit_conformance.embedders import clauses
from ctxkit_conformance.embedders.base import EmbedderChecks, cosines
from ctxkit_conformance.embedders.triples import SHARE, TRIPLES
from ctxkit_conformance.marks import covers
from ctxkit_conformance.measurement import measure


class MeaningChecks(EmbedderChecks):
    """A paraphrase against a text that only looks alike."""

    @covers(clauses.MEANING)
    def test_paraphrases_are_closer(
        self, request: pytest.FixtureRequest, embedder: Embedder, declared: EmbedderCapabilities
    ) -> None:
        """A failure means that a search finds texts with the same words, or any texts, not those that say the same."""
        self.meaning_is_known()
        _judge(request, embedder, declared, asked=False)

    @covers(clauses.MEANING)
    def test_queries_find_paraphrases(
        self, request: pytest.FixtureRequest, embedder: Embedder, declared: EmbedderCapabilities
    ) -> None:
        """A failure means that questions lie in another space than documents, so that a search finds anything."""
        self.meaning_is_known()
        _judge(request, embedder, declared, asked=True)


def _judge(request: pytest.FixtureRequest, embedder: Embedder, declared: EmbedderCapabilities, *, asked: bool) -> None:
    """Compare anchors with what is near them and what is not, and record the share that is right."""
    examples = TRIPLES if declared.semantic else _misspelled()
    anchors = [anchor for anchor, _, _ in examples]
    vectors = np.stack([embedder.embed_query(each) for each in anchors]) if asked else embedder.embed_documents(anchors)
    near = cosines(vectors, embedder.embed_documents([alike for _, alike, _ in examples]))
    far = cosines(vectors, embedder.embed_documents([other for _, _, other in examples]))
    share = float(np.mean(near > far))
    series = "paraphrases" if declared.semantic else "misspellings"
    measure(
        request, series, anchors="queries" if asked else "documents", share=share, margin=float(np.mean(near - far))
    )
    worst = int(np.argmin(near - far))
    anchor, alike, other = examples[worst]
    assert share >= SHARE, (
        f"of {len(examples)} {series} {share:.0%} are closer than another text, {SHARE:.0%} are expected; worst:"
        f" {anchor!r} is nearer to {other!r} ({far[worst]:.2f}) than to {alike!r} ({near[worst]:.2f})"
    )


def _misspelled() -> list[tuple[str, str, str]]:
    """Return each anchor, itself with two neighbouring letters exchanged, and the anchor of another example."""
    anchors = [anchor for anchor, _, _ in TRIPLES]
    found = []
    for place, anchor in enumerate(anchors):
        middle = len(anchor) // 2
        wrong = anchor[:middle] + anchor[middle + 1] + anchor[middle] + anchor[middle + 2 :]
        found.append((anchor, wrong, anchors[(place + 1) % len(anchors)]))
    return found

"""Two searches with scores on different scales become one score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ctxkit.retrieval.pool import Pool, Scores


def fused(pool: Pool) -> Scores:
    """Return the weighted sum of both searches' scores, each in standard deviations above its floor.

    Cosine similarities and BM25 scores then weigh alike. The floor of the vector search is its lowest result, that
    of the text search is BM25's zero (no word in common); a memory that a search did not return stands on its floor.
    The text search's scores are raised to `lexical_sharpness`, and brought back to a deviation of one: a rare word in
    common counts more than several frequent ones. `lexical_weight` in [0, 1] is the weight of the text search, the
    rest is the vectors'; when only one of the searches returned anything, it has the whole weight.
    `similarity_weight` scales the sum.
    """
    memory, retrieval = pool.question.memory, pool.question.retrieval
    similarities = [candidate.dense for candidate in pool.candidates]
    least = min((score for score in similarities if score is not None), default=0.0)
    dense = _above(similarities, least)
    lexical = _above([candidate.lexical for candidate in pool.candidates], 0.0, retrieval.lexical_sharpness)
    if dense is not None and lexical is not None:
        total = (1.0 - retrieval.lexical_weight) * dense + retrieval.lexical_weight * lexical
    else:
        total = next((only for only in (dense, lexical) if only is not None), np.zeros(len(pool.candidates)))
    return total * memory.similarity_weight


def _above(scores: Sequence[float | None], missing: float, sharpness: float = 1.0) -> Scores | None:
    """Return how far each score stands above `missing`, which fills the gaps; None where there is no score."""
    if all(score is None for score in scores):
        return None
    filled = np.array([missing if score is None else score for score in scores], dtype=np.float64)
    height = np.maximum(filled - missing, 0.0)
    # Taken to [0, 1] first, so that no power of it overflows.
    height = (height / height.max()) ** sharpness if height.any() else height
    # A memory that nothing found is part of the picture: beside it a single hit stands out too.
    deviation = float(np.append(height, 0.0).std())
    return height / deviation if deviation > 0 else np.ones_like(height)

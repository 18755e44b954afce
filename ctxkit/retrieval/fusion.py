"""Two searches with scores on different scales become one score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ctxkit.retrieval.candidates import Candidate


def fuse(candidates: Sequence[Candidate], *, lexical_weight: float, similarity_weight: float = 1.0) -> None:
    """Set `fused` of each candidate: the weighted sum of both scores, each in standard deviations above its floor.

    Cosine similarities and BM25 scores then weigh alike. The floor of the vector search is its lowest result, that
    of the text search is BM25's zero (no word in common); a memory that a search did not return stands on its floor.
    Weights: `lexical_weight` in [0, 1] for the text search, the rest for the vectors. When only one of the searches
    returned anything, it has the whole weight.
    """
    similarities = [candidate.dense for candidate in candidates]
    least = min((score for score in similarities if score is not None), default=0.0)
    dense = _above(similarities, least)
    lexical = _above([candidate.lexical for candidate in candidates], 0.0)
    if dense is not None and lexical is not None:
        total = (1.0 - lexical_weight) * dense + lexical_weight * lexical
    else:
        total = next((only for only in (dense, lexical) if only is not None), np.zeros(len(candidates)))
    for candidate, score in zip(candidates, total * similarity_weight, strict=True):
        candidate.fused = float(score)


def _above(scores: Sequence[float | None], missing: float) -> npt.NDArray[np.float64] | None:
    """Return how many standard deviations each score stands above `missing`, which fills the gaps."""
    if all(score is None for score in scores):
        return None
    filled = np.array([missing if score is None else score for score in scores], dtype=np.float64)
    # A memory that nothing found is part of the picture: beside it a single hit stands out too.
    deviation = float(np.append(filled, missing).std())
    return (filled - missing) / deviation if deviation > 0 else np.ones_like(filled)

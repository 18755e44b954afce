"""Two searches with scores on different scales become one score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ctxkit.retrieval.candidates import Candidate


def fuse(candidates: Sequence[Candidate], *, lexical_weight: float, similarity_weight: float = 1.0) -> None:
    """Set `fused` of each candidate: the weighted sum of both standard scores, the lowest candidate at 0.

    Each search's scores are standardised (minus their mean, by their deviation) over all candidates, where a
    memory that a search did not return counts as its lowest result: cosine similarities and BM25 scores then
    weigh alike. Weights: `lexical_weight` in [0, 1] for the text search, the rest for the vectors. When only one
    of the searches returned anything, it has the whole weight.
    """
    if not candidates:
        return
    dense = _standardized([candidate.dense for candidate in candidates])
    lexical = _standardized([candidate.lexical for candidate in candidates])
    if dense is None or lexical is None:
        only = dense if dense is not None else lexical
        total = np.zeros(len(candidates)) if only is None else only
    else:
        total = (1.0 - lexical_weight) * dense + lexical_weight * lexical
    total = (total - total.min()) * similarity_weight
    for candidate, score in zip(candidates, total, strict=True):
        candidate.fused = float(score)


def _standardized(scores: Sequence[float | None]) -> npt.NDArray[np.float64] | None:
    found = [score for score in scores if score is not None]
    if not found:
        return None
    lowest = min(found)
    filled = np.array([lowest if score is None else score for score in scores], dtype=np.float64)
    deviation = float(filled.std())
    centered: npt.NDArray[np.float64] = filled - filled.mean()
    return centered / deviation if deviation > 0 else np.ones_like(filled)

"""The true nearest rows, by brute force, and how much of them an answer holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from ctxkit.records import FloatVectors

_TIE: Final = 1e-6  # similarities that are nearer to each other than this are the same
_QUERIES_AT_ONCE: Final = 64


def similarities(queries: FloatVectors, vectors: FloatVectors) -> Iterable[npt.NDArray[np.float32]]:
    """Yield the similarities of each query to every row; both have length 1."""
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        yield from queries[start : start + _QUERIES_AT_ONCE] @ vectors.T


def last_similarities(
    queries: FloatVectors, vectors: FloatVectors, k: int, masks: Sequence[npt.NDArray[np.bool_]] | None = None
) -> list[tuple[float, int]]:
    """Return, for each query, the similarity of the last of its k true neighbours and how many there are.

    `masks` says for each query which rows count.
    """
    found = []
    for number, row in enumerate(similarities(queries, vectors)):
        counted = row if masks is None else row[masks[number]]
        wanted = min(k, len(counted))
        least = float(np.partition(counted, len(counted) - wanted)[len(counted) - wanted]) if wanted else 1.0
        found.append((least, wanted))
    return found


def recall(
    queries: FloatVectors,
    answers: Sequence[FloatVectors],
    true: Sequence[tuple[float, int]],
) -> float:
    """Return the share of the true neighbours among the answers: `answers` holds the vectors found for each query.

    A row that is as near as the last true neighbour counts as one, since ties can be cut either way.
    """
    right = wanted = 0
    for query, found, (least, count) in zip(queries, answers, true, strict=True):
        right += min(count, int(np.count_nonzero(found @ query >= least - _TIE)))
        wanted += count
    return right / wanted if wanted else 1.0

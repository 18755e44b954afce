"""The recall probe: what the nearest neighbours of some vectors are before a move and after it, against brute force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ctxkit.interfaces import VectorStore
from ctxkit.memory.entries import FILLER
from ctxkit.moving.origins import is_memory
from ctxkit.records import FloatVectors, Hits, Metric, Record

K: Final = 10
_CLOSE: Final = 1e-6  # equal scores are equally right, and float32 does not tell closer ones apart

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Recall:
    """How many of the true `k` nearest neighbours were found, from 0 to 1, and how many answers stayed the same.

    `before` is None where the origin answers no queries or has other vectors, both are None where brute force was not
    wanted. `same` is the share of the origin's hits that the target gives too.
    """

    queries: int
    k: int
    before: float | None
    after: float | None
    same: float | None


class Probe:
    """Asks the target, and the origin where it has the same vectors, for the neighbours of some stored vectors.

    The truth is gathered from batches of records as they come by, so it needs no more memory than its answers.
    """

    def __init__(self, origin: VectorStore | None, target: VectorStore, ids: Sequence[str]) -> None:
        self._origin = origin
        self._target = target
        found = [record for record in target.get(ids, include_vectors=True) if record is not None]
        rows = [np.asarray(each.vector) for each in found if each.vector is not None and FILLER not in each.metadata]
        self._queries: FloatVectors = np.array(rows, dtype=np.float32).reshape(len(rows), target.spec.dimension)
        self._best: Scores = np.empty((len(rows), 0))

    def offer(self, records: Sequence[Record]) -> None:
        """Look for true neighbours among these records."""
        rows = [np.asarray(record.vector) for record in records if record.vector is not None]
        if rows and len(self._queries):
            found = _scores(self._queries, np.array(rows), self._target.spec.metric)
            self._best = -np.sort(-np.hstack([self._best, found]), axis=1)[:, :K]

    def result(self, *, exact: bool) -> Recall | None:
        """Return the figures, None where there is nothing to compare; `exact` says that every record was offered."""
        if not len(self._queries) or not (exact or self._origin):
            return None
        after = _asked(self._target, self._queries)
        before = None if self._origin is None else _asked(self._origin, self._queries)
        same = None
        if before is not None:
            pairs = list(zip(before, after, strict=True))
            kept = sum(len(set(old.ids) & set(new.ids)) for old, new in pairs)
            same = kept / max(1, sum(len(old) for old, _ in pairs))
        return Recall(
            queries=len(self._queries),
            k=K,
            before=self._recall(before) if exact and before is not None else None,
            after=self._recall(after) if exact else None,
            same=same,
        )

    def _recall(self, answers: Sequence[Hits]) -> float:
        worst = self._best[:, -1]
        least = worst - _CLOSE * np.maximum(1, np.abs(worst))
        right = sum(int(np.count_nonzero(hits.scores >= bar)) for hits, bar in zip(answers, least, strict=True))
        return min(1.0, right / self._best.size)


def _asked(store: VectorStore, queries: FloatVectors) -> list[Hits]:
    where: Any = {FILLER: {"$exists": False}} if is_memory(store.spec) else None
    return store.query(queries, K, where=where)


def _scores(queries: FloatVectors, rows: FloatVectors, metric: Metric) -> Scores:
    """Return the scores of the contract, in float64, of shape (queries, rows)."""
    left, right = queries.astype(np.float64), rows.astype(np.float64)
    if metric == "l2":
        return np.stack([1 / (1 + np.linalg.norm(right - query, axis=1)) for query in left])
    if metric == "cosine":
        left /= np.linalg.norm(left, axis=1, keepdims=True)
        right /= np.linalg.norm(right, axis=1, keepdims=True)
    products: Scores = left @ right.T
    return products.clip(-1, 1) if metric == "cosine" else products

"""Brute force: every record's score, in float64, and the order that follows."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ctxkit.filters import Where, matches, parse
from ctxkit.records import Metric, Record

_ROUNDING: Final = 1e-12  # how far two ways of summing float64 may lie apart, as a share of the terms

Doubles = npt.NDArray[np.float64]


def brute_force(
    query: npt.NDArray[np.float32], vectors: npt.NDArray[np.float32], metric: Metric
) -> tuple[Doubles, Doubles]:
    """Return the score of each of `vectors`, float32[n, d], and how far rounding may move it.

    cosine: the product of the directions, clipped to [-1, 1]; dot: the product; l2: 1 / (1 + Euclidean distance).
    """
    wide, asked = vectors.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        scores = 1.0 / (1.0 + np.sqrt(((wide - asked) ** 2).sum(axis=1)))
        return scores, _ROUNDING * scores
    terms = wide * asked
    products = terms.sum(axis=1)
    if metric == "dot":
        return products, _ROUNDING * np.abs(terms).sum(axis=1)
    lengths = np.sqrt((wide**2).sum(axis=1)) * np.sqrt((asked**2).sum())
    return np.clip(products / lengths, -1.0, 1.0), np.full(len(vectors), _ROUNDING)


class Table:
    """The records that have a vector, in the order of their ids, as columns until the next write.

    `equals` are the ids, sorted, of each set of equal vectors.
    """

    def __init__(self, records: Iterable[Record], dimension: int) -> None:
        self._records = sorted((r for r in records if r.vector is not None), key=lambda record: record.id)
        self._ids = [record.id for record in self._records]
        rows = [np.asarray(record.vector, dtype=np.float32) for record in self._records]
        self._vectors = np.stack(rows) if rows else np.zeros((0, dimension), dtype=np.float32)
        self._passing: dict[str, npt.NDArray[np.int64]] = {}
        self._latest: tuple[tuple[bytes, str], Ranking] | None = None
        groups: dict[bytes, list[str]] = {}
        for record_id, row in zip(self._ids, rows, strict=True):
            groups.setdefault(row.tobytes(), []).append(record_id)
        self.equals = [ids for ids in groups.values() if len(ids) > 1]

    def ranking(self, query: npt.NDArray[np.float32], where: Where | None, metric: Metric) -> Ranking:
        """Return those that pass, best first, equal scores by id."""
        key = query.tobytes(), repr(where)
        if self._latest is None or self._latest[0] != key:
            rows = self._rows(where)
            scores, slacks = brute_force(query, self._vectors[rows], metric)
            order = np.lexsort((rows, -scores))
            ids = [self._ids[row] for row in rows[order].tolist()]
            self._latest = key, Ranking(ids, scores[order], slacks[order])
        return self._latest[1]

    def _rows(self, where: Where | None) -> npt.NDArray[np.int64]:
        key = repr(where)
        if key not in self._passing:
            node = parse(where)
            passing = [row for row, record in enumerate(self._records) if matches(node, record.metadata)]
            self._passing[key] = np.array(passing, dtype=np.int64)
        return self._passing[key]


@dataclass(frozen=True)
class Ranking:
    """All records that may be hits, best first, with their scores and what rounding may do to each."""

    ids: list[str]
    scores: Doubles
    slacks: Doubles

    @functools.cached_property
    def place(self) -> Mapping[str, int]:
        """The place of each id."""
        return {record_id: row for row, record_id in enumerate(self.ids)}

    def of(self, record_id: str) -> tuple[float, float]:
        """Return the score of a record and its slack."""
        row = self.place[record_id]
        return float(self.scores[row]), float(self.slacks[row])

"""Search by vector: pgvector proposes, the vectors themselves decide, in float64, ties by id.

By the graph, PostgreSQL goes on (`hnsw.iterative_scan`) until enough records have passed the filter, or too many were
visited; then, and in small collections, every record that passes is compared. Of those the server returns the best by
a bound: as near as a record can be, given that pgvector sums in float32. More are asked for until none that was left
out can belong among the k.
"""

# ruff: noqa: S608 - fragments of our own are put together; every value is a parameter

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final, TypeAlias

import numpy as np

from ctxkit.local.parts import similarity
from ctxkit.records import FloatVector, FloatVectors, Hit, Hits, Metric
from ctxkit_pgvector.codec import LONGEST, loaded, numbers, packed_one, read, unpacked
from ctxkit_pgvector.conditions import Condition
from ctxkit_pgvector.plan import Ask, Plan, Rows
from ctxkit_pgvector.reading import COLUMNS
from ctxkit_pgvector.session import PackedVector
from ctxkit_pgvector.table import Table

_SPARE: Final = 4  # records beyond the k, so that one question mostly settles it
_GROWTH: Final = 8
_MOST_TIED: Final = 5000  # records that are asked of the graph, where ties go on beyond the k
_ROUNDING: Final = 2.0**-24  # half a unit in the last place of float32
_SMALLEST: Final = 2.0**-126  # below it, squares and products are lost
_SLACK_TERMS: Final = 16
_FOUND: Final = f"{COLUMNS}, exact, embedding"

Ranked: TypeAlias = tuple[float, str, tuple[Any, ...]]  # minus the score, the id, the row


@dataclass(frozen=True, slots=True)
class Question:
    """What every search of one call has in common."""

    k: int
    test: Condition
    min_score: float | None
    with_vectors: bool
    exact: bool


def search(table: Table, queries: FloatVectors, asked: Question) -> Plan[list[Hits]]:
    """Return the hits of each query."""
    found = []
    for query in queries:
        searcher = _Searcher(table, query, asked)
        found.append((yield from searcher.hits()))
    return found


class _Searcher:
    """The search for one query."""

    def __init__(self, table: Table, query: FloatVector, asked: Question) -> None:
        self._table = table
        self._query = query
        self._asked = asked
        self._metric: Metric = table.spec.metric
        wide = query.astype(np.float64)
        self._norm = math.sqrt(wide @ wide)
        self._far = self._metric == "l2" and self._norm > LONGEST
        if self._metric != "l2" and self._norm:
            # Its length changes no order, and a very long one would overflow the sums.
            wide /= self._norm
        self._sent = PackedVector(packed_one(wide))

    def hits(self) -> Plan[Hits]:
        """Return the hits."""
        best: list[Ranked] = []
        beyond = self._metric == "l2" and self._norm > self._table.longest
        if not self._asked.exact and not beyond:
            best = yield from self._by_graph(self._asked.k)
        if len(best) < self._asked.k:
            best = yield from self._every(self._asked.k)
        return self._as_hits(best)

    def _by_graph(self, k: int) -> Plan[list[Ranked]]:
        text = (
            f"SELECT {_FOUND} FROM (SELECT id, text, metadata, exact, embedding FROM {{table}}"
            f" WHERE embedding IS NOT NULL{self._asked.test.where}"
            f" ORDER BY {self._table.by_graph} LIMIT {{limit}}) nearest"
        )
        # One more tells whether the last has its like beyond, which may come before it by its id. Half precision may
        # take the nearest for the next but few.
        wanted = k + (_SPARE if self._table.is_halved else 1)
        while True:
            values = (*self._asked.test.values, self._sent)
            ranked = self._ranked((yield Ask(self._table.limited(text, wanted), values, self._asked.test.prepared)))
            tied = len(ranked) == wanted and ranked[k - 1][0] == ranked[-1][0]
            if not tied or wanted > _MOST_TIED:
                return ranked[:k]
            wanted *= _GROWTH

    def _every(self, k: int) -> Plan[list[Ranked]]:
        bound, values = self._bound()
        text = (
            f"SELECT {_FOUND}, bound FROM (SELECT id, text, metadata, exact, embedding,"
            f" CASE WHEN exact IS NULL THEN {bound} ELSE '-Infinity'::float8 END AS bound FROM {{table}}"
            f" WHERE embedding IS NOT NULL{self._asked.test.where} ORDER BY bound, id LIMIT {{limit}}) nearest"
            " ORDER BY bound, id"
        )
        wanted = k + _SPARE
        while True:
            test = self._asked.test
            rows = yield Ask(self._table.limited(text, wanted), (*values, *test.values), test.prepared)
            ranked = self._ranked(rows)
            if len(rows) < wanted or self._ceiling(rows[-1][5]) < -ranked[k - 1][0]:
                return ranked[:k]
            wanted *= _GROWTH

    @property
    def _slack(self) -> float:
        """How much a sum in float32 may be off, beside the sum of its terms' sizes."""
        return (self._table.spec.dimension + _SLACK_TERMS) * 2 * _ROUNDING

    def _bound(self) -> tuple[str, tuple[Any, ...]]:
        """Return the least loss that a record can have, as far as pgvector's arithmetic tells."""
        if self._far:
            return "'-Infinity'::float8", ()
        distance = f"(embedding {self._table.operator} %s::vector)"
        if self._metric == "dot":
            return f"{distance} - %s::float8 * vector_norm(embedding)", (self._sent, self._slack)
        return distance, (self._sent,)

    def _ceiling(self, bound: float) -> float:
        """Return the best score that a record of this bound can have."""
        terms = self._table.spec.dimension
        if self._metric == "cosine":
            return 1.0 - bound + 4 * self._slack
        if self._metric == "dot":
            return (-bound + terms * _SMALLEST) * self._norm if self._norm else 0.0
        square = max(bound, 0.0) ** 2 * (1 - 2 * self._slack) - terms * _SMALLEST
        return float(1.0 / (1.0 + np.sqrt(max(square, 0.0))))

    def _ranked(self, rows: Rows) -> list[Ranked]:
        """Return rows with minus their score and their id, best first, equal scores by id."""
        if not rows:
            return []
        vectors: Any = numbers(map(_vector_of, rows), self._table.spec.dimension)
        losses: list[float] = (-similarity(self._query, vectors, self._metric)).tolist()
        return sorted(zip(losses, [read(row[0]) for row in rows], rows, strict=True))

    def _as_hits(self, best: Sequence[Ranked]) -> Hits:
        least = self._asked.min_score
        if least is not None:
            best = [found for found in best if -found[0] >= least]
        return Hits(
            tuple(
                map(
                    Hit,
                    [record_id for _, record_id, _ in best],
                    [-loss for loss, _, _ in best],
                    [read(row[1]) for _, _, row in best],
                    loaded(row[2] for _, _, row in best),
                    self._vectors(best) if self._asked.with_vectors else repeat(None),
                    repeat(self._metric),
                )
            )
        )

    def _vectors(self, best: Sequence[Ranked]) -> Iterable[FloatVector]:
        """Return the vector of each, which shares nothing with the others."""
        return (unpacked([_vector_of(row)], self._table.spec.dimension)[0] for _, _, row in best)


def _vector_of(row: tuple[Any, ...]) -> bytes:
    """Return the vector as it was given."""
    found: bytes = row[4] if row[3] is None else row[3]
    return found

"""Brute force over a reader's own scan: what the answers have to be while nobody writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from soak_records import BUCKETS, DIMENSION, SHARED, Recipe

from ctxkit.filters import matches, parse
from ctxkit.interfaces import VectorStore
from ctxkit.records import Hit, Hits, Metric, Record

Scores = npt.NDArray[np.float64]
_QUESTIONS: Final = 12
_TELLING_K: Final = 30
_RELATIVE, _ABSOLUTE = 1e-4, 1e-6


@dataclass
class Verdict:
    """What was found: `near_found` of `near_wanted` nearest neighbours; `by_index` answers came from an index."""

    problems: list[str] = field(default_factory=list)
    answers: int = 0
    by_index: int = 0
    near_found: int = 0
    near_wanted: int = 0


def scores(query: npt.NDArray[Any], vectors: npt.NDArray[Any], metric: Metric) -> Scores:
    """Return the scores of the contract, in float64."""
    asked, wide = query.astype(np.float64), vectors.astype(np.float64)
    if metric == "l2":
        distances: Scores = np.sqrt(((wide - asked) ** 2).sum(axis=1))
        return 1 / (1 + distances)
    products: Scores = wide @ asked
    if metric == "dot":
        return products
    cosines: Scores = np.clip(products / (np.linalg.norm(wide, axis=1) * np.linalg.norm(asked)), -1, 1)
    return cosines


def misplaced(hits: Sequence[Hit], query: npt.NDArray[Any], metric: Metric) -> list[str]:
    """Return what is wrong with hits in themselves: their scores and their order."""
    if not hits:
        return []
    problems = []
    wanted = scores(query, np.array([hit.vector for hit in hits]), metric)
    for hit, score in zip(hits, wanted, strict=True):
        if not np.isclose(hit.score, score, rtol=_RELATIVE, atol=_ABSOLUTE):
            problems.append(f"{hit.id} has the score {hit.score}, not {score}")
    order = [(-hit.score, hit.id) for hit in hits]
    if order != sorted(order):
        problems.append(f"the hits are not in order: {order}")
    return problems


def leaked(hits: Sequence[Hit | Record], where: Mapping[str, Any] | None) -> list[str]:
    """Return the ids that the filter should have kept away."""
    node = parse(where)
    return [hit.id for hit in hits if not matches(node, hit.metadata)]


def filters(rng: np.random.Generator, owners: Sequence[str]) -> dict[str, Any]:
    """Return a filter on what never changes about a record."""
    owner = owners[int(rng.integers(len(owners)))]
    bucket = int(rng.integers(BUCKETS))
    choices: tuple[dict[str, Any], ...] = (
        {"owner": owner},
        {"bucket": bucket},
        {"owner": {"$ne": owner}},
        {"bucket": {"$in": [bucket, (bucket + 5) % BUCKETS]}},
        {"owner": owner, "bucket": {"$lt": bucket}},
        {"labels": {"$contains": f"b{bucket}"}},
        {"$or": [{"shared": True}, {"bucket": bucket}]},
        {"$not": {"bucket": {"$gte": bucket}}},
        {"owner": SHARED, "bucket": bucket},
    )
    return choices[int(rng.integers(len(choices)))]


class Judge:
    """Compares every kind of answer with brute force."""

    def __init__(self, store: VectorStore, recipe: Recipe, rng: np.random.Generator, *, exact: bool) -> None:
        self._store, self._recipe, self._rng, self._exact = store, recipe, rng, exact
        self.records = list(store.scan(include_vectors=True))
        self.verdict = Verdict()

    def compare(self, owners: Sequence[str]) -> Verdict:
        """Ask, compare, and return what was found."""
        numbers = [int(str(record.metadata["n"])) for record in self.records] or [0]
        middle = int(np.median(numbers))
        changing = ({"n": {"$gte": middle}}, {"even": True}, {"half": {"$lt": middle / 2}}, {"op": "nobody"})
        wheres: list[dict[str, Any] | None] = [None, *changing, *(filters(self._rng, owners) for _ in range(4))]
        for where in wheres:
            node = parse(where)
            passing = [record for record in self.records if matches(node, record.metadata)]
            self._expect(self._store.count(where) == len(passing), f"count({where}) is not {len(passing)}")
            if where is not None:
                ids = [record.id for record in self._store.scan(where)]
                self._expect(ids == [record.id for record in passing], f"scan({where}) differs from the filtered scan")
            self._queries(passing, where)
        self._ordered_scan()
        self._words()
        return self.verdict

    def _queries(self, passing: Sequence[Record], where: Mapping[str, Any] | None) -> None:
        found = [record for record in passing if record.vector is not None]
        vectors = np.array([record.vector for record in found], dtype=np.float32).reshape(len(found), DIMENSION)
        asked = np.array([self._recipe.near(self._rng) for _ in range(_QUESTIONS if where is None else 3)])
        k = int(self._rng.choice([1, 10, 30, len(found) + 5]))
        answers = self._store.query(asked, k, where=where, include_vectors=True)
        by_index = not str(self._store.stats().details["plan"]).startswith(("exact", "nothing"))
        self.verdict.by_index += len(answers) * by_index
        # A large k finds everything whatever the index, and brute force says nothing about it.
        telling = k <= _TELLING_K and (by_index or self._exact)
        for query, hits in zip(asked, answers, strict=True):
            best = self._query(query, hits, found, vectors, k, f"query(k={k}, where={where})")
            if telling:
                # Of vectors that many records share, any may be the k-th: a neighbour counts by its score.
                self.verdict.near_found += int((hits.scores >= best[-1] - _ABSOLUTE).sum()) if len(best) else 0
                self.verdict.near_wanted += len(best)

    def _query(
        self, query: npt.NDArray[Any], hits: Hits, found: Sequence[Record], vectors: npt.NDArray[Any], k: int, what: str
    ) -> Scores:
        self._expect(len(hits) == min(k, len(found)), f"{what}: {len(hits)} hits of {len(found)} that match")
        for problem in misplaced(hits, query, self._recipe.metric):
            self._expect(False, f"{what}: {problem}")  # noqa: FBT003 - a verdict
        by_id = {record.id: record for record in found}
        for hit in hits:
            self._expect(
                hit.id in by_id and by_id[hit.id] == Record(hit.id, hit.text, hit.vector, hit.metadata),
                f"{what}: {hit.id} is not the record that the scan found",
            )
        if not len(hits) or not found:
            return np.zeros(0)
        best: Scores = np.sort(scores(query, vectors, self._recipe.metric))[::-1][: len(hits)]
        if self._exact:
            self._expect(
                bool(np.allclose(hits.scores, best, rtol=1e-9, atol=1e-12)),
                f"{what}: the store is exact, but {hits} are not the best: {best[:10]}",
            )
        return best

    def _ordered_scan(self) -> None:
        for descending in (False, True):
            found = list(self._store.scan(order_by="n", descending=descending, limit=50))
            wanted = sorted(
                self.records,
                key=lambda record: (int(str(record.metadata["n"])) * (-1 if descending else 1), record.id),
            )[:50]
            self._expect([r.id for r in found] == [r.id for r in wanted], f"scan(order_by='n', {descending=}) differs")

    def _words(self) -> None:
        everything = {record.id for record in self.records}
        found = self._store.text_query("common", len(everything) + 5)
        self._expect(set(found.ids) == everything, "text_query('common') does not find every record")
        for record in self.records[:: max(1, len(self.records) // 5)]:
            token = str(record.metadata["op"])
            wanted = {other.id for other in self.records if other.metadata["op"] == token}
            found = self._store.text_query(token, len(everything) + 5)
            self._expect(set(found.ids) == wanted, f"text_query({token!r}) found {found.ids}, not {sorted(wanted)}")

    def _expect(self, good: bool, problem: str) -> None:  # noqa: FBT001 - reads as assert does
        self.verdict.answers += 1
        if not good:
            self.verdict.problems.append(problem)

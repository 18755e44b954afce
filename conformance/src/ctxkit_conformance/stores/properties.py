"""Checks by random values: filters against the reference evaluator, laws of logic, searches against brute force."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from ctxkit.interfaces import BackendConfig, Capabilities, VectorStore
from ctxkit.records import Metric, Record
from ctxkit_conformance import strategies
from ctxkit_conformance.chance import Tally, tries
from ctxkit_conformance.effort import Effort
from ctxkit_conformance.laws import FilterCase, LawCase, filter_cases, is_telling, law_cases
from ctxkit_conformance.marks import covers
from ctxkit_conformance.oracle import Oracle
from ctxkit_conformance.stores import clauses
from ctxkit_conformance.stores.base import METRICS, StoreChecks, fill, ids_of, undeclared
from ctxkit_conformance.strategies import IDS, Where

_TELLING = 0.15  # share of the tries whose result is neither nothing nor everything


# One for each operator, on values that are there in two fields, of which some records lack one.
_CONDITIONS: list[Where] = [
    {"x": 1},
    {"x": {"$ne": "a"}},
    {"x": {"$gt": 0}},
    {"x": {"$in": [1, "a"]}},
    {"x": {"$nin": [0, "1"]}},
    {"x": {"$exists": True}},
    {"x": {"$contains": "a"}},
    {"y": {"$gte": 1}},
    {"y": {"$lt": 2}},
    {"y": {"$nin": [1]}},
    {"y": {"$ne": 2}},
    {"y": {"$not": {"$contains": "a"}}},
    {"y": {"$lte": "a"}},
    {"y": "a"},
]


@dataclass(frozen=True)
class SearchCase:
    """Some vectors, of which those at even places have {"even": True}, and a question about them."""

    vectors: list[list[float]]
    queries: list[list[float]]
    k: int
    where: Where | None
    min_score: float | None


class PropertyChecks(StoreChecks):
    """What holds for any filter, any vectors, any question."""

    tier = "T4"

    @covers(clauses.FILTERS, clauses.COMPLEMENTS, clauses.FIELD_NAMES)
    def test_random_filters(self, store: VectorStore, effort: Effort) -> None:
        """A failure means that some combination of operators shows records which it should hide, or hides them."""
        tally = Tally()
        oracle = self._oracle(store)

        @tries(effort, 60, case=filter_cases(store.capabilities.filter_operators))
        def random_filters(case: FilterCase) -> None:
            _refill(store, oracle, case.metadata)
            expected = sorted(oracle.passing(case.where))
            tally.add(telling=is_telling(case.metadata, case.where))
            assert ids_of(store.scan(case.where)) == expected, "scan does not yield what passes the filter"
            assert store.count(case.where) == len(expected), "count is not the number of records that pass"
            found = store.query([1.0, 0.0, 0.0], len(IDS), where=case.where)[0]
            assert sorted(found.ids) == expected, "query does not find what passes the filter"
            if store.capabilities.text_search is not None:
                words = store.text_query("walnut", len(IDS), where=case.where)
                assert sorted(words.ids) == expected, "text_query does not find what passes the filter"

        random_filters()
        tally.check(_TELLING)

    @covers(clauses.DELETE, clauses.FILTERS)
    def test_random_deletes_by_filter(self, store: VectorStore, effort: Effort) -> None:
        """A failure means that a delete by filter takes records that should stay, or leaves some behind."""
        tally = Tally()
        oracle = self._oracle(store)

        @tries(effort, 30, case=filter_cases(store.capabilities.filter_operators), chosen=st.sets(st.sampled_from(IDS)))
        def random_deletes(case: FilterCase, chosen: set[str]) -> None:
            _refill(store, oracle, case.metadata)
            tally.add(telling=is_telling(case.metadata, case.where))
            both = sorted(chosen)
            expected = oracle.delete(both, where=case.where)
            deleted = store.delete(both, where=case.where)
            assert deleted == expected, "delete of ids that pass a filter returns another number"
            oracle.check_records(list(store.scan(include_vectors=True)), "after a delete by both, scan()")
            expected = oracle.delete(where=case.where)
            assert store.delete(where=case.where) == expected, "delete by filter returns another number"
            oracle.agrees(store)

        random_deletes()
        tally.check(_TELLING)

    @covers(clauses.FILTERS, clauses.COMPLEMENTS)
    def test_laws_of_logic(self, store: VectorStore, effort: Effort) -> None:
        """A failure means that the same condition, written in another way, finds other records.

        De Morgan, double negation, $in as a choice of $eq, complements, order of the parts.
        """
        tally = Tally()
        oracle = self._oracle(store)

        @tries(effort, 60, case=law_cases(store.capabilities.filter_operators))
        def laws_of_logic(case: LawCase) -> None:
            _refill(store, oracle, case.metadata)
            expected = sorted(oracle.passing(case.left))
            tally.add(telling=is_telling(case.metadata, case.left))
            left, right = ids_of(store.scan(case.left)), ids_of(store.scan(case.right))
            assert left == right, f"the two sides differ: {case.law}"
            assert left == expected, f"both sides find the same wrong records: {case.law}"
            assert (store.count(case.left), store.count(case.right)) == (len(left), len(right))

        laws_of_logic()
        tally.check(_TELLING)

    @covers(clauses.FILTERS, clauses.COMPLEMENTS)
    def test_every_operator_on_every_value(self, store: VectorStore) -> None:
        """A failure means that an operator takes one value for another: 1 for True, "1" or 2**53 for its neighbour."""
        oracle = self._oracle(store)
        _store(store, oracle, [*({"x": value} for value in strategies.CONFUSABLE), {}])
        scalars = [value for value in strategies.CONFUSABLE if not isinstance(value, list)]
        pairs = [list(pair) for pair in itertools.combinations(scalars, 2)]
        filters: list[Where] = [{"x": value} for value in strategies.CONFUSABLE]
        filters += [{"x": {name: value}} for name in ("$eq", "$ne") for value in strategies.CONFUSABLE]
        filters += [{"x": {name: value}} for name in ("$gt", "$gte", "$lt", "$lte", "$contains") for value in scalars]
        filters += [{"x": {name: pair}} for name in ("$in", "$nin") for pair in pairs]
        _check_filters(store, oracle, filters)

    @covers(clauses.FILTERS, clauses.COMPLEMENTS)
    def test_every_pair_of_conditions(self, store: VectorStore) -> None:
        """A failure means that a condition changes its meaning when it is joined with another one, or negated."""
        oracle = self._oracle(store)
        missing = object()
        x_values, y_values = (missing, 0, 1, True, "a", "1", [1], ["a"], ["b"]), (missing, 1, 2, "a", ["a"])
        rows = itertools.product(x_values, y_values)
        _store(store, oracle, [{k: v for k, v in zip("xy", row, strict=True) if v is not missing} for row in rows])
        filters: list[Where] = []
        for left, right in itertools.combinations(_CONDITIONS, 2):
            both = [left, right]
            neither = [{"$not": left}, {"$not": right}]
            filters += [
                {junction: parts} for junction in ("$and", "$or") for parts in (both, neither, both[:1] + neither)
            ]
            filters += [{"$not": {junction: both}} for junction in ("$and", "$or")]
            if left.keys() != right.keys():
                filters.append({**left, **right})
        _check_filters(store, oracle, filters)

    @pytest.mark.parametrize("metric", METRICS)
    @covers(clauses.SCORES, clauses.NEAREST, clauses.ORDER, clauses.LAW_OF_K, clauses.MIN_SCORE, tier="T2")
    def test_random_searches(
        self, config: BackendConfig, declared: Capabilities, metric: Metric, effort: Effort
    ) -> None:
        """A failure means that for some vectors, however close, short or long, a search gives wrong hits or scores."""
        if self.refuses_metric(config, declared, metric):
            return
        tally = Tally()
        with self.open(config, metric) as store:
            oracle = self._oracle(store)

            @tries(effort, 30, case=search_cases(metric))
            def random_searches(case: SearchCase) -> None:
                store.delete(list(IDS))
                records = [
                    Record(name, "", vector, {"even": place % 2 == 0})
                    for place, (name, vector) in enumerate(zip(IDS, case.vectors, strict=False))
                ]
                store.upsert(records)
                oracle.clear()
                oracle.upsert(records)
                tally.add(telling=0 < len(oracle.query(case.queries[0], case.k, where=case.where)[0]) < len(records))
                oracle.check_query(store, case.queries, case.k, where=case.where, min_score=case.min_score)

            random_searches()
        tally.check(_TELLING)

    @covers(clauses.BATCHES, clauses.MIN_SCORE, clauses.LAW_OF_K, tier="T2")
    def test_every_query_of_a_large_batch(self, store: VectorStore, rng: np.random.Generator, metric: Metric) -> None:
        """A failure means that in a large batch of queries some get the answers, or the threshold, of others."""
        lattice = np.array([[i, j, k] for i in (-1, 1, 2) for j in (-2, -1, 3) for k in (-1, 0, 1, 2)])
        records = [
            Record(f"r{place:02d}", f"text {place}", lattice[place].tolist(), {"few": place % 12 == 0})
            for place in rng.permutation(len(lattice)).tolist()
        ]
        oracle = self._oracle(store)
        fill(store, records)
        oracle.upsert(records)
        thresholds: dict[Metric, float] = {"cosine": 0.51, "dot": 1.7, "l2": 0.31}
        few: Where = {"few": True}
        for size in (2, 31, 33, 64, 65, 130, 257):
            queries = rng.normal(size=(size, 3)).astype(np.float32)
            oracle.check_query(store, queries, 5, min_score=thresholds[metric])
            oracle.check_query(store, queries, 5, where=few, include_vectors=True)
            oracle.check_query(store, queries, 2, where=few, min_score=thresholds[metric])

    @covers(clauses.ORDERED_SCAN, tier="T1")
    def test_random_ordered_scans(self, store: VectorStore, effort: Effort) -> None:
        """A failure means that for some values, "the newest ten that pass" are not those."""
        if not store.capabilities.ordered_scan:
            return  # that it is refused is checked where scans are
        tally = Tally()
        oracle = self._oracle(store)
        values = [value for value in strategies.VALUES if not isinstance(value, bool | list)]
        rows = st.lists(strategies.metadata({"x": values, "y": (1, 2)}), min_size=3, max_size=len(IDS))

        @tries(effort, 30, rows=rows, descending=st.booleans(), limit=st.none() | st.integers(0, 6), some=st.booleans())
        def random_scans(rows: list[dict[str, Any]], *, descending: bool, limit: int | None, some: bool) -> None:
            _refill(store, oracle, rows)
            options: dict[str, Any] = {"order_by": "x", "descending": descending, "limit": limit}
            where = {"y": 1} if some else None
            expected = [record.id for record in oracle.scan(where, **options)]
            tally.add(telling=len(expected) > 1)
            assert [record.id for record in store.scan(where, **options)] == expected

        random_scans()
        tally.check(_TELLING)

    def _oracle(self, store: VectorStore) -> Oracle:
        spec = store.spec
        return Oracle(spec.dimension, spec.metric, relative=self.relative_tolerance, absolute=self.absolute_tolerance)


@st.composite
def search_cases(draw: st.DrawFn, metric: Metric) -> SearchCase:
    """Up to twelve vectors, repeats and near repeats among them, and up to three queries near to them."""
    point = strategies.wild_vectors(3, metric)
    base = draw(st.lists(point, min_size=1, max_size=6))
    vectors = draw(st.lists(st.one_of(st.sampled_from(base), point), min_size=2, max_size=len(IDS)))
    queries = draw(st.lists(st.one_of(st.sampled_from(base), point), min_size=1, max_size=3))
    where = draw(st.sampled_from((None, {"even": True})))
    min_score = draw(st.sampled_from((None, None, -0.5, 0.0, 0.25, 0.5, 0.75, 0.999)))
    return SearchCase(vectors, queries, draw(st.integers(1, len(IDS) + 1)), where, min_score)


def _store(store: VectorStore, oracle: Oracle, metadata: Sequence[dict[str, Any]]) -> None:
    """Write a record for each, in batches of a size that every store takes."""
    records = [Record(f"r{place:02d}", "", [1.0, 0.0, 0.0], values) for place, values in enumerate(metadata)]
    for start in range(0, len(records), 25):
        fill(store, records[start : start + 25])
    oracle.upsert(records)


def _check_filters(store: VectorStore, oracle: Oracle, filters: Sequence[Where]) -> None:
    """Check what each of the filters passes, leaving out those with an operator that is not declared."""
    tally = Tally()
    for where in filters:
        if undeclared(store, where):
            continue
        expected = sorted(oracle.passing(where))
        tally.add(telling=0 < len(expected) < oracle.count())
        count = store.count(where)
        assert count == len(expected), f"count({where}) is {count}, and {len(expected)} records pass"
        found = ids_of(store.scan(where))
        wrong = sorted(set(found).symmetric_difference(expected))[:1]
        assert found == expected, f"scan({where}) is wrong about {oracle.get(wrong)}"
    tally.check(_TELLING)


def _refill(store: VectorStore, oracle: Oracle, metadata: Sequence[dict[str, Any]]) -> None:
    """Make the collection hold records with this metadata, one word and one vector, and nothing else."""
    store.delete(list(IDS))
    records = [Record(name, "walnut", [1.0, 0.0, 0.0], values) for name, values in zip(IDS, metadata, strict=False)]
    store.upsert(records)
    oracle.clear()
    oracle.upsert(records)

"""The engine against brute force: random records, filters and vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.filters import matches, parse
from ctxkit.interfaces import CollectionSpec
from ctxkit.local.columns import Columns, fields_of
from ctxkit.records import Metric, Record

NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([2**53, 2**53 + 1, 2**53 - 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**62 + 1]),
    st.sampled_from([0.0, -0.0, 1.0, 1.5, -2.5, 2.0**53, 2.0**62, 2.0**63, -(2.0**63), 1e300, -1e300, 5e-324]),
)
SCALARS = st.one_of(NUMBERS, st.booleans(), st.sampled_from(["", "a", "b", "1", "True", "\U0001f600", "\uffff"]))
LISTS = st.one_of(
    st.lists(st.integers(-2, 2), min_size=1, max_size=3),
    st.lists(st.sampled_from([1.0, 2.0, 0.5]), min_size=1, max_size=3),
    st.lists(st.booleans(), min_size=1, max_size=2),
    st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=2),
)
FIELDS = st.sampled_from(["x", "y", "", 'q"\\é']).filter(bool)
METADATA = st.dictionaries(FIELDS, st.one_of(SCALARS, LISTS), max_size=3)
OPERATIONS = st.one_of(
    st.tuples(st.sampled_from(["$gt", "$gte", "$lt", "$lte", "$contains"]), SCALARS),
    st.tuples(st.sampled_from(["$eq", "$ne"]), st.one_of(SCALARS, LISTS)),
    st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(SCALARS, max_size=3)),
    st.tuples(st.just("$exists"), st.booleans()),
)
LEAVES = st.builds(lambda field, parts: {field: dict(parts)}, FIELDS, st.lists(OPERATIONS, min_size=1, max_size=2))
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"$and": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"$or": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"$not": part}, inner),
    ),
    max_leaves=5,
)
COMPONENT = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])
VECTORS = st.lists(COMPONENT, min_size=3, max_size=3).filter(any)
RECORDS = st.dictionaries(
    st.sampled_from([f"id{i}" for i in range(14)]),
    st.tuples(st.one_of(st.none(), VECTORS), METADATA),
    max_size=14,
)


@settings(max_examples=400, deadline=None)
@given(rows=st.lists(METADATA, max_size=20), where=FILTERS)
def test_columns_mean_what_the_reference_means(rows: list[dict[str, Any]], where: dict[str, Any]) -> None:
    """A mask over columns, grown in two steps, equals the reference evaluator row by row."""
    node = parse(where)
    columns = Columns()
    columns.make(sorted(fields_of(node)), [rows[: len(rows) // 2]])
    columns.extend(rows[len(rows) // 2 :])
    expected = [matches(node, row) for row in rows]
    assert columns.mask(node, len(rows)).tolist() == expected
    assert (few := columns.few(node, len(rows))) is not None
    assert few.tolist() == np.flatnonzero(expected).tolist()
    chosen = np.arange(len(rows))[::2]
    assert columns.mask(node, len(rows), chosen).tolist() == expected[::2]


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(METADATA, max_size=20), where=FILTERS, other=FILTERS, split=st.integers(0, 20))
def test_sorted_columns_grow(
    rows: list[dict[str, Any]], where: dict[str, Any], other: dict[str, Any], split: int
) -> None:
    """What was sorted for one question serves the next, after more rows and values of other types have come."""
    node, before = parse(where), parse(other)
    split = min(split, len(rows))
    columns = Columns()
    columns.make(sorted(fields_of(node) | fields_of(before)), [rows[:split]])
    columns.few(before, split)
    columns.few(node, split)
    columns.extend(rows[split:])
    found = columns.few(node, len(rows))
    assert found is not None
    assert found.tolist() == [place for place, row in enumerate(rows) if matches(node, row)]


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(METADATA, max_size=12), more=st.lists(METADATA, max_size=3), where=FILTERS, other=FILTERS)
def test_filters_of_one_key_pass_the_same(
    rows: list[dict[str, Any]], more: list[dict[str, Any]], where: dict[str, Any], other: dict[str, Any]
) -> None:
    """Two filters with one key pass the same rows, also after other rows were appended that leave them the key."""
    nodes = parse(where), parse(other)
    columns = Columns()
    columns.make(sorted(set().union(*map(fields_of, nodes))), [rows])
    keys = [columns.key(node) for node in nodes]
    if keys[0] == keys[1]:
        assert columns.mask(nodes[0], len(rows)).tolist() == columns.mask(nodes[1], len(rows)).tolist()
    columns.extend(more)
    for node, key in zip(nodes, keys, strict=True):
        for asked in nodes:
            if columns.key(asked) == key:
                passing = [matches(node, row) for row in rows]
                assert columns.mask(asked, len(rows) + len(more)).tolist()[: len(rows)] == passing


def brute_force(records: list[Record], query: list[float], metric: Metric, k: int) -> list[tuple[str, float]]:
    """Rank records in the plainest way."""
    scored = []
    asked = np.array(query, dtype=np.float64)
    for record in records:
        vector = np.asarray(record.vector, dtype=np.float64)
        dot = float(vector @ asked)
        score = {
            "dot": dot,
            "cosine": max(-1.0, min(1.0, dot / float(np.linalg.norm(vector) * np.linalg.norm(asked)))),
            "l2": 1 / (1 + float(np.linalg.norm(vector - asked))),
        }[metric]
        scored.append((record.id, score))
    return sorted(scored, key=lambda pair: (-round(pair[1], 9), pair[0]))[:k]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    first=RECORDS,
    second=RECORDS,
    where=FILTERS,
    doomed=FILTERS,
    query=VECTORS,
    k=st.integers(1, 16),
    metric=st.sampled_from(["cosine", "dot", "l2"]),
)
def test_the_store_equals_brute_force(
    first: dict[str, Any],
    second: dict[str, Any],
    where: dict[str, Any],
    doomed: dict[str, Any],
    query: list[float],
    k: int,
    metric: Metric,
) -> None:
    """upsert, delete, count, scan and query agree with a dict and the reference evaluator."""
    with ExactStore.open(CollectionSpec(dimension=3, metric=metric), ExactConfig()) as store:
        oracle: dict[str, Record] = {}
        for batch in (first, second):
            records = [Record(record_id, "", vector, metadata) for record_id, (vector, metadata) in batch.items()]
            store.upsert(records)
            for record in records:
                oracle.pop(record.id, None)
                oracle[record.id] = record
            assert store.count(where) == sum(matches(parse(where), r.metadata) for r in oracle.values())
        gone = [name for name, record in oracle.items() if matches(parse(doomed), record.metadata)]
        assert store.delete(where=doomed) == len(gone)
        for name in gone:
            del oracle[name]
        passing = [record for record in oracle.values() if matches(parse(where), record.metadata)]
        assert [(r.id, r.metadata) for r in store.scan(where)] == [(r.id, r.metadata) for r in passing]
        hits = store.query(query, k, where=where)[0]
        expected = brute_force([record for record in passing if record.vector is not None], query, metric, k)
        # Scores equal in exact arithmetic may differ in the last bit here, so ties are compared as groups.
        assert len(hits) == len(expected)
        for hit, (_, score) in zip(hits, expected, strict=True):
            assert math.isclose(hit.score, score, rel_tol=1e-9, abs_tol=1e-9)
        own = {hit.id: hit.score for hit in hits}
        assert [hit.id for hit in hits] == sorted(own, key=lambda name: (-own[name], name))
        assert store.health().ok

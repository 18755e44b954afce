"""The oracle answers what was worked out by hand, and tells a wrong store from a right one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from ctxkit_conformance.oracle import Oracle

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import Hit, Hits, Metric, Record, RecordBatch

VECTORS = {"a": [10, 0, 0], "b": [3, 4, 0], "c": [-5, 0, 0], "d": [0, 0, 1]}


def oracle_with(metric: Metric = "cosine") -> Oracle:
    """Return an oracle that holds the four vectors, and a record without one."""
    oracle = Oracle(3, metric)
    oracle.upsert([Record(name, f"text of {name}", vector, {"n": place}) for place, (name, vector) in _numbered()])
    oracle.upsert([Record("e", "nothing else")])
    return oracle


def _numbered() -> Iterator[tuple[int, tuple[str, list[int]]]]:
    return enumerate(VECTORS.items())


@pytest.fixture
def store() -> Iterator[ExactStore]:
    """Return a store that holds what the oracle holds."""
    with ExactStore.open(CollectionSpec(dimension=3), ExactConfig()) as opened:
        opened.upsert(list(oracle_with().records.values()))
        yield opened


@pytest.mark.parametrize(
    ("metric", "query", "scores"),
    [
        ("cosine", [5, 0, 0], {"a": 1.0, "b": 0.6, "d": 0.0, "c": -1.0}),
        ("dot", [1, 0, 0], {"a": 10.0, "b": 3.0, "d": 0.0, "c": -5.0}),
        ("l2", [5, 0, 0], {"b": 1 / (1 + math.sqrt(20)), "a": 1 / 6, "d": 1 / (1 + math.sqrt(26)), "c": 1 / 11}),
    ],
)
def test_scores_by_hand(metric: Metric, query: list[int], scores: dict[str, float]) -> None:
    """The scores and their order are those of the contract."""
    hits = oracle_with(metric).query(query, 9)[0]
    assert hits.ids == list(scores)
    assert list(hits.scores) == pytest.approx(list(scores.values()))


def test_queries_by_hand() -> None:
    """k, filters, thresholds and ties by id, worked out by hand."""
    oracle = oracle_with()
    assert oracle.query([5, 0, 0], 2)[0].ids == ["a", "b"]
    assert oracle.query([5, 0, 0], 2, where={"n": {"$gt": 0}})[0].ids == ["b", "d"]
    assert oracle.query([5, 0, 0], 9, min_score=0.6)[0].ids == ["a", "b"]
    assert [hits.ids for hits in oracle.query([[0, 0, 1], [-1, 0, 0]], 1)] == [["d"], ["c"]]
    oracle.upsert([Record(name, "", [1, 0, 0]) for name in ("\U00010000", "\uffff", "B")])
    assert oracle.query([1, 0, 0], 4)[0].ids == ["B", "a", "\uffff", "\U00010000"]


def test_records_by_hand() -> None:
    """Writing, replacing, deleting, counting and reading, worked out by hand."""
    oracle = oracle_with()
    assert oracle.get(["b", "x", "b"]) == [Record("b", "text of b", None, {"n": 1}), None, oracle.get(["b"])[0]]
    assert (oracle.count(), oracle.count({"n": {"$lt": 2}}), oracle.count({"n": {"$exists": False}})) == (5, 2, 1)
    assert oracle.text_query("of", {"n": {"$gte": 2}}) == ["c", "d"]
    oracle.upsert([Record("a", "new", [0, 1, 0])])
    assert oracle.get(["a"], include_vectors=True) == [Record("a", "new", [0, 1, 0])]
    assert oracle.delete(["a", "x"]) == 1
    assert oracle.delete(["b", "e"], where={"n": 1}) == 1
    assert oracle.delete(where={"n": {"$gt": 0}}) == 2
    assert [record.id for record in oracle.scan()] == ["e"]
    oracle.clear()
    assert oracle.count() == 0


def test_order_by_hand() -> None:
    """Numbers, then strings, then the rest; ties by id, also when the values are turned round."""
    oracle = Oracle(3, "cosine")
    values: dict[str, Any] = {"n2": 2, "n1b": 1.0, "n1a": 1, "s": "b", "r": "a", "big": 2**60 + 1, "flag": True}
    oracle.upsert([Record(name, "", None, {"v": value}) for name, value in values.items()])
    oracle.upsert([Record("none")])
    up = ["n1a", "n1b", "n2", "big", "r", "s", "flag", "none"]
    down = ["s", "r", "big", "n2", "n1a", "n1b", "flag", "none"]
    assert [record.id for record in oracle.scan(order_by="v")] == up
    assert [record.id for record in oracle.scan(order_by="v", descending=True)] == down
    assert [record.id for record in oracle.scan(order_by="v", limit=3)] == up[:3]


def test_nothing_is_shared() -> None:
    """What was given and what is returned can be changed without changing what the oracle holds."""
    metadata = {"l": [1]}
    vector = np.array([1, 0, 0], dtype=np.float32)
    oracle = Oracle(3, "cosine")
    oracle.upsert(RecordBatch(["a"], vector[None, :], None, [metadata]))
    other = oracle.copy()
    vector[:] = 7
    metadata["l"].append(2)
    for _ in range(2):
        found = oracle.get(["a"], include_vectors=True)[0]
        assert found == Record("a", "", [1, 0, 0], {"l": [1]})
        assert found is not None
        found.metadata["l"].append(3)
        np.asarray(found.vector)[:] = 5
    oracle.upsert([Record("b", "", [1, 0, 0])])
    assert other.count() == 1


def test_a_right_store_agrees(store: ExactStore) -> None:
    """A store that holds the same answers the same."""
    oracle = oracle_with()
    oracle.agrees(store)
    oracle.check_query(store, [[1, 0, 0], [0, 1, 1]], 3, where={"n": {"$gte": 1}}, min_score=0.0, include_vectors=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda store: store.delete(["b"]), r"scan\(\) lacks \['b'\]"),
        (lambda store: store.upsert([Record("x", "", [1, 0, 0])]), r"scan\(\) yields 'x', which was deleted or never"),
        (lambda store: store.upsert([Record("b", "text of b", [3, 4, 1], {"n": 1})]), r"scan\(\) yields Record\('b'"),
        (lambda store: store.upsert([Record("b", "text of b", [3, 4, 0], {"n": 1.0})]), r"'n': 1\.0.* not Record"),
        (lambda store: store.upsert([Record("b", "text of b", [3, 4, 0], {"n": True})]), r"'n': True.* not Record"),
    ],
)
def test_a_store_that_holds_something_else_is_told(
    store: ExactStore, change: Callable[[ExactStore], object], message: str
) -> None:
    """The first difference is named."""
    change(store)
    with pytest.raises(AssertionError, match=message):
        oracle_with().agrees(store)


def _hit(name: str, score: float, **more: Any) -> Hit:
    place = list(VECTORS).index(name) if name in VECTORS else 0
    found = {"text": f"text of {name}", "metadata": {"n": place}, "metric": "cosine", **more}
    return Hit(name, score, **found)


RIGHT = [_hit("a", 1.0), _hit("b", 0.6)]


@pytest.mark.parametrize(
    ("hits", "options", "message"),
    [
        ([_hit("b", 0.6), _hit("a", 1.0)], {}, "not best first"),
        (RIGHT[:1], {}, "returns 1 hits of 2"),
        ([*RIGHT, _hit("d", 0.0)], {}, "returns 3 hits of 2"),
        ([RIGHT[0], RIGHT[0]], {}, "returns 'a' twice"),
        ([RIGHT[0], _hit("x", 0.6)], {}, "returns 'x', which was deleted or never written"),
        ([RIGHT[0], _hit("e", 0.6)], {}, "returns 'e', which has no vector"),
        ([RIGHT[0], _hit("d", 0.0)], {}, "'d' .* and not 'b' .*which is nearer"),
        ([RIGHT[0], _hit("b", 0.61)], {}, "gives 'b' the score 0.61, not 0.6"),
        ([RIGHT[0], _hit("b", 0.6, text="other")], {}, "returns Record"),
        ([RIGHT[0], _hit("b", 0.6, metadata={})], {}, "returns Record"),
        (RIGHT, {"include_vectors": True}, "returns Record"),
        (RIGHT, {"where": {"n": {"$lt": 1}}}, "returns 'b', which does not pass"),
        (RIGHT, {"min_score": 0.7}, r"keeps \[\('b', 0.6\)\]"),
        (RIGHT[:1], {"min_score": 0.5}, "drops 'b', whose score is 0.6"),
    ],
)
def test_wrong_hits_are_told(hits: list[Hit], options: dict[str, Any], message: str) -> None:
    """Each way in which an answer can be wrong has its message."""
    oracle = oracle_with()
    oracle.check_hits(Hits(RIGHT), [5, 0, 0], 2, exact=True)
    with pytest.raises(AssertionError, match=message):
        oracle.check_hits(Hits(hits), [5, 0, 0], 2, exact=True, **options)


def test_a_truncated_answer_is_told() -> None:
    """The flag itself is a failure."""
    with pytest.raises(AssertionError, match="truncated"):
        oracle_with().check_hits(Hits(RIGHT, truncated=True), [5, 0, 0], 2, exact=True)


def test_an_approximate_store_may_return_near_ties() -> None:
    """Other records are let pass, with the right scores and in the right number; wrong scores are not."""
    oracle = oracle_with()
    oracle.check_hits(Hits([_hit("b", 0.6), _hit("d", 0.0)]), [5, 0, 0], 2, exact=False)
    with pytest.raises(AssertionError, match="returns 1 hits of 2"):
        oracle.check_hits(Hits(RIGHT[:1]), [5, 0, 0], 2, exact=False)
    with pytest.raises(AssertionError, match="the score"):
        oracle.check_hits(Hits([_hit("b", 0.6), _hit("d", 0.1)]), [5, 0, 0], 2, exact=False)


def test_equal_vectors() -> None:
    """They have equal scores, and an exact store returns those that come first by id."""
    oracle = Oracle(2, "cosine")
    oracle.upsert([Record(name, "", [3, 1]) for name in "cab"])
    score = float(oracle.query([1, 0], 1)[0].scores[0])
    oracle.check_hits(Hits([Hit("a", score), Hit("b", score)]), [1, 0], 2, exact=True)
    with pytest.raises(AssertionError, match=r"returns \['a', 'c'\] of equal vectors, and \['a', 'b'\] come before"):
        oracle.check_hits(Hits([Hit("a", score), Hit("c", score)]), [1, 0], 2, exact=True)
    with pytest.raises(AssertionError, match="gives equal vectors the scores"):
        oracle.check_hits(Hits([Hit("a", score), Hit("b", score - 1e-9)]), [1, 0], 2, exact=False)


def test_differences_beyond_float32_count() -> None:
    """Two scores that float32 holds for equal are put in order; two that float64 cannot tell may come either way."""
    oracle = Oracle(2, "dot")
    near = float(np.nextafter(np.float32(1), np.float32(2)))
    oracle.upsert([Record("a", "", [1, 0]), Record("b", "", [near, 0]), Record("c", "", [1, 1e-30])])
    one, more = 1.0, near
    oracle.check_hits(Hits([Hit("b", more), Hit("a", one)]), [1, 1], 2, exact=True)
    oracle.check_hits(Hits([Hit("b", more), Hit("c", one)]), [1, 1], 2, exact=True)
    with pytest.raises(AssertionError, match=r"puts 'a' \(score 1\.0\) before 'b'"):
        oracle.check_hits(Hits([Hit("a", more), Hit("b", more)]), [1, 1], 2, exact=True)

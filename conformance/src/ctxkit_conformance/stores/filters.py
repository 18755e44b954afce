"""Checks of filters: every operator means what the reference evaluator of ctxkit says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ctxkit.errors import InvalidFilterError, UnsupportedError
from ctxkit.filters import F, matches, parse
from ctxkit.interfaces import VectorStore
from ctxkit.records import Record
from ctxkit_conformance.marks import covers
from ctxkit_conformance.stores import clauses
from ctxkit_conformance.stores.base import StoreChecks, fill, found_by_words, ids_of, refuses_filter, undeclared

# Equal numbers of two types, equal letters of two kinds, limits, lists, and records that lack the field.
RECORDS: dict[str, dict[str, Any]] = {
    "int": {"x": 1, "y": 1},
    "float": {"x": 1.0},
    "true": {"x": True},
    "false": {"x": False, "y": 1},
    "zero": {"x": 0},
    "half": {"x": 1.5},
    "one": {"x": "1"},
    "a": {"x": "a", "y": 2},
    "capital": {"x": "A"},
    "padded": {"x": "a "},
    "accent": {"x": "á"},
    "nothing": {"x": ""},
    "emoji": {"x": "\U0001f600"},
    "last": {"x": "\uffff"},
    "least": {"x": -(2**63)},
    "most": {"x": 2**63 - 1},
    "odd": {"x": 2**53 + 1},
    "even": {"x": 2.0**53},
    "ints": {"x": [1, 2]},
    "turned": {"x": [2, 1]},
    "more": {"x": [1, 2, 3]},
    "flags": {"x": [True]},
    "words": {"x": ["a", "1"], "y": 1},
    "sql": {"x": "' OR 1=1 --", "y": "' OR 1=1 --", '"; DROP TABLE x; --': 1},
    "y": {"y": 1},
    "none": {},
}

# Each passes some of the records above and not all of them.
FILTERS: list[dict[str, Any]] = [
    {"x": 1},
    {"x": 1.0},
    {"x": True},
    {"x": "1"},
    {"x": "a"},
    {"x": ""},
    {"x": [1, 2]},
    {"x": [True]},
    {"x": ["a", "1"]},
    {"x": {"$eq": False}},
    {"x": {"$ne": 1}},
    {"x": {"$ne": True}},
    {"x": {"$ne": [1, 2]}},
    {"x": {"$gt": 0}},
    {"x": {"$gt": 2**53}},
    {"x": {"$gte": 1}},
    {"x": {"$gte": 2**53 + 1}},
    {"x": {"$lt": 1.5}},
    {"x": {"$lt": 2.0**63}},
    {"x": {"$lte": -(2**63)}},
    {"x": {"$gt": "1"}},
    {"x": {"$gte": "\uffff"}},
    {"x": {"$lt": "a"}},
    {"x": {"$gt": False}},
    {"x": {"$gt": 0, "$lt": 1.5}},
    {"x": {"$in": [1, "a"]}},
    {"x": {"$in": [True, 0.0]}},
    {"x": {"$nin": [1, "a"]}},
    {"x": {"$exists": True}},
    {"x": {"$exists": False}},
    {"x": {"$contains": 1}},
    {"x": {"$contains": "a"}},
    {"x": {"$contains": True}},
    {"x": {"$not": {"$gt": 0}}},
    {"x": {"$not": {"$contains": "a"}}},
    {"$not": {"x": {"$exists": True}}},
    {"$not": {"x": 1, "y": 1}},
    {"$and": [{"x": {"$gte": 1}}, {"y": 1}]},
    {"$or": [{"x": "a"}, {"y": 1}]},
    {"$not": {"$or": [{"x": 1}, {"y": {"$ne": 1}}]}},
    {"y": 1, "x": {"$ne": False}},
    {"x": "' OR 1=1 --"},
    {'"; DROP TABLE x; --': 1},
]

MALFORMED: list[Any] = [
    [],
    "x",
    {"$nope": 1},
    {"x": {"$nope": 1}},
    {"x": {}},
    {"x": None},
    {"x": {"$gt": [1]}},
    {"x": {"$in": 1}},
    {"x": {"$exists": 1}},
    {"$and": []},
    {"$or": []},
    {"$or": {"x": 1}},
    {"x": [1, "a"]},
]


class FilterChecks(StoreChecks):
    """Operators, types, complements, malformed filters, filters that follow writes."""

    tier = "T4"
    faces = ("sync", "async")

    @pytest.mark.parametrize("where", FILTERS, ids=repr)
    @covers(clauses.FILTERS)
    def test_filters_mean_what_the_reference_says(self, store: VectorStore, where: dict[str, Any]) -> None:
        """A failure means that a filter shows records which it should hide, or hides those it should show."""
        store.upsert([Record(name, "word", [1, 0, 0], metadata) for name, metadata in RECORDS.items()])
        if refuses_filter(store, where):
            assert store.count() == len(RECORDS)
            return
        expected = sorted(name for name, metadata in RECORDS.items() if matches(parse(where), metadata))
        assert 0 < len(expected) < len(RECORDS)
        assert ids_of(store.scan(where)) == expected
        assert store.count(where) == len(expected)
        assert sorted(store.query([1, 0, 0], 100, where=where)[0].ids) == expected
        if store.capabilities.text_search is not None:
            assert sorted(store.text_query("word", 100, where=where).ids) == expected
        assert store.delete(where=where) == len(expected)
        assert ids_of(store.scan()) == sorted(set(RECORDS).difference(expected))

    @covers(clauses.COMPLEMENTS)
    def test_missing_field_matches_negations(self, store: VectorStore, bare: list[float] | None) -> None:
        """A failure means that "not archived" hides the records that nobody ever marked."""
        store.upsert(
            [Record("a", "", bare, {"x": 1}), Record("b", "", bare, {"y": 1}), Record("c", "", bare, {"x": True})]
        )
        expected: list[tuple[dict[str, Any], list[str]]] = [
            ({"x": {"$ne": 1}}, ["b", "c"]),
            ({"x": {"$nin": [1, True]}}, ["b"]),
            ({"$not": {"x": {"$exists": True}}}, ["b"]),
            ({"x": {"$in": []}}, []),
            ({"x": {"$nin": []}}, ["a", "b", "c"]),
        ]
        for where, ids in expected:
            if not refuses_filter(store, where):
                assert ids_of(store.scan(where)) == ids
                assert store.count(where) == len(ids)
        assert store.count({}) == 3
        assert ids_of(store.scan({})) == ["a", "b", "c"]
        assert len(store.query([1, 0, 0], 9, where={})[0]) == (0 if bare is None else 3)

    @covers(clauses.FILTERS)
    def test_builder_is_accepted(self, store: VectorStore) -> None:
        """A failure means that a filter written as `F("x") == 1` works on other backends only."""
        store.upsert([Record("a", "word", [1, 0, 0], {"x": 1}), Record("b", "word", [1, 0, 0], {"x": 2})])
        assert ids_of(store.scan(F("x") == 1)) == ["a"]
        assert store.count(F("x") == 2) == 1
        assert store.query([1, 0, 0], 2, where=F("x") == 2)[0].ids == ["b"]
        if store.capabilities.text_search is not None:
            assert store.text_query("word", 2, where=F("x") == 2).ids == ["b"]
        assert store.delete(where=F("x") == 1) == 1

    @pytest.mark.parametrize("where", MALFORMED, ids=repr)
    @covers(clauses.MALFORMED_FILTERS)
    def test_malformed_filters_are_refused(self, store: VectorStore, where: Any) -> None:
        """A failure means that a mistyped operator matches everything or nothing, and a delete follows it."""
        store.upsert([Record("a", "word", [1, 0, 0], {"x": 1})])
        calls: list[Callable[[], object]] = [
            lambda: store.count(where),
            lambda: list(store.scan(where)),
            lambda: store.query([1, 0, 0], 1, where=where),
            lambda: store.delete(where=where),
        ]
        if store.capabilities.text_search is not None:
            calls.append(lambda: store.text_query("word", 1, where=where))
        # A malformed use of an operator that is not declared may be refused for either reason.
        wrong = (InvalidFilterError, UnsupportedError) if undeclared(store, where) else (InvalidFilterError,)
        for call in calls:
            with pytest.raises(wrong):
                call()
        assert store.count() == 1

    @covers(clauses.FILTERS, clauses.READ_WRITES)
    def test_filters_follow_writes(self, store: VectorStore, bare: list[float] | None) -> None:
        """A failure means that a filter answers from before the last write."""
        assert store.count({"n": 1}) == 0
        for i in range(50):
            store.upsert([Record(f"r{i}", f"word{i}", bare, {"n": i % 5, "tags": [f"t{i % 3}"]})])
            assert store.count({"n": i % 5}) == i // 5 + 1
        tagged = {"tags": {"$contains": "t0"}}
        assert refuses_filter(store, tagged) or store.count(tagged) == 17
        assert store.delete(where={"n": 2}) == 10
        assert store.count({"n": 2}) == 0
        positive = {"n": {"$gte": 0}}
        assert refuses_filter(store, positive) or store.count(positive) == 40
        store.upsert([Record("r0", "word0", bare, {"n": 1})])
        assert (store.count({"n": 0}), store.count({"n": 1})) == (9, 11)
        assert found_by_words(store, "word0") == ([] if store.capabilities.text_search is None else ["r0"])

    @covers(clauses.FIELD_NAMES)
    def test_many_fields(self, store: VectorStore, bare: list[float] | None) -> None:
        """A failure means that filters work for the first fields only, or forget one after many others."""
        fill(store, [Record("a", "", bare, {f"f{i}": i for i in range(100)}), Record("b", "", bare)])
        for _ in range(2):
            assert [store.count({f"f{i}": i}) for i in range(100)] == [1] * 100
        assert store.count({f"f{i}": i for i in range(100)}) == 1
        every = {"$and": [{f"f{i}": i} for i in range(100)]}
        assert refuses_filter(store, every) or store.count(every) == 1

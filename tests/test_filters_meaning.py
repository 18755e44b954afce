"""The filter grammar: the meaning of each operator on each type, its laws, and where errors point."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxkit.errors import InvalidFilterError, UnsupportedError
from ctxkit.filters import OPERATORS, And, Compare, F, Not, Or, check_operators, matches, parse, same_value

SCALARS = st.one_of(
    st.sampled_from([0, 1, -1, 2**53 + 1, 2**63 - 1, 0.0, 1.0, 1.5, 2.0**53, True, False, "", "1", "a", "b"])
)
LISTS = st.one_of(
    st.lists(st.integers(0, 2), min_size=1, max_size=2),
    st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=2),
    st.lists(st.booleans(), min_size=1, max_size=2),
    st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=2),
)
VALUES = st.one_of(SCALARS, LISTS)
METADATA = st.dictionaries(st.sampled_from(["x", "y"]), VALUES)
OPERATIONS = st.one_of(
    st.tuples(st.sampled_from(["$gt", "$gte", "$lt", "$lte", "$contains"]), SCALARS),
    st.tuples(st.sampled_from(["$eq", "$ne"]), VALUES),
    st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(SCALARS, max_size=3)),
    st.tuples(st.just("$exists"), st.booleans()),
)
LEAVES = st.one_of(
    st.builds(lambda field, value: {field: value}, st.sampled_from(["x", "y"]), VALUES),
    st.builds(lambda field, parts: {field: dict(parts)}, st.sampled_from(["x", "y"]), st.lists(OPERATIONS, min_size=1)),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"$and": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"$or": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"$not": part}, inner),
    ),
    max_leaves=5,
)

# One value of each type and the same values again where two types hold equal numbers.
ALL: list[Any] = [1, 2, 1.0, 1.5, True, False, "1", "a", "", [1], [1.0], [True], ["a"], [1, 2]]


def passes(where: Any, value: Any) -> bool:
    """Whether a record with this value in `x` passes."""
    return matches(parse(where), {"x": value})


def kind(value: object) -> str:
    """Name the four kinds that compare among themselves."""
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, (int, float)) else type(value).__name__


def equal(left: Any, right: Any) -> bool:
    """State equality independently of the library: by kind, lists member by member."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(equal(a, b) for a, b in zip(left, right, strict=True))
    return kind(left) == kind(right) and bool(left == right)


@pytest.mark.parametrize("operand", ALL)
@pytest.mark.parametrize("value", ALL)
def test_equality_by_type(value: Any, operand: Any) -> None:
    """Numbers compare as numbers; True is not 1; a scalar never equals a list; $ne is the complement."""
    assert passes({"x": operand}, value) == passes({"x": {"$eq": operand}}, value) == equal(value, operand)
    assert passes({"x": {"$ne": operand}}, value) != equal(value, operand)
    assert same_value(value, operand) == equal(value, operand)


@pytest.mark.parametrize("name", ["$gt", "$gte", "$lt", "$lte"])
@pytest.mark.parametrize("operand", [v for v in ALL if not isinstance(v, list)])
@pytest.mark.parametrize("value", ALL)
def test_order_by_type(name: str, value: Any, operand: Any) -> None:
    """Order holds within numbers, within strings and within bools, and nowhere else."""
    compare = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}[name]
    expected = kind(value) == kind(operand) != "list" and compare(value, operand)
    assert passes({"x": {name: operand}}, value) == expected


@pytest.mark.parametrize("operand", [v for v in ALL if not isinstance(v, list)])
@pytest.mark.parametrize("value", ALL)
def test_membership_by_type(value: Any, operand: Any) -> None:
    """$in looks for the value in the operand, $contains for the operand in the value."""
    assert passes({"x": {"$in": ["z", operand]}}, value) == equal(value, operand)
    assert passes({"x": {"$nin": ["z", operand]}}, value) != equal(value, operand)
    expected = isinstance(value, list) and any(equal(item, operand) for item in value)
    assert passes({"x": {"$contains": operand}}, value) == expected


def test_numbers_compare_exactly() -> None:
    """int and float are compared as the numbers they are, beyond 2**53 as well."""
    assert not passes({"x": 2.0**53}, 2**53 + 1)
    assert passes({"x": {"$gt": 2.0**53}}, 2**53 + 1)
    assert passes({"x": {"$lt": 2.0**63}}, 2**63 - 1)
    assert not passes({"x": {"$gte": 2**53 + 1}}, 2.0**53)


@pytest.mark.parametrize(
    "where",
    [
        {"x": {"$ne": 1}},
        {"x": {"$nin": [1]}},
        {"x": {"$nin": []}},
        {"x": {"$not": {"$gt": 0}}},
        {"x": {"$exists": False}},
        {"$not": {"x": 1}},
        {},
        None,
    ],
)
def test_a_missing_field_passes_complements(where: Any) -> None:
    """A record without the field passes every complement."""
    assert matches(parse(where), {})


@pytest.mark.parametrize(
    "where", [{"x": 1}, {"x": {"$in": [1]}}, {"x": {"$lt": 9}}, {"x": {"$exists": True}}, {"x": {"$contains": 1}}]
)
def test_a_missing_field_fails_positive_tests(where: Any) -> None:
    """A record without the field fails every positive test."""
    assert not matches(parse(where), {})


def test_empty_in_matches_nothing() -> None:
    """$in [] is false for every value."""
    assert not any(passes({"x": {"$in": []}}, value) for value in ALL)


@given(FILTERS, FILTERS, METADATA)
def test_de_morgan(left: Any, right: Any, metadata: Any) -> None:
    """not (a and b) is (not a) or (not b), and the other way round."""
    both = matches(parse({"$not": {"$and": [left, right]}}), metadata)
    assert both == matches(parse({"$or": [{"$not": left}, {"$not": right}]}), metadata)
    either = matches(parse({"$not": {"$or": [left, right]}}), metadata)
    assert either == matches(parse({"$and": [{"$not": left}, {"$not": right}]}), metadata)


@given(FILTERS, METADATA)
def test_double_negation(where: Any, metadata: Any) -> None:
    """not not a is a, and a filter or its negation always holds, never both."""
    once = matches(parse(where), metadata)
    assert matches(parse({"$not": {"$not": where}}), metadata) == once
    assert matches(parse({"$not": where}), metadata) != once


@given(st.lists(OPERATIONS, min_size=1, max_size=3), METADATA)
def test_several_operators_mean_and(parts: list[tuple[str, Any]], metadata: Any) -> None:
    """One mapping of operators is the conjunction of each, and $not on it their negation."""
    together = dict(parts)
    expected = all(matches(parse({"x": {name: operand}}), metadata) for name, operand in together.items())
    assert matches(parse({"x": together}), metadata) == expected
    assert matches(parse({"x": {"$not": together}}), metadata) != expected
    assert matches(parse({"x": together, "y": {"$exists": True}}), metadata) == (expected and "y" in metadata)


@given(METADATA)
def test_builder_means_the_same(metadata: Any) -> None:
    """Each method of the builder is its operator."""
    pairs: list[tuple[Any, Any]] = [
        (F("x") == 1, {"x": 1}),
        (F("x") != 1, {"x": {"$ne": 1}}),
        (F("x") > 1, {"x": {"$gt": 1}}),
        (F("x") >= 1, {"x": {"$gte": 1}}),
        (F("x") < 1, {"x": {"$lt": 1}}),
        (F("x") <= 1, {"x": {"$lte": 1}}),
        (F("x").is_in((1, "a")), {"x": {"$in": [1, "a"]}}),
        (F("x").not_in([1]), {"x": {"$nin": [1]}}),
        (F("x").contains(1), {"x": {"$contains": 1}}),
        (F("x").exists(), {"x": {"$exists": True}}),
        (F("x").exists(present=False), {"x": {"$exists": False}}),
        ((F("x") == 1) & (F("y") == 2) | ~(F("x") == "a"), {"$or": [{"x": 1, "y": 2}, {"x": {"$ne": "a"}}]}),
    ]
    for built, written in pairs:
        assert matches(parse(built), metadata) == matches(parse(written), metadata)
        assert matches(parse({"$not": built}), metadata) != matches(parse(written), metadata)


def test_builder_refuses_python_logic() -> None:
    """`and` between conditions would drop one, so a condition has no truth value; F has no hash."""
    with pytest.raises(TypeError, match="join conditions with"):
        bool(F("x") == 1)
    with pytest.raises(TypeError):
        hash(F("x"))
    assert repr(F("x") > 1) == "Condition({'x': {'$gt': 1}})"
    assert repr(F("x")) == "F('x')"


def test_tree() -> None:
    """parse gives the small tree that backends compile."""
    assert parse(None) == parse({}) == And(())
    assert parse({"x": 1}) == Compare("x", "$eq", 1)
    assert parse({"x": [1, 2]}) == Compare("x", "$eq", (1, 2))
    assert parse({"x": {"$nin": [1]}}) == Not(Compare("x", "$in", (1,)))
    assert parse({"$or": [{"x": 1}, {"y": np.float32(0.5)}]}) == Or((Compare("x", "$eq", 1), Compare("y", "$eq", 0.5)))
    assert not matches(Or(()), {})


@pytest.mark.parametrize("field", ["", " ", "a.b", "'; DROP TABLE x", "\0", "日本", "x" * 5000, 'a"b'])
def test_any_field_name(field: str) -> None:
    """A field name is data, whatever it holds."""
    assert matches(parse({field: 1}), {field: 1})
    assert not matches(parse({field: 1}), {field + "x": 1})


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ([], "where"),
        ("x", "where"),
        (5, "where"),
        ({1: 2}, r"where\[1\]"),
        ({"$nope": 1}, r"where\['\$nope'\]"),
        ({"$eq": 1}, r"where\['\$eq'\]"),
        ({"x": {"$nope": 1}}, r"where\['x'\]\['\$nope'\]"),
        ({"x": {"y": 1}}, r"where\['x'\]\['y'\]"),
        ({"x": {1: 1}}, r"where\['x'\]\[1\]"),
        ({"x": {}}, r"where\['x'\]"),
        ({"x": None}, r"where\['x'\]"),
        ({"x": {"$eq": None}}, r"where\['x'\]\['\$eq'\]"),
        ({"x": {"$gt": [1]}}, r"\['\$gt'\]"),
        ({"x": {"$in": 1}}, r"\['\$in'\]"),
        ({"x": {"$in": "abc"}}, r"\['\$in'\]"),
        ({"x": {"$in": [[1]]}}, r"\['\$in'\]"),
        ({"x": {"$nin": {"a": 1}}}, r"\['\$nin'\]"),
        ({"x": {"$exists": 1}}, r"\['\$exists'\]"),
        ({"x": {"$contains": [1]}}, r"\['\$contains'\]"),
        ({"x": {"$not": 1}}, r"\['\$not'\]"),
        ({"x": {"$not": {}}}, r"\['\$not'\]"),
        ({"x": []}, r"where\['x'\]"),
        ({"x": [1, "a"]}, r"where\['x'\]"),
        ({"x": math.nan}, r"where\['x'\]"),
        ({"x": math.inf}, r"where\['x'\]"),
        ({"x": 2**63}, r"where\['x'\]"),
        ({"$and": []}, r"where\['\$and'\]"),
        ({"$or": []}, r"where\['\$or'\]"),
        ({"$or": {"x": 1}}, r"where\['\$or'\]"),
        ({"$and": [{"x": 1}, {"x": {"$gt": None}}]}, r"where\['\$and'\]\[1\]\['x'\]\['\$gt'\]"),
        ({"$not": [{"x": 1}]}, r"where\['\$not'\]"),
    ],
)
def test_errors_name_the_place(where: Any, place: str) -> None:
    """A malformed filter raises InvalidFilterError that says where and how to write it."""
    with pytest.raises(InvalidFilterError, match=place) as caught:
        parse(where)
    assert caught.value.fix


def test_depth_is_bounded() -> None:
    """A filter nested without end is refused, not a stack overflow."""
    where: dict[str, Any] = {"x": 1}
    for _ in range(2000):
        where = {"$not": where}
    with pytest.raises(InvalidFilterError, match="nested deeper"):
        parse(where)
    inner: dict[str, Any] = {"$gt": 1}
    for _ in range(2000):
        inner = {"$not": inner}
    with pytest.raises(InvalidFilterError, match="nested deeper"):
        parse({"x": inner})


def test_undeclared_operators_are_unsupported() -> None:
    """A backend without an operator refuses it, wherever it hides, and accepts the rest."""
    check_operators(None, (), backend="b")
    check_operators({"x": 1, "$and": [{"y": {"$gt": 1}}]}, {"$eq", "$gt", "$and"}, backend="b")
    check_operators(F("x") == 1, OPERATORS, backend="b")
    cases: list[tuple[Any, str]] = [
        ({"x": 1}, "$eq"),
        ({"$and": [{"x": {"$not": {"$in": []}}}]}, "$in"),
        (F("x").contains(1), "$contains"),
    ]
    for where, missing in cases:
        with pytest.raises(UnsupportedError, match=rf"\{missing}"):
            check_operators(where, OPERATORS - {missing}, backend="b")

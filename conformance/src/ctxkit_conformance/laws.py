"""Random filters over random records, and the laws that filters obey."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from ctxkit.filters import matches, parse
from ctxkit_conformance import strategies
from ctxkit_conformance.strategies import IDS, Where

_ATTEMPTS = 5  # filters that are drawn for one collection, until one tells something


@dataclass(frozen=True)
class FilterCase:
    """The metadata of some records, and a filter over their fields."""

    metadata: list[dict[str, Any]]
    where: Where


@dataclass(frozen=True)
class LawCase:
    """The metadata of some records, and two filters that have to pass the same ones."""

    metadata: list[dict[str, Any]]
    law: str
    left: Where
    right: Where


def is_telling(metadata: Sequence[dict[str, Any]], where: Where) -> bool:
    """Whether the filter passes some of the records and not all."""
    node = parse(where)
    return 0 < sum(matches(node, values) for values in metadata) < len(metadata)


@st.composite
def filter_cases(draw: st.DrawFn, operators: frozenset[str]) -> FilterCase:
    """Records with values of every type, and a filter whose operands are values of theirs or near to them."""
    rows, fields = draw(_COLLECTIONS)
    where: Where = {}
    for _ in range(_ATTEMPTS):
        where = strategies.resolved(draw(_filters(operators)), fields)
        if is_telling(rows, where):
            break
    return FilterCase(rows, where)


@st.composite
def law_cases(draw: st.DrawFn, operators: frozenset[str]) -> LawCase:
    """Records, and two ways to write one condition that the operators allow."""
    rows, fields = draw(_COLLECTIONS)
    laws = [(name, law) for name, needed, law in LAWS if needed <= operators]
    name, law = draw(st.sampled_from(laws))
    left: Where = {}
    right: Where = {}
    for _ in range(_ATTEMPTS):
        sides = law(draw, _filters(operators), draw(st.sampled_from(_FIELDS)))
        left, right = (strategies.resolved(side, fields) for side in sides)
        if is_telling(rows, left):
            break
    return LawCase(rows, name, left, right)


Fields = dict[str, tuple[str, strategies.Pool]]
Law = Callable[[st.DrawFn, st.SearchStrategy[Where], str], tuple[Where, Where]]

_FIELDS = ("x", "y")
_VALUE = st.sampled_from(strategies.UNKNOWN.values)
_SCALAR = st.sampled_from(strategies.UNKNOWN.scalars)
_ROWS = st.one_of(
    [
        st.lists(strategies.metadata(dict.fromkeys(_FIELDS, theme)), min_size=4, max_size=len(IDS))
        for theme in strategies.THEMES
    ]
)


@st.composite
def _collections(draw: st.DrawFn) -> tuple[list[dict[str, Any]], Fields]:
    """Return the metadata of some records and, for each field, its true name and the values worth asking for."""
    names = {"x": "x", "y": draw(st.sampled_from(strategies.ODD_FIELDS))}
    rows = [{names[field]: value for field, value in row.items()} for row in draw(_ROWS)]
    fields: Fields = {}
    for field, name in names.items():
        near = list(itertools.chain.from_iterable(strategies.neighbours(row[name]) for row in rows if name in row))
        fields[field] = name, strategies.Pool.of([*near, draw(st.sampled_from(strategies.VALUES))])
    return rows, fields


_COLLECTIONS = _collections()


@functools.cache
def _filters(operators: frozenset[str]) -> st.SearchStrategy[Where]:
    return strategies.filters(operators, dict.fromkeys(_FIELDS, strategies.UNKNOWN))


def _de_morgan(outer: str, inner_operator: str) -> Law:
    def law(draw: st.DrawFn, inner: st.SearchStrategy[Where], _field: str) -> tuple[Where, Where]:
        parts = draw(st.lists(inner, min_size=1, max_size=3))
        return {"$not": {outer: parts}}, {inner_operator: [{"$not": part} for part in parts]}

    return law


def _double_negation(draw: st.DrawFn, inner: st.SearchStrategy[Where], _field: str) -> tuple[Where, Where]:
    part = draw(inner)
    return {"$not": {"$not": part}}, part


def _choice(operator: str, single: str, junction: str) -> Law:
    def law(draw: st.DrawFn, _inner: st.SearchStrategy[Where], field: str) -> tuple[Where, Where]:
        chosen = draw(st.lists(_SCALAR, min_size=1, max_size=4))
        return {field: {operator: chosen}}, {junction: [{field: {single: value}} for value in chosen]}

    return law


def _complement(operator: str, positive: str) -> Law:
    def law(draw: st.DrawFn, _inner: st.SearchStrategy[Where], field: str) -> tuple[Where, Where]:
        operand: Any = draw(st.lists(_SCALAR, max_size=3) if operator == "$nin" else _VALUE)
        return {field: {operator: operand}}, {"$not": {field: {positive: operand}}}

    return law


def _at_least(operator: str, strict: str) -> Law:
    def law(draw: st.DrawFn, _inner: st.SearchStrategy[Where], field: str) -> tuple[Where, Where]:
        value = draw(_SCALAR)
        return {field: {operator: value}}, {"$or": [{field: {strict: value}}, {field: value}]}

    return law


def _order_of_parts(draw: st.DrawFn, inner: st.SearchStrategy[Where], _field: str) -> tuple[Where, Where]:
    parts = draw(st.lists(inner, min_size=2, max_size=3))
    return {"$and": parts}, {"$and": parts[::-1]}


def _one_choice(draw: st.DrawFn, _inner: st.SearchStrategy[Where], field: str) -> tuple[Where, Where]:
    value = draw(_SCALAR)
    return {field: {"$in": [value]}}, {field: value}


def _both_fields(draw: st.DrawFn, inner: st.SearchStrategy[Where], field: str) -> tuple[Where, Where]:
    rest = {name: test for name, test in draw(inner).items() if name != field}
    value = draw(_VALUE)
    return {field: value, **rest}, {**rest, field: value}


LAWS: list[tuple[str, frozenset[str], Law]] = [
    ("several members mean and, in any order", frozenset(), _both_fields),
    ("the order of $and does not matter", frozenset({"$and"}), _order_of_parts),
    ("$in of one value is $eq", frozenset({"$in"}), _one_choice),
    ("$in is a choice of $eq", frozenset({"$in", "$or"}), _choice("$in", "$eq", "$or")),
    ("$nin is every $ne", frozenset({"$nin", "$ne", "$and"}), _choice("$nin", "$ne", "$and")),
    ("$not of $not is nothing", frozenset({"$not"}), _double_negation),
    ("not all is some not", frozenset({"$not", "$and", "$or"}), _de_morgan("$and", "$or")),
    ("not any is all not", frozenset({"$not", "$and", "$or"}), _de_morgan("$or", "$and")),
    ("$ne is $not $eq", frozenset({"$ne", "$not"}), _complement("$ne", "$eq")),
    ("$nin is $not $in", frozenset({"$nin", "$in", "$not"}), _complement("$nin", "$in")),
    ("$gte is $gt or $eq", frozenset({"$gte", "$gt", "$or"}), _at_least("$gte", "$gt")),
    ("$lte is $lt or $eq", frozenset({"$lte", "$lt", "$or"}), _at_least("$lte", "$lt")),
]

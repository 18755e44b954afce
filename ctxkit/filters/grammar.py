"""From the mapping a user writes to a small tree that backends compile.

Grammar, `field` being any key that does not start with `$`:

    where      {} | {member, ...}                       several members mean and; {} matches everything
    member     field: value                             the same as {"$eq": value}
             | field: {operator: operand, ...}          several operators mean and
             | "$and": [where, ...] | "$or": [where, ...]     non-empty lists
             | "$not": where
    operator   $eq $ne             a scalar or a non-empty list of scalars of one type
               $gt $gte $lt $lte   a scalar
               $in $nin            a list of scalars, empty allowed
               $exists             True or False
               $contains           a scalar
               $not                {operator: operand, ...}

`$ne`, `$nin` and `$not` are exact complements, so the tree holds them as Not around their positive form.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from ctxkit.errors import InvalidFilterError, UnsupportedError
from ctxkit.records import MetadataScalar

Operator: TypeAlias = Literal["$eq", "$gt", "$gte", "$lt", "$lte", "$in", "$exists", "$contains"]
Operand: TypeAlias = MetadataScalar | tuple[MetadataScalar, ...]

OPERATORS = frozenset(
    {
        "$and",
        "$contains",
        "$eq",
        "$exists",
        "$gt",
        "$gte",
        "$in",
        "$lt",
        "$lte",
        "$ne",
        "$nin",
        "$not",
        "$or",
    }
)
_MAX_DEPTH = 64
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Compare:
    """One positive test of one field. `$in` and list-valued `$eq` hold a tuple."""

    field: str
    operator: Operator
    operand: Operand


@dataclass(frozen=True, slots=True)
class And:
    """All of these; an empty And matches everything."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of these; an empty Or matches nothing."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The exact complement."""

    part: Filter


Filter: TypeAlias = Compare | And | Or | Not


@runtime_checkable
class SupportsWhere(Protocol):
    """What the builder's conditions offer: their mapping form."""

    def to_where(self) -> dict[str, Any]:
        """Return the filter as a mapping."""


Where: TypeAlias = Mapping[str, Any] | SupportsWhere


def parse(where: Where | None) -> Filter:
    """Turn a filter into its tree; None and {} give an empty And, which matches everything.

    Raises InvalidFilterError naming the place for unknown operators, operands of the wrong shape and empty
    `$and`/`$or`.
    """
    if where is None:
        return And(())
    return _where(where, "where", 0)


def check_operators(where: Where | None, supported: Collection[str], *, backend: str) -> None:
    """Raise UnsupportedError when the filter uses an operator that a backend does not declare."""
    if where is None:
        return
    for operator in _operators(_mapping_of(where)):
        if operator in OPERATORS and operator not in supported:
            msg = f"the filter operator {operator} is not supported."
            raise UnsupportedError(msg, fix=f"use {', '.join(sorted(supported))}.", backend=backend)


def _operators(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if isinstance(key, str) and key.startswith("$"):
                yield key
            elif not isinstance(value, Mapping):
                yield "$eq"
            yield from _operators(value)
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from _operators(item)


def _mapping_of(where: object) -> object:
    """Return a condition as its mapping; what is one already is told first, because it costs a fiftieth of the time."""
    return where.to_where() if not isinstance(where, Mapping) and isinstance(where, SupportsWhere) else where


def _where(node: object, place: str, depth: int) -> Filter:
    node = _mapping_of(node)
    if not isinstance(node, Mapping):
        raise _error(place, f"expected a mapping, found {_kind(node)}", "write {field: value}")
    if depth > _MAX_DEPTH:
        raise _error(place, f"nested deeper than {_MAX_DEPTH}", "flatten the filter")
    parts: list[Filter] = []
    for key, value in node.items():
        at = f"{place}[{key!r}]"
        if not isinstance(key, str):
            raise _error(at, f"a key is {_kind(key)}", "field names and operators are str")
        if key in ("$and", "$or"):
            parts.append(_junction(key, value, at, depth))
        elif key == "$not":
            parts.append(Not(_where(value, at, depth + 1)))
        elif key.startswith("$"):
            raise _error(at, "not an operator here", "use $and, $or, $not, or {field: {operator: operand}}")
        else:
            parts.append(_field(key, value, at, depth))
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _junction(key: str, value: object, at: str, depth: int) -> Filter:
    if not isinstance(value, (list, tuple)) or not value:
        raise _error(at, f"expected a non-empty list of filters, found {_kind(value)}", f"write {{{key!r}: [...]}}")
    parts = tuple(_where(item, f"{at}[{index}]", depth + 1) for index, item in enumerate(value))
    return And(parts) if key == "$and" else Or(parts)


def _field(field: str, value: object, at: str, depth: int) -> Filter:
    if not isinstance(value, Mapping):
        return Compare(field, "$eq", _equal_operand(value, at))
    if depth > _MAX_DEPTH:
        raise _error(at, f"nested deeper than {_MAX_DEPTH}", "flatten the filter")
    if not value:
        raise _error(at, "an empty mapping", "give an operator, for example {'$exists': True}")
    parts = [_operation(field, key, operand, f"{at}[{key!r}]", depth) for key, operand in value.items()]
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _operation(field: str, key: object, operand: object, at: str, depth: int) -> Filter:
    if key == "$eq":
        return Compare(field, "$eq", _equal_operand(operand, at))
    if key == "$ne":
        return Not(Compare(field, "$eq", _equal_operand(operand, at)))
    if key in ("$gt", "$gte", "$lt", "$lte", "$contains"):
        return Compare(field, key, _scalar(operand, at))
    if key in ("$in", "$nin"):
        if not isinstance(operand, (list, tuple)):
            raise _error(at, f"expected a list, found {_kind(operand)}", "write [value, ...]")
        inside = Compare(field, "$in", tuple(_scalar(item, at) for item in operand))
        return inside if key == "$in" else Not(inside)
    if key == "$exists":
        if not isinstance(operand, bool):
            raise _error(at, f"expected True or False, found {_kind(operand)}", "write {'$exists': True}")
        exists = Compare(field, "$exists", operand=True)
        return exists if operand else Not(exists)
    if key == "$not":
        if not isinstance(operand, Mapping) or not operand:
            raise _error(at, f"expected a mapping of operators, found {_kind(operand)}", "write {'$not': {'$gt': 1}}")
        return Not(_field(field, operand, at, depth + 1))
    known = ", ".join(sorted(OPERATORS - {"$and", "$or"}))
    raise _error(at, "unknown operator", f"use one of {known}")


def _equal_operand(value: object, at: str) -> Operand:
    if not isinstance(value, (list, tuple)):
        return _scalar(value, at)
    items = tuple(_scalar(item, at) for item in value)
    if len({type(item) for item in items}) != 1:
        raise _error(at, "a list that is empty or of mixed types", "stored lists hold one type; use $in for a choice")
    return items


def _scalar(value: object, at: str) -> MetadataScalar:
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, (str, bool, int, float)):
        raise _error(at, f"expected str, bool, int or float, found {_kind(value)}", "use $exists to test absence")
    if isinstance(value, float) and not math.isfinite(value):
        raise _error(at, f"found {value}", "use a finite number")
    if isinstance(value, int) and int(value) not in _INT64:
        raise _error(at, "an int of more than 64 bits", "use a number between -2**63 and 2**63 - 1")
    return value


def _kind(value: object) -> str:
    return "None" if value is None else f"{type(value).__name__} {value!r:.40}"


def _error(place: str, problem: str, fix: str) -> InvalidFilterError:
    return InvalidFilterError(f"{place}: {problem}.", fix=f"{fix}.")

"""What of a filter Chroma can be asked for.

The result is a filter of Chroma's that every matching record passes, and perhaps others: whoever uses it compares
what came with the reference evaluator. Only positive tests are handed down. Chroma merges metadata, so a record can
still have a key of its past, which may add a match but must not hide one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from ctxkit.filters import And, Compare, Filter, Not
from ctxkit.records import MetadataScalar
from ctxkit_chroma import codec

_MOST_VALUES: Final = 1000  # of one $in: each is a variable of an SQL statement
_LARGEST: Final = 1e308  # a little beyond nothing is a number
_LOOSE: Final = {"$gt": "$gte", "$lt": "$lte"}


@dataclass(frozen=True, slots=True)
class Pushed:
    """`where` for Chroma, None for no restriction; `nothing` when no record can match."""

    where: dict[str, Any] | None = None
    nothing: bool = False


ALL: Final = Pushed()
NOTHING: Final = Pushed(nothing=True)


def pushed(node: Filter) -> Pushed:
    """Return what Chroma can be asked for."""
    if isinstance(node, Not):
        return ALL
    if isinstance(node, Compare):
        return _compare(node)
    parts = [pushed(part) for part in node.parts]
    return _both(parts) if isinstance(node, And) else _either(parts)


def _both(parts: list[Pushed]) -> Pushed:
    if any(part.nothing for part in parts):
        return NOTHING
    return _joined("$and", [part.where for part in parts if part.where is not None])


def _either(parts: list[Pushed]) -> Pushed:
    possible = [part for part in parts if not part.nothing]
    if not possible:
        return NOTHING
    wheres = [part.where for part in possible if part.where is not None]
    return _joined("$or", wheres) if len(wheres) == len(possible) else ALL


def _joined(operator: str, wheres: list[dict[str, Any]]) -> Pushed:
    if not wheres:
        return ALL
    return Pushed(wheres[0] if len(wheres) == 1 else {operator: wheres})


def _compare(test: Compare) -> Pushed:
    # Lists lie in Chroma since 1.5 alone, and a server does not tell its version.
    operands = test.operand if isinstance(test.operand, tuple) else (test.operand,)
    too_large = any(_is_number(each) and abs(each) > _LARGEST for each in operands)
    if too_large or not codec.is_native(test.field) or test.operator in {"$exists", "$contains"}:
        return ALL
    if test.operator == "$in":
        return _choice(test.field, operands)
    if isinstance(test.operand, tuple):
        return ALL
    if test.operator == "$eq":
        return _equal(test.field, test.operand)
    return _ordered(test.field, test.operator, test.operand)


def _ordered(field: str, operator: str, operand: MetadataScalar) -> Pushed:
    if not _is_number(operand):
        return ALL
    operator, bound = _bound(operator, operand)
    return Pushed({field: {operator: bound}})


def _bound(operator: str, operand: float) -> tuple[str, float]:
    """Return a comparison that Chroma makes and that nothing fails which passes the given one.

    Chroma cuts a bound's fraction off before it compares an int with it: to Chroma 1 is not less than 1.5.
    """
    if codec.is_exact(operand):
        return operator, codec.number(operand)
    below, above = codec.between(operand)
    loose = _LOOSE.get(operator, operator)
    return loose, below if loose == "$gte" else above


def _equal(field: str, operand: MetadataScalar) -> Pushed:
    if not _is_number(operand) or codec.is_exact(operand) or codec.has_few_digits(operand):
        return Pushed({field: {"$eq": operand}})
    made = codec.number(operand)
    if isinstance(made, int):
        return Pushed({field: {"$eq": made}})
    below, above = codec.between(made)
    return Pushed({"$and": [{field: {"$gte": below}}, {field: {"$lte": above}}]})


def _choice(field: str, operands: tuple[MetadataScalar, ...]) -> Pushed:
    """Return one $in for each type, because Chroma takes no list of several, and a range for each inexact number."""
    if not operands:
        return NOTHING
    if len(operands) > _MOST_VALUES:
        return ALL
    by_type: dict[type, list[MetadataScalar]] = {}
    parts = []
    for operand in operands:
        test = _equal(field, operand)
        made = (test.where or {}).get(field, {}).get("$eq")
        if made is None:
            parts.append(test)
        else:
            by_type.setdefault(type(made), []).append(made)
    return _either([*(Pushed({field: {"$in": values}}) for values in by_type.values()), *parts])


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

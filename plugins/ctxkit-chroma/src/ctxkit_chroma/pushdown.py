"""What of a filter Chroma can be asked for.

The result is a filter of Chroma's that every matching record passes, and perhaps others: whoever uses it compares
what came with the reference evaluator. Only positive tests are handed down. Chroma merges metadata, so a record can
still have a key of its past, which may add a match but must not hide one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from ctxkit.filters import And, Compare, Filter, Not
from ctxkit.records import MetadataScalar
from ctxkit_chroma import codec

_MOST_VALUES: Final = 1000  # of one $in: each is a variable of an SQL statement
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
    if not codec.is_native(test.field) or test.operator in {"$exists", "$contains"}:
        return ALL
    operand = test.operand
    if test.operator == "$in":
        return _choice(test.field, operand if isinstance(operand, tuple) else (operand,))
    if isinstance(operand, tuple):
        return ALL
    if test.operator == "$eq":
        return Pushed({test.field: {"$eq": _operand(operand)}})
    if not _is_number(operand):
        return ALL
    operator, bound = _bound(test.operator, operand)
    return Pushed({test.field: {operator: bound}})


def _bound(operator: str, operand: float) -> tuple[str, float]:
    """Return a comparison that Chroma makes and that nothing fails which passes the given one.

    Chroma cuts a bound's fraction off before it compares an int with it: to Chroma 1 is not less than 1.5.
    """
    if codec.is_rounded(operand) or operand != math.floor(operand):
        operator = _LOOSE.get(operator, operator)
    return operator, codec.number(operand)


def _choice(field: str, operands: tuple[MetadataScalar, ...]) -> Pushed:
    """Return one $in for each type, because Chroma takes no list of several."""
    if not operands:
        return NOTHING
    if len(operands) > _MOST_VALUES:
        return ALL
    by_type: dict[type, list[MetadataScalar]] = {}
    for operand in operands:
        made = _operand(operand)
        by_type.setdefault(type(made), []).append(made)
    return _either([Pushed({field: {"$in": values}}) for values in by_type.values()])


def _operand(value: MetadataScalar) -> MetadataScalar:
    return codec.number(value) if _is_number(value) else value


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

"""From a filter to SQL with the meaning of the reference evaluator; every value and field's name is a parameter.

A test of a field that a record lacks is unknown to SQL, and so are `AND` and `OR` of it where nothing else decides;
`IS NOT TRUE` is then the exact complement, so that no part needs a default, which would keep an index from its use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from ctxkit.errors import UnsupportedError
from ctxkit.filters import And, Compare, Filter, Not, Or
from ctxkit.records import FieldType
from ctxkit_pgvector.codec import as_json, number, written
from ctxkit_pgvector.faults import BACKEND

SHORT: Final = 200  # characters of a string that are indexed: an entry of an index has room for 2704 bytes
_MOST_VALUES: Final = 65_000  # of the filter; PostgreSQL's protocol counts 65 535, and other parts have some
_SIGNS: Final = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_NUMBERS: Final = frozenset({"int", "float", "number"})


@dataclass(frozen=True, slots=True)
class Condition:
    """A piece of SQL and the values of its parameters."""

    sql: str
    values: tuple[Any, ...] = ()

    def __bool__(self) -> bool:
        """Whether it leaves anything out."""
        return self.sql != "TRUE"

    @property
    def prepared(self) -> bool | None:
        """Whether its statement may keep a plan: how many records pass depends on the values, and so does the best."""
        return False if self.values else None

    @property
    def where(self) -> str:
        """The condition after another one."""
        return f" AND {self.sql}" if self else ""


@dataclass(frozen=True, slots=True)
class Column:
    """The generated column of a declared field."""

    name: str
    kind: FieldType


def condition(node: Filter, columns: Mapping[str, Column]) -> Condition:
    """Return the condition that a record has to meet; `columns` are those of the declared fields.

    Raises UnsupportedError where it has more values than a statement of PostgreSQL.
    """
    found = _condition(node, columns)
    if len(found.values) > _MOST_VALUES:
        raise UnsupportedError(
            f"the filter has {len(found.values)} values, and a statement of PostgreSQL at most {_MOST_VALUES}.",
            fix="write {field: {'$in': [...]}} instead of many parts of an '$or', or ask in several calls.",
            backend=BACKEND,
        )
    return found


def _condition(node: Filter, columns: Mapping[str, Column]) -> Condition:
    if isinstance(node, And):
        return _joined([_condition(part, columns) for part in node.parts], " AND ", "TRUE")
    if isinstance(node, Or):
        return _joined([_condition(part, columns) for part in node.parts], " OR ", "FALSE")
    if isinstance(node, Not):
        part = _condition(node.part, columns)
        return Condition(f"({part.sql}) IS NOT TRUE", part.values)
    column = columns.get(node.field)
    declared = None if column is None else _of_column(node, column)
    return declared or _of_metadata(node)


def _joined(parts: Sequence[Condition], word: str, nothing: str) -> Condition:
    if not parts:
        return Condition(nothing)
    return Condition(
        f"({word.join(part.sql for part in parts)})", tuple(value for part in parts for value in part.values)
    )


def _of_column(test: Compare, column: Column) -> Condition | None:
    """Return the test of a declared field by its column, None where that says nothing or not everything."""
    name, operator = column.name, test.operator
    operand: Any = test.operand
    if operator == "$exists":
        return Condition(f"{name} IS NOT NULL")
    if column.kind == "list":
        return Condition(f"{name} @> %s::jsonb", (as_json([operand]),)) if operator == "$contains" else None
    if operator == "$in":
        fitting = [_indexed(item, column) for item in operand]
        if None in fitting:
            return None
        return Condition(f"{name} = ANY(%s::{_type(column)}[])", (fitting,))
    value = _indexed(operand, column)
    if value is None or operator == "$contains":
        return None
    return Condition(f"{name} {_SIGNS.get(operator, '=')} %s::{_type(column)}", (value,))


def _indexed(value: Any, column: Column) -> str | bool | Decimal | None:
    """Return an operand as the column holds such values, None where the column cannot decide."""
    if isinstance(value, bool):
        return value if column.kind == "bool" else None
    if isinstance(value, (int, float)):
        return number(value) if column.kind in _NUMBERS else None
    if isinstance(value, str) and column.kind == "str" and len(stored := written(value)) < SHORT:
        # What is shorter than what is indexed is decided by what is indexed.
        return stored
    return None


def _type(column: Column) -> str:
    return {"bool": "boolean", "str": "text"}.get(column.kind, "numeric")


def _of_metadata(test: Compare) -> Condition:
    """Return the test of a field by the metadata themselves."""
    field, operand = written(test.field), test.operand
    if test.operator == "$exists":
        return Condition("jsonb_exists(metadata, %s)", (field,))
    if test.operator == "$eq":
        return Condition("metadata -> %s = %s::jsonb", (field, as_json(operand)))
    if test.operator == "$in":
        items = [as_json(item) for item in operand] if isinstance(operand, tuple) else []
        return Condition("metadata -> %s = ANY(%s::text[]::jsonb[])", (field, items))
    if test.operator == "$contains":
        return Condition(
            "CASE jsonb_typeof(metadata -> %s) WHEN 'array' THEN metadata -> %s @> %s::jsonb END",
            (field, field, as_json([operand])),
        )
    kind, value, given, type_ = _typed(operand)
    return Condition(
        f"CASE jsonb_typeof(metadata -> %s) WHEN '{kind}' THEN ({value}) {_SIGNS[test.operator]} %s::{type_} END",
        (field, field, given),
    )


def _typed(operand: Any) -> tuple[str, str, Any, str]:
    """Return the type that jsonb calls a value's, how to read such a one, the value to compare it with, its type."""
    if isinstance(operand, bool):
        return "boolean", "(metadata -> %s)::boolean", operand, "boolean"
    if isinstance(operand, str):
        return "string", '(metadata ->> %s) COLLATE "C"', written(operand), "text"
    return "number", "(metadata -> %s)::numeric", number(operand), "numeric"

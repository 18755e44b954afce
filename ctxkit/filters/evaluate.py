"""The reference evaluator: what a filter means, for one record's metadata."""

from __future__ import annotations

from collections.abc import Mapping

from ctxkit.filters.grammar import And, Compare, Filter, Not, Operand, Or
from ctxkit.records import MetadataValue


def matches(node: Filter, metadata: Mapping[str, MetadataValue]) -> bool:
    """Whether a record with this metadata passes the filter.

    int and float compare as numbers, exactly. Every other comparison across types is false: True is not 1, a
    scalar never equals a list. Strings compare by code point. A missing field fails every positive test.
    """
    if isinstance(node, And):
        return all(matches(part, metadata) for part in node.parts)
    if isinstance(node, Or):
        return any(matches(part, metadata) for part in node.parts)
    if isinstance(node, Not):
        return not matches(node.part, metadata)
    return node.field in metadata and compare_value(metadata[node.field], node)


def same_value(left: object, right: object) -> bool:
    """Equality of the grammar: by kind (bool, number, str, list), numbers exactly, lists item by item."""
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(same_value, left, right))
    return _kind(left) == _kind(right) and left == right


def compare_value(value: MetadataValue, test: Compare) -> bool:
    """Whether one present value passes one test."""
    operator, operand = test.operator, test.operand
    if operator == "$exists":
        return True
    if operator == "$eq":
        return same_value(value, operand)
    if operator == "$in":
        return isinstance(operand, tuple) and any(same_value(value, item) for item in operand)
    if operator == "$contains":
        return isinstance(value, list) and any(same_value(item, operand) for item in value)
    return _ordered(value, operator, operand)


def _ordered(value: MetadataValue, operator: str, operand: Operand) -> bool:
    if _kind(value) != _kind(operand) or isinstance(value, list) or isinstance(operand, tuple):
        return False
    # Of one kind, as just checked: Python compares int with float exactly and str by code point.
    if operator == "$gt":
        return value > operand  # type: ignore[operator]
    if operator == "$gte":
        return value >= operand  # type: ignore[operator]
    if operator == "$lt":
        return value < operand  # type: ignore[operator]
    return value <= operand  # type: ignore[operator]


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return "list" if isinstance(value, (list, tuple)) else type(value).__name__

"""The filter grammar: one mapping syntax, one typed builder, one meaning.

A filter is a mapping such as `{"year": {"$gte": 2020}, "tag": "news"}` or the same written with the builder,
`(F("year") >= 2020) & (F("tag") == "news")`. `parse` turns either into a small tree; `matches` is the reference
evaluator that every backend must agree with.
"""

from __future__ import annotations

from ctxkit.filters.builder import Condition, F
from ctxkit.filters.evaluate import compare_value, matches, same_value
from ctxkit.filters.grammar import (
    OPERATORS,
    And,
    Compare,
    Filter,
    Not,
    Or,
    Where,
    check_operators,
    parse,
)

__all__ = [
    "OPERATORS",
    "And",
    "Compare",
    "Condition",
    "F",
    "Filter",
    "Not",
    "Or",
    "Where",
    "check_operators",
    "compare_value",
    "matches",
    "parse",
    "same_value",
]

"""A typed way to write filters: `F("year") >= 2020`, joined with `&`, `|` and `~`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ctxkit.records import MetadataScalar


class Condition:
    """A filter under construction; give it to any `where` argument.

    `&` means and, `|` or, `~` not. A condition has no truth value: writing `and` between two would drop one of
    them without a word, so that raises TypeError.
    """

    __slots__ = ("_where",)

    def __init__(self, where: dict[str, Any]) -> None:
        self._where = where

    def to_where(self) -> dict[str, Any]:
        """Return the filter as a mapping."""
        return self._where

    def __and__(self, other: Condition) -> Condition:
        return Condition({"$and": [self._where, other.to_where()]})

    def __or__(self, other: Condition) -> Condition:
        return Condition({"$or": [self._where, other.to_where()]})

    def __invert__(self) -> Condition:
        return Condition({"$not": self._where})

    def __bool__(self) -> bool:
        msg = "a filter condition has no truth value; join conditions with & | ~ instead of and, or, not."
        raise TypeError(msg)

    def __repr__(self) -> str:
        return f"Condition({self._where!r})"


class F:
    """A metadata field to compare: `F("year") >= 2020`, `F("tag").is_in(["a", "b"])`, `F("tags").contains("x")`."""

    __slots__ = ("_name",)
    __hash__ = None  # type: ignore[assignment]  # == builds a condition, so a hash would be a trap

    def __init__(self, name: str) -> None:
        self._name = name

    def __eq__(self, value: object) -> Condition:  # type: ignore[override]  # the builder's point
        return self._is("$eq", value)

    def __ne__(self, value: object) -> Condition:  # type: ignore[override]
        return self._is("$ne", value)

    def __gt__(self, value: MetadataScalar) -> Condition:
        return self._is("$gt", value)

    def __ge__(self, value: MetadataScalar) -> Condition:
        return self._is("$gte", value)

    def __lt__(self, value: MetadataScalar) -> Condition:
        return self._is("$lt", value)

    def __le__(self, value: MetadataScalar) -> Condition:
        return self._is("$lte", value)

    def is_in(self, values: Sequence[MetadataScalar]) -> Condition:
        """The field equals one of these; an empty sequence matches nothing."""
        return self._is("$in", list(values))

    def not_in(self, values: Sequence[MetadataScalar]) -> Condition:
        """The field equals none of these, or is missing."""
        return self._is("$nin", list(values))

    def contains(self, value: MetadataScalar) -> Condition:
        """The field is a list that has this member."""
        return self._is("$contains", value)

    def exists(self, present: bool = True) -> Condition:  # noqa: FBT001, FBT002 - reads as F("x").exists()
        """The record has the field (or, with False, lacks it)."""
        return self._is("$exists", present)

    def _is(self, operator: str, operand: object) -> Condition:
        return Condition({self._name: {operator: operand}})

    def __repr__(self) -> str:
        return f"F({self._name!r})"

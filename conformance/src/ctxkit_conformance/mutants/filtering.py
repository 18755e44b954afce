"""Filters that mean something else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from typing_extensions import override

from ctxkit.defaults.exact import ExactStore
from ctxkit.filters import Where
from ctxkit.records import Record
from ctxkit_conformance.mutants.bases import Translating

_NUMBERS: Final = {"$gt", "$gte", "$lt", "$lte"}


class NotEqualNeedsTheField(Translating):
    """`$ne` hides the records that lack the field, as <> on NULL does in SQL."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        right = super().condition(field, operator, operand)
        return {"$and": [right, {field: {"$exists": True}}]} if operator == "$ne" else right


class NotInNeedsTheField(Translating):
    """`$nin` hides the records that lack the field."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        right = super().condition(field, operator, operand)
        return {"$and": [right, {field: {"$exists": True}}]} if operator == "$nin" else right


class NotMeansEachNot(Translating):
    """`$not` of two conditions is taken for neither of them."""

    @override
    def negated(self, where: dict[str, Any]) -> dict[str, Any]:
        if list(where) == ["$and"]:
            return {"$and": [self.negated(part) for part in where["$and"]]}
        return super().negated(where)


class NotIsLost(Translating):
    """`$not` is dropped, and the filter means its opposite."""

    @override
    def negated(self, where: dict[str, Any]) -> dict[str, Any]:
        return where


class InNothingIsEverything(Translating):
    """`$in` with an empty list matches every record."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        return {} if operator == "$in" and not operand else super().condition(field, operator, operand)


class NotInNothingIsNothing(Translating):
    """`$nin` with an empty list matches no record."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        nothing = operator == "$nin" and not operand
        return {field: {"$in": []}} if nothing else super().condition(field, operator, operand)


class TrueIsOne(Translating):
    """A filter for True finds 1 and 1.0 too."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        if operator == "$eq" and isinstance(operand, bool):
            return {field: {"$in": [operand, int(operand)]}}
        return super().condition(field, operator, operand)


class OneIsTrue(Translating):
    """A filter for 1 finds True too."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        if operator == "$eq" and not isinstance(operand, bool) and operand in (0, 1):
            return {field: {"$in": [operand, bool(operand)]}}
        return super().condition(field, operator, operand)


class IntsAreNoFloats(ExactStore):
    """A filter for 1 does not find 1.0."""

    @override
    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        asked = {field: test for field, test in where.items() if type(test) is int} if isinstance(where, dict) else {}
        for record in super().scan(where, **options):
            if not any(isinstance(record.metadata[field], float) for field in asked):
                yield record


class StringsAreNumbers(Translating):
    """A filter for "1" finds 1 too, as a column of another type converts it."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        if operator == "$eq" and isinstance(operand, str) and operand.isdecimal():
            return {field: {"$in": [operand, int(operand)]}}
        return super().condition(field, operator, operand)


class StringsAreGreater(Translating):
    """`$gt` with a number finds every string too, as SQLite orders types."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        right = super().condition(field, operator, operand)
        if operator in ("$gt", "$gte") and not isinstance(operand, str):
            return {"$or": [right, {field: {"$gte": ""}}]}
        return right


class CaseIsIgnored(Translating):
    """A filter for "a" finds "A" too, as under the default collation of many databases."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        if operator == "$eq" and isinstance(operand, str):
            return {field: {"$in": [operand, operand.lower(), operand.upper()]}}
        return super().condition(field, operator, operand)


class TrailingSpaceIsIgnored(Translating):
    """A filter for "a" finds "a " too, as SQL compares padded strings."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        if operator == "$eq" and isinstance(operand, str):
            return {field: {"$in": [operand, operand + " "]}}
        return super().condition(field, operator, operand)


class StringsOrderedAsUtf16(Translating):
    """Comparisons of strings put letters beyond U+FFFF before some of those below."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        right = super().condition(field, operator, operand)
        if operator in ("$gt", "$gte") and isinstance(operand, str) and operand > "\ud7ff":
            return {"$and": [right, {field: {"$lt": "\U00010000"}}]}
        return right


class NumbersAreDoubles(Translating):
    """2**53 + 1 is not greater than 2**53, because ints are compared as doubles."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        if operator in ("$gt", "$gte") and type(operand) is int and 2**53 <= operand < 2**60:
            operand = int(float(operand)) + (int(math.ulp(float(operand))) // 2 if operator == "$gt" else 0)
        return super().condition(field, operator, operand)


class AtLeastIsMore(Translating):
    """`$gte` leaves out what is equal."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        return super().condition(field, "$gt" if operator == "$gte" else operator, operand)


class AtMostIsLess(Translating):
    """`$lte` leaves out what is equal."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        return super().condition(field, "$lt" if operator == "$lte" else operator, operand)


class FalseIsNoBound(Translating):
    """A comparison of order with False finds what is greater than 0."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        widened = operator in _NUMBERS and isinstance(operand, bool)
        return super().condition(field, operator, int(operand) if widened else operand)


class TheLastOperatorWins(Translating):
    """Of several operators on one field the last one counts: ranges have one end."""

    @override
    def members(self, parts: list[dict[str, Any]]) -> dict[str, Any]:
        fields = {field for part in parts for field in part}
        return parts[-1] if len(parts) > 1 and len(fields) == 1 else super().members(parts)


class SeveralFieldsMeanOr(Translating):
    """A filter with two fields finds what passes either."""

    @override
    def members(self, parts: list[dict[str, Any]]) -> dict[str, Any]:
        fields = {field for part in parts for field in part}
        return {"$or": parts} if len(parts) > 1 and len(fields) > 1 else super().members(parts)


class ExistsIsAlwaysTrue(Translating):
    """`$exists: False` is taken for `$exists: True`."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        return super().condition(field, operator, operand=True if operator == "$exists" else operand)


class ContainsIsSubstring(Translating):
    """`$contains` finds strings that hold the letters, beside lists that have the member."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        right = super().condition(field, operator, operand)
        if operator != "$contains" or not isinstance(operand, str):
            return right
        found = [record.metadata.get(field) for record in ExactStore.scan(self)]
        return {"$or": [right, {field: {"$in": [each for each in found if isinstance(each, str) and operand in each]}}]}


class ContainsFindsScalars(Translating):
    """`$contains: 1` finds the record whose field is 1 and no list."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        right = super().condition(field, operator, operand)
        return {"$or": [right, {field: operand}]} if operator == "$contains" else right


class EqualLooksIntoLists(Translating):
    """A filter for 1 finds the list [1, 2], as MongoDB does."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        right = super().condition(field, operator, operand)
        look = operator == "$eq" and not isinstance(operand, list)
        return {"$or": [right, {field: {"$contains": operand}}]} if look else right


class ListsAreBags(Translating):
    """A filter for [1, 2] finds [2, 1] and [1, 2, 3] too."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        if operator == "$eq" and isinstance(operand, list):
            return {"$and": [{field: {"$contains": item}} for item in operand]}
        return super().condition(field, operator, operand)


class DotsArePaths(Translating):
    """A field named `a.b` cannot be filtered by: the engine looks for b inside a."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        return super().condition(field.partition(".")[0], operator, operand)


FILTERING: dict[type, str] = {
    NotEqualNeedsTheField: "missing_field_matches_negations",
    NotInNeedsTheField: "missing_field_matches_negations",
    NotMeansEachNot: "filters_mean_what_the_reference_says",
    NotIsLost: "filters_mean_what_the_reference_says",
    InNothingIsEverything: "missing_field_matches_negations",
    NotInNothingIsNothing: "missing_field_matches_negations",
    TrueIsOne: "filters_mean_what_the_reference_says",
    OneIsTrue: "filters_mean_what_the_reference_says",
    IntsAreNoFloats: "filters_mean_what_the_reference_says",
    StringsAreNumbers: "filters_mean_what_the_reference_says",
    StringsAreGreater: "filters_mean_what_the_reference_says",
    CaseIsIgnored: "filters_mean_what_the_reference_says",
    TrailingSpaceIsIgnored: "filters_mean_what_the_reference_says",
    StringsOrderedAsUtf16: "filters_mean_what_the_reference_says",
    NumbersAreDoubles: "filters_mean_what_the_reference_says",
    AtLeastIsMore: "filters_mean_what_the_reference_says",
    AtMostIsLess: "filters_mean_what_the_reference_says",
    FalseIsNoBound: "filters_mean_what_the_reference_says",
    TheLastOperatorWins: "filters_mean_what_the_reference_says",
    SeveralFieldsMeanOr: "filters_mean_what_the_reference_says",
    ExistsIsAlwaysTrue: "filters_mean_what_the_reference_says",
    ContainsIsSubstring: "filters_mean_what_the_reference_says",
    ContainsFindsScalars: "filters_mean_what_the_reference_says",
    EqualLooksIntoLists: "filters_mean_what_the_reference_says",
    ListsAreBags: "filters_mean_what_the_reference_says",
    DotsArePaths: "every_key_is_the_callers",
}

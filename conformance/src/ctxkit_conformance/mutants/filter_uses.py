"""Filters that are not checked, not understood everywhere, or answered from before the last write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy.typing as npt
from typing_extensions import override

from ctxkit.defaults.exact import ExactStore
from ctxkit.errors import InvalidFilterError
from ctxkit.filters import OPERATORS, Where, parse
from ctxkit.records import Hits
from ctxkit_conformance.mutants.bases import Mutated, Translating, Written


class UnknownOperatorsAreIgnored(Translating):
    """A mistyped operator matches everything."""

    @override
    def accepted(self, where: Where | None) -> Where | None:
        if not isinstance(where, Mapping):
            return where
        return {
            k: v for k, v in where.items() if not _has_unknown(k) and not (isinstance(v, dict) and _has_unknown(*v))
        }


class EmptyJunctionsAreAccepted(Translating):
    """An `$and` or `$or` of nothing matches everything."""

    @override
    def accepted(self, where: Where | None) -> Where | None:
        if not isinstance(where, Mapping):
            return where
        return {key: value for key, value in where.items() if key not in ("$and", "$or") or value}


class NoneIsAccepted(Translating):
    """A filter for None is taken for "lacks the field"."""

    @override
    def accepted(self, where: Where | None) -> Where | None:
        if not isinstance(where, Mapping):
            return where
        return {key: {"$exists": False} if value is None else value for key, value in where.items()}


class MalformedFiltersMatchNothing(Translating):
    """A filter that cannot be read finds nothing, without an error."""

    @override
    def accepted(self, where: Where | None) -> Where | None:
        try:
            parse(where)
        except InvalidFilterError:
            return {"x": {"$in": []}}
        return where


class BuilderIsIgnored(Translating):
    """A filter that was written with F("x") is taken for none."""

    @override
    def accepted(self, where: Where | None) -> Where | None:
        return where if isinstance(where, Mapping) else None


class QueryIgnoresTheBuilder(ExactStore):
    """`query` understands mappings only and takes a filter written with F("x") for none."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, *, where: Where | None = None, **options: Any) -> list[Hits]:
        known = where if isinstance(where, Mapping) else None
        parse(where)
        return super().query(vectors, k, where=known, **options)


class CountIgnoresTheFilter(ExactStore):
    """`count` returns the size of the collection, whatever the filter."""

    @override
    def count(self, where: Where | None = None) -> int:
        parse(where)
        return super().count()


class CountsAreCached(Mutated):
    """`count` with a filter answers from before the last write."""

    @override
    def count(self, where: Where | None = None) -> int:
        counted = super().count(where)
        return counted if where is None else int(self.notes.setdefault("counts", {}).setdefault(repr(where), counted))


class UnknownFieldsRaise(Mutated):
    """A filter on a field that no record has yet raises KeyError."""

    leaks: ClassVar[tuple[type[Exception], ...]] = (KeyError,)

    @override
    def upsert(self, records: Written) -> None:
        super().upsert(records)
        self.notes.setdefault("fields", set()).update(*(record.metadata for record in records))

    @override
    def count(self, where: Where | None = None) -> int:
        counted = super().count(where)
        for field in where if isinstance(where, Mapping) else ():
            if not field.startswith("$") and field not in self.notes.get("fields", ()):
                raise KeyError(f"No such column: {field}")
        return counted


class SixtyFourFields(Mutated):
    """Filters work for the first sixty-four fields; others match nothing."""

    @override
    def count(self, where: Where | None = None) -> int:
        counted = super().count(where)
        known: list[str] = self.notes.setdefault("fields", [])
        for field in where if isinstance(where, Mapping) else ():
            known += [field] if field not in known and not field.startswith("$") else []
            if field in known[64:]:
                return 0
        return counted


def _has_unknown(*keys: object) -> bool:
    return any(isinstance(key, str) and key.startswith("$") and key not in OPERATORS for key in keys)


FILTER_USES: dict[type, str] = {
    UnknownOperatorsAreIgnored: "malformed_filters_are_refused",
    EmptyJunctionsAreAccepted: "malformed_filters_are_refused",
    NoneIsAccepted: "malformed_filters_are_refused",
    MalformedFiltersMatchNothing: "malformed_filters_are_refused",
    BuilderIsIgnored: "builder_is_accepted",
    QueryIgnoresTheBuilder: "builder_is_accepted",
    CountIgnoresTheFilter: "filters_mean_what_the_reference_says",
    CountsAreCached: "filters_follow_writes",
    UnknownFieldsRaise: "filters_follow_writes",
    SixtyFourFields: "many_fields",
}

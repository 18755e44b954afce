"""Ordered scans that come in another order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar

from typing_extensions import override

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.filters import Where
from ctxkit.interfaces import Capabilities
from ctxkit.records import Record
from ctxkit_conformance.mutants.bases import Reading


class Ordering(Reading):
    """Sorts an ordered scan by a rule of its own: `arranged`."""

    @override
    def scan(
        self,
        where: Where | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        **options: Any,
    ) -> Iterator[Record]:
        found = ExactStore.scan(self, where, order_by=order_by, descending=descending, limit=limit, **options)
        if order_by is None:
            return found
        every = list(ExactStore.scan(self, where, **options))
        return islice(self.arranged(every, order_by, descending=descending), limit)

    def arranged(self, records: list[Record], field: str, *, descending: bool) -> Iterator[Record]:
        """Return the records in the order in which they are given out."""
        raise NotImplementedError

    @override
    def shown(self, record: Record) -> Record:
        return record


class StringsFirst(Ordering):
    """An ordered scan puts strings before numbers."""

    @override
    def arranged(self, records: list[Record], field: str, *, descending: bool) -> Iterator[Record]:
        return _by_kind(records, field, descending=descending, kinds=(str, int))


class MissingFirst(Ordering):
    """A descending scan begins with the records that lack the field, as NULLs sort in SQL."""

    @override
    def arranged(self, records: list[Record], field: str, *, descending: bool) -> Iterator[Record]:
        found = list(_by_kind(records, field, descending=descending, kinds=(int, str)))
        without = [record for record in found if field not in record.metadata]
        return iter(without + [record for record in found if field in record.metadata] if descending else found)


class MissingAreLeftOut(Ordering):
    """An ordered scan leaves out the records that lack the field."""

    @override
    def arranged(self, records: list[Record], field: str, *, descending: bool) -> Iterator[Record]:
        with_field = [record for record in records if field in record.metadata]
        return _by_kind(with_field, field, descending=descending, kinds=(int, str))


class DescendingIsIgnored(Ordering):
    """`descending` is accepted and changes nothing."""

    @override
    def arranged(self, records: list[Record], field: str, *, descending: bool) -> Iterator[Record]:
        return _by_kind(records, field, descending=descending and False, kinds=(int, str))


class TiesTurnRoundToo(Ordering):
    """A descending scan turns equal values round as well, so pages of two directions do not agree."""

    @override
    def arranged(self, records: list[Record], field: str, *, descending: bool) -> Iterator[Record]:
        found = list(_by_kind(records, field, descending=False, kinds=(int, str)))
        if not descending:
            return iter(found)
        with_field = [record for record in found if field in record.metadata]
        return iter(with_field[::-1] + [record for record in found if field not in record.metadata])


class TiesStandAsWritten(Ordering):
    """An ordered scan leaves equal values in the order in which they were written."""

    @override
    def arranged(self, records: list[Record], field: str, *, descending: bool) -> Iterator[Record]:
        return _by_kind(records, field, descending=descending, kinds=(int, str), by_id=False)


class NumbersAsText(Ordering):
    """An ordered scan puts 10 before 9."""

    @override
    def arranged(self, records: list[Record], field: str, *, descending: bool) -> Iterator[Record]:
        with_field = sorted((r for r in records if field in r.metadata), key=lambda r: r.id)
        with_field.sort(key=lambda r: str(r.metadata[field]), reverse=descending)
        return iter(with_field + sorted((r for r in records if field not in r.metadata), key=lambda r: r.id))


class NumbersAsDoubles(Ordering):
    """An ordered scan takes 2**60 + 1 and 2**60 for equal."""

    @override
    def arranged(self, records: list[Record], field: str, *, descending: bool) -> Iterator[Record]:
        rounded = {
            r.id: replace(r, metadata={k: float(v) if type(v) is int else v for k, v in r.metadata.items()})
            for r in records
        }
        order = _by_kind(list(rounded.values()), field, descending=descending, kinds=(int, str))
        known = {record.id: record for record in records}
        return (known[record.id] for record in order)


class SortsWhatWasTaken(ExactStore):
    """An ordered scan with a limit takes any records and sorts those: "the newest ten" are any ten."""

    @override
    def scan(
        self, where: Where | None = None, *, order_by: str | None = None, limit: int | None = None, **options: Any
    ) -> Iterator[Record]:
        every = super().scan(where, order_by=order_by, **options)
        taken = {record.id for record in super().scan(where, limit=limit)}
        return (record for record in every if record.id in taken)


class UnorderedConfig(ExactConfig):
    """The configuration of a store that declares no ordered scan."""

    @override
    def capabilities(self) -> Capabilities:
        return super().capabilities().model_copy(update={"ordered_scan": False})


class OrderIsIgnored(ExactStore):
    """No ordered scan is declared, and one that is asked for comes in any order instead of being refused."""

    config_class: ClassVar[type[ExactConfig]] = UnorderedConfig

    @override
    def scan(self, where: Where | None = None, *, order_by: str | None = None, **options: Any) -> Iterator[Record]:
        super().scan(where, order_by=order_by, **options)  # what is malformed stays refused
        return super().scan(where, **options)


def _by_kind(
    records: list[Record], field: str, *, descending: bool, kinds: tuple[type, type], by_id: bool = True
) -> Iterator[Record]:
    """Sort by the field: one kind of value, then the other, then records without it."""
    ordered = sorted(records, key=lambda record: record.id) if by_id else records
    groups: dict[type, list[Record]] = {int: [], str: []}
    for record in ordered:
        if field in record.metadata:
            groups[str if isinstance(record.metadata[field], str) else int].append(record)
    for kind in kinds[::-1] if descending else kinds:
        yield from sorted(groups[kind], key=lambda record: record.metadata[field], reverse=descending)
    without = [record for record in records if field not in record.metadata]
    yield from sorted(without, key=lambda record: record.id)


ORDERING: dict[type, str] = {
    StringsFirst: "scan_order",
    MissingFirst: "scan_order",
    MissingAreLeftOut: "scan_order",
    DescendingIsIgnored: "scan_order",
    TiesTurnRoundToo: "scan_order",
    TiesStandAsWritten: "scan_order",
    NumbersAsText: "scan_order_of_plain_numbers",
    NumbersAsDoubles: "scan_order",
    SortsWhatWasTaken: "scan_order",
    OrderIsIgnored: "scan_order",
}

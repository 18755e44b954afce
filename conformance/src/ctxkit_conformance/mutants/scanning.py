"""Scans that repeat or miss records, or come in another order than asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar, Final

from typing_extensions import override

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import StoreLockedError
from ctxkit.filters import Where
from ctxkit.interfaces import Capabilities
from ctxkit.records import Record
from ctxkit_conformance.mutants.bases import Mutated, Reading, Written

_PAGE: Final = 256


class PagesOverlap(ExactStore):
    """A scan gives the last record of each page again as the first of the next."""

    @override
    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        for place, record in enumerate(super().scan(where, **options)):
            yield record
            if place % _PAGE == _PAGE - 1:
                yield record


class PagesHaveGaps(ExactStore):
    """A scan leaves out the first record of each page but the first."""

    @override
    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        for place, record in enumerate(super().scan(where, **options)):
            if not place or place % _PAGE:
                yield record


class ScanEndsAtAThousand(ExactStore):
    """A scan ends after a thousand records, the server's default limit."""

    @override
    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        return islice(super().scan(where, **options), 1000)


class PagesByOffset(ExactStore):
    """A scan counts its pages by offset, so a write meanwhile moves records across their borders."""

    @override
    def scan(
        self, where: Where | None = None, *, order_by: str | None = None, limit: int | None = None, **options: Any
    ) -> Iterator[Record]:
        super().scan(where, order_by=order_by, limit=limit, **options)  # what is refused stays refused
        return self._paged(where, order_by, limit, **options)

    def _paged(self, where: Where | None, order_by: str | None, limit: int | None, **options: Any) -> Iterator[Record]:
        given = 0
        while limit is None or given < limit:
            end = given + _PAGE if limit is None else min(given + _PAGE, limit)
            page = list(islice(super().scan(where, order_by=order_by, **options), given, end))
            yield from page
            given += len(page)
            if not page:
                return


class ScanHoldsALock(Mutated):
    """While a scan is going on, nothing can be written."""

    @override
    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        found = super().scan(where, **options)
        self.notes["scanning"] = True
        try:
            yield from found
        finally:
            self.notes["scanning"] = False

    @override
    def upsert(self, records: Written) -> None:
        self._wait()
        super().upsert(records)

    @override
    def delete(self, ids: Sequence[str] | None = None, **options: Any) -> int:
        self._wait()
        return super().delete(ids, **options)

    def _wait(self) -> None:
        if self.notes.get("scanning"):
            raise StoreLockedError("database is locked.", fix="finish the scan first.", backend=self.backend)


class DeletedMeanwhileRaise(ExactStore):
    """A record that is deleted while a scan is going on breaks the scan with KeyError."""

    leaks: ClassVar[tuple[type[Exception], ...]] = (KeyError,)

    @override
    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        planned = [record.id for record in super().scan(where, **{**options, "include_vectors": False})]
        return self._each(planned, include_vectors=options.get("include_vectors", False))

    def _each(self, planned: list[str], *, include_vectors: bool) -> Iterator[Record]:
        for start in range(0, len(planned), _PAGE):
            for name, record in zip(
                planned[start : start + _PAGE],
                self.get(planned[start : start + _PAGE], include_vectors=include_vectors),
                strict=True,
            ):
                if record is None:
                    raise KeyError(name)
                yield record


class LimitIsIgnored(ExactStore):
    """`limit` is accepted and changes nothing."""

    @override
    def scan(self, where: Where | None = None, *, limit: int | None = None, **options: Any) -> Iterator[Record]:
        super().scan(where, limit=limit, **options)  # what is refused stays refused
        return super().scan(where, **options)


class LimitIsOneShort(ExactStore):
    """A scan with a limit gives one record less."""

    @override
    def scan(self, where: Where | None = None, *, limit: int | None = None, **options: Any) -> Iterator[Record]:
        return super().scan(where, limit=limit - 1 if limit else limit, **options)


class NoneAtAllIsAll(ExactStore):
    """`limit=0` is taken for no limit."""

    @override
    def scan(self, where: Where | None = None, *, limit: int | None = None, **options: Any) -> Iterator[Record]:
        return super().scan(where, limit=limit or None, **options)


class LimitBeforeTheFilter(ExactStore):
    """The first records are taken and filtered then, so a limited scan finds too few."""

    @override
    def scan(self, where: Where | None = None, *, limit: int | None = None, **options: Any) -> Iterator[Record]:
        found = super().scan(where, **options)
        first = {record.id for record in super().scan(limit=limit)}
        return found if limit is None else (record for record in found if record.id in first)


class AnyLimitIsTaken(ExactStore):
    """A negative limit is taken for none."""

    @override
    def scan(self, where: Where | None = None, *, limit: int | None = None, **options: Any) -> Iterator[Record]:
        return super().scan(where, limit=None if limit is not None and limit < 0 else limit, **options)


class ScanNeverReadsVectors(ExactStore):
    """`include_vectors` is ignored by `scan`: an export has no vectors."""

    @override
    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        return super().scan(where, **{**options, "include_vectors": False})


class ScanAlwaysReadsVectors(ExactStore):
    """A scan brings all vectors along though nobody asked for them."""

    @override
    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        return super().scan(where, **{**options, "include_vectors": True})


class ScanLeavesTextsOut(ExactStore):
    """An export has no texts."""

    @override
    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        return (replace(record, text="") for record in super().scan(where, **options))


class ScanWalksTheIndex(ExactStore):
    """A scan leaves out the records without a vector."""

    @override
    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        with_vector = {record.id for record in super().scan(include_vectors=True) if record.vector is not None}
        return (record for record in super().scan(where, **options) if record.id in with_vector)


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


SCANNING: dict[type, str] = {
    PagesOverlap: "scan_is_complete",
    PagesHaveGaps: "scan_is_complete",
    ScanEndsAtAThousand: "scan_is_complete",
    PagesByOffset: "scan_under_concurrent_writes",
    ScanHoldsALock: "scan_under_concurrent_writes",
    DeletedMeanwhileRaise: "scan_under_concurrent_writes",
    LimitIsIgnored: "scan_is_complete",
    LimitIsOneShort: "scan_is_complete",
    NoneAtAllIsAll: "scan_is_complete",
    LimitBeforeTheFilter: "scan_is_complete",
    AnyLimitIsTaken: "bad_scans_are_refused",
    ScanNeverReadsVectors: "scan_is_complete",
    ScanAlwaysReadsVectors: "scan_is_complete",
    ScanLeavesTextsOut: "scan_is_complete",
    ScanWalksTheIndex: "records_without_vectors",
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

"""Scans that repeat or miss records, or show something else than is stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar, Final

import numpy as np
from typing_extensions import override

from ctxkit.defaults.exact import ExactStore
from ctxkit.errors import StoreLockedError
from ctxkit.filters import Where
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


class ExportsRoundVectors(Reading):
    """An export has vectors with three digits, while what is searched has them all."""

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        return ExactStore.get(self, ids, **options)

    @override
    def shown(self, record: Record) -> Record:
        if record.vector is None:
            return record
        with np.errstate(over="ignore"):
            return replace(record, vector=np.asarray(record.vector, dtype=np.float16).astype(np.float32))


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
    ExportsRoundVectors: "every_way_of_reading_agrees",
}

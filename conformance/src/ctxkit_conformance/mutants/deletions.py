"""Deletions of too much or too little, and wrong counts of what is gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
from typing_extensions import override

from ctxkit.defaults.exact import ExactStore
from ctxkit.filters import Where
from ctxkit.records import Hits, Record
from ctxkit_conformance.mutants.bases import (
    Mutated,
    Written,
    as_hit,
    sound,
)


class OneIdIsAList(ExactStore):
    """`delete("abc")` deletes the records a, b and c."""

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        return super().get(list(ids), **options)

    @override
    def delete(self, ids: Sequence[str] | None = None, **options: Any) -> int:
        return super().delete(None if ids is None else list(ids), **options)


class CountsWhatWasAsked(ExactStore):
    """`delete` returns how many ids it was given, not how many existed."""

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        deleted = super().delete(ids, where=where)
        return deleted if ids is None or where is not None else len(ids)


class DeleteReturnsNothing(ExactStore):
    """`delete` returns 0 whatever it did."""

    @override
    def delete(self, ids: Sequence[str] | None = None, **options: Any) -> int:
        return 0 * super().delete(ids, **options)


class DeleteIsAUnion(ExactStore):
    """`delete` with ids and a filter deletes what is in either."""

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        if ids is None or where is None:
            return super().delete(ids, where=where)
        return super().delete(ids) + super().delete(where=where)


class DeleteIgnoresTheFilter(ExactStore):
    """`delete` with ids and a filter looks at the ids alone."""

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        return super().delete(ids, where=where if ids is None else None)


class NoIdsMeansAll(ExactStore):
    """`delete([], where=...)` takes the empty list for no list and deletes all that pass."""

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        return super().delete(ids if ids or where is None else None, where=where)


class DeletingNothingEmpties(ExactStore):
    """`delete([])` empties the collection."""

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        every = [record.id for record in self.scan()] if ids == [] and where is None else ids
        return super().delete(every, where=where)


class AnEmptyFilterEmpties(ExactStore):
    """`delete(where={})` empties the collection."""

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        return super().delete([record.id for record in self.scan()] if where == {} else ids, where=where or None)


class DeletesOnePage(ExactStore):
    """`delete` by a filter ends after a thousand records."""

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        if ids is not None or where is None:
            return super().delete(ids, where=where)
        super().delete([], where=where)  # what is refused stays refused
        return super().delete([record.id for record in self.scan(where, limit=1000)])


class DeletedIdsStayDeleted(Mutated):
    """A record that was deleted and written again stays invisible."""

    @override
    def upsert(self, records: Written) -> None:
        gone = self.notes.setdefault("gone", set())
        super().upsert([record for record in sound(self, records) if record.id not in gone])

    @override
    def delete(self, ids: Sequence[str] | None = None, **options: Any) -> int:
        self.notes.setdefault("gone", set()).update(ids if isinstance(ids, list) else [])
        return super().delete(ids, **options)


class TheLastRecordStays(Mutated):
    """The last record of a collection is deleted from the table and is still found by its vector."""

    @override
    def delete(self, ids: Sequence[str] | None = None, **options: Any) -> int:
        last = list(self.scan(include_vectors=True)) if self.count() == 1 else []
        deleted = super().delete(ids, **options)
        self.notes["left"] = last if deleted else []
        return deleted

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        found = super().query(vectors, k, **options)
        left = [as_hit(record, 0.0) for record in self.notes.get("left", []) if not self.count()]
        return [Hits([*hits, *left]) for hits in found]


DELETIONS: dict[type, str] = {
    OneIdIsAList: "bad_reads_and_deletes_are_refused",
    CountsWhatWasAsked: "delete_by_ids_by_filter_and_by_both",
    DeleteReturnsNothing: "delete_by_ids_by_filter_and_by_both",
    DeleteIsAUnion: "delete_by_ids_by_filter_and_by_both",
    DeleteIgnoresTheFilter: "delete_by_ids_by_filter_and_by_both",
    NoIdsMeansAll: "delete_by_ids_by_filter_and_by_both",
    DeletingNothingEmpties: "empty_batches_do_nothing",
    AnEmptyFilterEmpties: "bad_reads_and_deletes_are_refused",
    DeletesOnePage: "delete_many",
    DeletedIdsStayDeleted: "delete_by_ids_by_filter_and_by_both",
    TheLastRecordStays: "an_emptied_store_works_again",
}

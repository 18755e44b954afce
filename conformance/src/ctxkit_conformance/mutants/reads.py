"""Reads by id that are not what was asked for, and what is shared with the caller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from ctxkit.defaults.exact import ExactStore
from ctxkit.records import Hits, Record, RecordBatch
from ctxkit_conformance.mutants.bases import (
    Lenient,
    Reading,
    Written,
    sound,
)


class GetLeavesOutTheMissing(ExactStore):
    """`get` gives a shorter list when an id is unknown, so the rest is paired with other ids."""

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        return [record for record in super().get(ids, **options) if record is not None]


class GetGivesEachOnce(ExactStore):
    """An id that is asked for twice comes back once."""

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        return super().get(list(dict.fromkeys(ids)) if isinstance(ids, list) else ids, **options)


class GetSorts(ExactStore):
    """`get` answers in the order of the table, not of the question."""

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        return super().get(sorted(ids) if isinstance(ids, list) else ids, **options)


class GetEndsAtAThousand(ExactStore):
    """`get` reads a page of a thousand records and calls the others missing."""

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        found = super().get(ids, **options)
        return [*found[:1000], *[None] * len(found[1000:])]


class GetRaisesForTheMissing(ExactStore):
    """`get` of an unknown id raises KeyError."""

    leaks: ClassVar[tuple[type[Exception], ...]] = (KeyError,)

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        found = super().get(ids, **options)
        if None in found:
            raise KeyError(ids[found.index(None)])
        return found


class GetAlwaysReadsVectors(ExactStore):
    """`get` brings the vectors along though nobody asked for them."""

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        return super().get(ids, **{**options, "include_vectors": True})


class GetNeverReadsVectors(ExactStore):
    """`get` ignores that vectors were asked for."""

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        return super().get(ids, **{**options, "include_vectors": False})


class ScalesInPlace(ExactStore):
    """The caller's own array is scaled to length 1 when it is written."""

    @override
    def upsert(self, records: Written) -> None:
        rows = sound(self, records)
        super().upsert(rows)
        if isinstance(records, RecordBatch) and isinstance(records.vectors, np.ndarray):
            _scale(records.vectors)


class ScalesQueriesInPlace(ExactStore):
    """The caller's own array is scaled to length 1 when it is asked for."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        found = super().query(vectors, k, **options)
        if isinstance(vectors, np.ndarray):
            _scale(vectors)
        return found


class SortsTheCallersIds(ExactStore):
    """The caller's own list of ids is sorted by `get`."""

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        found = super().get(ids, **options)
        if isinstance(ids, list):
            ids.sort()
        return found


class MarksTheCallersMetadata(Lenient):
    """The caller's own metadata gets a field in which the backend keeps the text."""

    @override
    def mended(self, record: Record) -> Record:
        kept = replace(record, metadata=dict(record.metadata))
        if isinstance(record.metadata, dict):
            record.metadata["_text"] = record.text
        return kept


class KeepsTheCallersMetadata(Reading):
    """A list in metadata that the caller changes later changes the stored record."""

    @override
    def upsert(self, records: Written) -> None:
        super().upsert(records)
        self.notes.setdefault("given", {}).update({record.id: record.metadata for record in records})

    @override
    def shown(self, record: Record) -> Record:
        return replace(record, metadata=self.notes["given"][record.id])


class KeepsTheCallersArray(Reading):
    """An array that the caller reuses after writing it changes the stored vectors."""

    @override
    def upsert(self, records: Written) -> None:
        super().upsert(records)
        self.notes.setdefault("given", {}).update({record.id: record.vector for record in records})

    @override
    def shown(self, record: Record) -> Record:
        given = self.notes["given"][record.id]
        return record if record.vector is None else replace(record, vector=np.asarray(given, dtype=np.float32))


class GivesItsOwnAway(Reading):
    """Metadata that a caller changes after reading it is changed for the next reader too."""

    @override
    def upsert(self, records: Written) -> None:
        super().upsert(records)
        self.notes["cache"] = {}

    @override
    def shown(self, record: Record) -> Record:
        metadata = self.notes.setdefault("cache", {}).setdefault(record.id, record.metadata)
        return replace(record, metadata=metadata)


def _scale(array: npt.NDArray[Any]) -> None:
    if array.dtype.kind == "f" and array.flags.writeable and array.ndim == 2:
        array /= np.sqrt((array.astype(np.float64) ** 2).sum(axis=1, keepdims=True)).astype(array.dtype)


READS: dict[type, str] = {
    GetLeavesOutTheMissing: "get_is_aligned",
    GetGivesEachOnce: "get_is_aligned",
    GetSorts: "get_is_aligned",
    GetEndsAtAThousand: "get_many",
    GetRaisesForTheMissing: "get_is_aligned",
    GetAlwaysReadsVectors: "get_is_aligned",
    GetNeverReadsVectors: "values_survive",
    ScalesInPlace: "input_is_never_changed_nor_shared",
    ScalesQueriesInPlace: "input_is_never_changed_nor_shared",
    SortsTheCallersIds: "input_is_never_changed_nor_shared",
    MarksTheCallersMetadata: "input_is_never_changed_nor_shared",
    KeepsTheCallersMetadata: "input_is_never_changed_nor_shared",
    KeepsTheCallersArray: "input_is_never_changed_nor_shared",
    GivesItsOwnAway: "input_is_never_changed_nor_shared",
}

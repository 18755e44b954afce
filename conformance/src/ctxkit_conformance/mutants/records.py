"""Writes that keep too much, too little, or something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy.typing as npt
from typing_extensions import override

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.filters import Where
from ctxkit.interfaces import Capabilities
from ctxkit.records import Hits, Record, RecordBatch
from ctxkit_conformance.mutants.bases import (
    Remembering,
    Searching,
    Writing,
    Written,
    as_hit,
    sound,
)


class MergesMetadata(Writing):
    """A replaced record keeps the metadata of the old one that the new one does not set."""

    @override
    def stored(self, record: Record) -> Record:
        old = self.get([record.id])[0]
        return record if old is None else replace(record, metadata={**old.metadata, **record.metadata})


class KeepsTheOldText(Writing):
    """A record replaced by one with an empty text keeps the old text."""

    @override
    def stored(self, record: Record) -> Record:
        old = self.get([record.id])[0]
        return record if old is None or record.text else replace(record, text=old.text)


class KeepsTheOldVector(Writing):
    """A record replaced by one without a vector is still found by the old vector."""

    @override
    def stored(self, record: Record) -> Record:
        old = self.get([record.id], include_vectors=True)[0]
        return record if old is None or record.vector is not None else replace(record, vector=old.vector)


class InsertsOnly(ExactStore):
    """A record with a known id is taken for written already, and the new version is lost."""

    @override
    def upsert(self, records: Written) -> None:
        rows = sound(self, records)
        known = {record.id for record in self.get([row.id for row in rows]) if record is not None}
        super().upsert([row for row in rows if row.id not in known])


class WritesOneByOne(ExactStore):
    """A batch with a bad record is written up to it."""

    @override
    def upsert(self, records: Written) -> None:
        for record in list(records):
            super().upsert([record])


class SkipsBadRecords(ExactStore):
    """A batch with a bad record is written without it, and only the log knows."""

    @override
    def upsert(self, records: Written) -> None:
        good = []
        for record in list(records):
            try:
                good += sound(self, [record])
            except Exception:  # noqa: BLE001, S112 - that is the defect
                continue
        super().upsert(good)


class LastOfTwinsWins(ExactStore):
    """Of two records with one id in a batch the first is dropped without a word."""

    @override
    def upsert(self, records: Written) -> None:
        super().upsert(records if isinstance(records, RecordBatch) else list({row.id: row for row in records}.values()))


class CutsLargeBatches(ExactStore):
    """Of a batch larger than the server's limit only the first thousand records are written."""

    @override
    def upsert(self, records: Written) -> None:
        super().upsert(sound(self, records)[:1000])


class SmallConfig(ExactConfig):
    """The configuration of a store that takes a hundred records at once."""

    @override
    def capabilities(self) -> Capabilities:
        return super().capabilities().model_copy(update={"max_batch": 100})


class LimitIsNotChecked(ExactStore):
    """A limit of records per batch is declared, and more are taken, sometimes."""

    config_class: ClassVar[type[ExactConfig]] = SmallConfig


class EmptyBatchFails(ExactStore):
    """Writing an empty list raises ValueError."""

    leaks: ClassVar[tuple[type[Exception], ...]] = (ValueError,)

    @override
    def upsert(self, records: Written) -> None:
        if not len(records):
            raise ValueError("Expected a non-empty list")
        super().upsert(records)


class VectorlessRecordsAreLost(ExactStore):
    """A record without a vector is accepted and never seen again."""

    @override
    def upsert(self, records: Written) -> None:
        super().upsert([record for record in sound(self, records) if record.vector is not None])


class VectorlessRecordsAreHits(Searching):
    """Records without a vector fill up the hits of a query, with score 0."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, *, where: Where | None = None, **options: Any) -> list[Hits]:
        answers = super().query(vectors, k, where=where, **options)
        rest = [record for record in self.scan(where, include_vectors=True) if record.vector is None]
        hits = [as_hit(record, 0.0) for record in rest]
        return [Hits([*answer, *hits][:k]) for answer in answers]


class VectorlessRecordsAreNotCounted(ExactStore):
    """`count` is the size of the index, so records without a vector are not in it."""

    @override
    def count(self, where: Where | None = None) -> int:
        return sum(record.vector is not None for record in self.scan(where, include_vectors=True))


class CountsEveryWrite(ExactStore):
    """`count` grows with each replacement, as that of an index which only appends."""

    _written = 0

    @override
    def upsert(self, records: Written) -> None:
        super().upsert(records)
        self._written += len(records)

    @override
    def delete(self, ids: Sequence[str] | None = None, **options: Any) -> int:
        deleted = super().delete(ids, **options)
        self._written -= deleted
        return deleted

    @override
    def count(self, where: Where | None = None) -> int:
        counted = super().count(where)
        return self._written if where is None else counted


class ReplacedVectorsAreGhosts(Remembering):
    """A replaced record is found twice, by its old vector as well."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, *, where: Where | None = None, **options: Any) -> list[Hits]:
        found = super().query(vectors, k, where=where, **options)
        old = self.graves.query(vectors, k, where=where, **options)
        alive = {record.id for record in self.scan()}
        answers = []
        for hits, ghosts in zip(found, old, strict=True):
            named = [replace(ghost, id=self.buried[int(ghost.id)].id) for ghost in ghosts]
            both = [*hits, *(ghost for ghost in named if ghost.id in alive)]
            answers.append(Hits(sorted(both, key=lambda hit: (-hit.score, hit.id))[:k]))
        return answers


class HitsAreStale(Searching):
    """A hit carries the text and metadata that the record had when it was first written."""

    @override
    def upsert(self, records: Written) -> None:
        rows = sound(self, records)
        first = self.notes.setdefault("first", {})
        super().upsert(rows)
        for row in rows:
            first.setdefault(row.id, row)

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        first = self.notes.get("first", {})
        return [
            Hits([replace(hit, text=first[hit.id].text, metadata=first[hit.id].metadata) for hit in hits])
            for hits in super().query(vectors, k, **options)
        ]


RECORDS: dict[type, str] = {
    MergesMetadata: "upsert_replaces_the_whole_record",
    KeepsTheOldText: "upsert_replaces_the_whole_record",
    KeepsTheOldVector: "records_without_vectors",
    InsertsOnly: "upsert_replaces_the_whole_record",
    WritesOneByOne: "one_bad_record_writes_nothing",
    SkipsBadRecords: "one_bad_record_writes_nothing",
    LastOfTwinsWins: "one_bad_record_writes_nothing",
    CutsLargeBatches: "batch_limit",
    LimitIsNotChecked: "batch_limit",
    EmptyBatchFails: "empty_batches_do_nothing",
    VectorlessRecordsAreLost: "records_without_vectors",
    VectorlessRecordsAreHits: "records_without_vectors",
    VectorlessRecordsAreNotCounted: "records_without_vectors",
    CountsEveryWrite: "upsert_replaces_the_whole_record",
    ReplacedVectorsAreGhosts: "a_long_life",
    HitsAreStale: "upsert_replaces_the_whole_record",
}

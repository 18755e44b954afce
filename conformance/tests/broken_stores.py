"""Stores with one fault each, and the suite applied to them; run by test_suite_can_fail.py, not collected by itself.

Each fault is one that a real backend or a plausible adapter has. `KILLED_BY` names the check that has to notice it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
from ctxkit_conformance import VectorStoreContract
from typing_extensions import Self

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import DimensionMismatchError, StoreClosedError
from ctxkit.filters import Where, matches, parse
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec
from ctxkit.records import Hit, Hits, Record, RecordBatch


class _Searching(ExactStore):
    """Base of the faults that show in `query` only."""

    def query(
        self,
        vectors: npt.ArrayLike,
        k: int,
        *,
        where: Where | None = None,
        min_score: float | None = None,
        include_vectors: bool = False,
    ) -> list[Hits]:
        """Search rightly, then answer wrongly."""
        found = super().query(vectors, k, where=where, min_score=min_score, include_vectors=include_vectors)
        return [Hits([self.spoiled(hit) for hit in self.chosen(list(hits))]) for hits in found]

    def chosen(self, hits: list[Hit]) -> list[Hit]:
        """Return the hits to answer with."""
        return hits

    def spoiled(self, hit: Hit) -> Hit:
        """Return one hit as the fault shows it."""
        return hit


class FiltersAfterwards(ExactStore):
    """Takes the k nearest first and filters them then."""

    def query(self, vectors: npt.ArrayLike, k: int, *, where: Where | None = None, **options: Any) -> list[Hits]:
        """Filter what was found."""
        node = parse(where)
        found = super().query(vectors, k, **options)
        return [Hits([hit for hit in hits if matches(node, hit.metadata)]) for hits in found]


class ScoresAreDistances(_Searching):
    """Answers with distances where scores belong: lower is better."""

    def spoiled(self, hit: Hit) -> Hit:
        """Turn the score round."""
        return Hit(hit.id, 1.0 - hit.score, hit.text, hit.metadata, hit.vector, hit.metric)


class SquaredDistances(_Searching):
    """Forgets the square root under l2, as FAISS and hnswlib report it."""

    def spoiled(self, hit: Hit) -> Hit:
        """Square the distance."""
        score = 1 / (1 + (1 / hit.score - 1) ** 2) if hit.metric == "l2" else hit.score
        return Hit(hit.id, score, hit.text, hit.metadata, hit.vector, hit.metric)


class CapsK(_Searching):
    """Never returns more than 100 hits, like a server with a page size."""

    def chosen(self, hits: list[Hit]) -> list[Hit]:
        """Cut the list."""
        return hits[:100]


class TiesInReverse(_Searching):
    """Orders equal scores the wrong way round."""

    def chosen(self, hits: list[Hit]) -> list[Hit]:
        """Sort by score, then by id from the end."""
        return sorted(sorted(hits, key=lambda hit: hit.id, reverse=True), key=lambda hit: -hit.score)


class ExclusiveThreshold(_Searching):
    """Drops hits that reach `min_score` exactly."""

    def query(self, vectors: npt.ArrayLike, k: int, *, min_score: float | None = None, **options: Any) -> list[Hits]:
        """Compare with > instead of >=."""
        found = super().query(vectors, k, min_score=min_score, **options)
        return [Hits([hit for hit in hits if min_score is None or hit.score > min_score]) for hits in found]


class _Writing(ExactStore):
    """Base of the faults that change records on their way in."""

    def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        """Write changed records, where the batch can be read record by record at all."""
        rows = list(records)
        super().upsert([self.changed(row) for row in rows])

    def changed(self, record: Record) -> Record:
        """Return the record as the fault stores it."""
        return record


class MergesRecords(_Writing):
    """Keeps the old metadata's keys when a record is replaced."""

    def changed(self, record: Record) -> Record:
        """Merge with what is stored."""
        old = self.get([record.id])[0]
        kept: Mapping[str, Any] = {} if old is None else old.metadata
        return Record(record.id, record.text, record.vector, {**kept, **record.metadata})


class BoolsAreInts(_Writing):
    """Stores True as 1, like a database without a boolean type."""

    def changed(self, record: Record) -> Record:
        """Retype bools."""
        metadata = {key: int(value) if isinstance(value, bool) else value for key, value in record.metadata.items()}
        return Record(record.id, record.text, record.vector, metadata)


class NormalizesIds(_Writing):
    """Brings ids into a canonical Unicode form, so that two ids become one."""

    def changed(self, record: Record) -> Record:
        """Compose the id's characters."""
        return Record(unicodedata.normalize("NFC", record.id), record.text, record.vector, record.metadata)


class WritesOneByOne(ExactStore):
    """Writes a batch record by record and stops at the first bad one."""

    def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        """Write without a transaction around the batch."""
        for record in list(records):
            super().upsert([record])


class CountsWhatWasAsked(ExactStore):
    """Reports how many ids were given to `delete`, not how many existed."""

    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        """Delete rightly, count wrongly."""
        deleted = super().delete(ids, where=where)
        return deleted if ids is None or where is not None else len(ids)


class NegationNeedsTheField(ExactStore):
    """Takes `$ne` for "has another value", as SQL's <> on NULL does."""

    def count(self, where: Where | None = None) -> int:
        """Count with the narrower meaning."""
        return super().count(_with_fields(where))

    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        """Scan with the narrower meaning."""
        return super().scan(_with_fields(where), **options)


def _with_fields(where: Where | None) -> Where | None:
    if not isinstance(where, dict):
        return where
    negated = [field for field, test in where.items() if isinstance(test, dict) and "$ne" in test]
    return {"$and": [where, *({field: {"$exists": True}} for field in negated)]} if negated else where


class LosesTheLastWrite(ExactStore):
    """Acknowledges every write and loses the newest when it is closed."""

    def close(self) -> None:
        """Take the record that was written last away."""
        try:
            newest = [record.id for record in self.scan(descending=True, limit=1)]
            self.delete(newest)
        except StoreClosedError:
            pass
        super().close()


class StartsAnew(ExactStore):
    """Empties a collection whose dimension is not the one that was asked for."""

    @classmethod
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        """Drop what does not fit."""
        try:
            return super().open(spec, config)
        except DimensionMismatchError:
            cls.drop_collection(config, spec.name)
            return super().open(spec, config)


class ScansInPages(ExactStore):
    """Repeats the last record of a page as the first of the next one."""

    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        """Yield every 256th record twice."""
        for place, record in enumerate(super().scan(where, **options)):
            yield record
            if place % 256 == 255:
                yield record


class AnswersAfterClose(ExactStore):
    """Counts nothing, without an error, once it is closed."""

    def count(self, where: Where | None = None) -> int:
        """Swallow the error."""
        try:
            return super().count(where)
        except StoreClosedError:
            return 0


class HasNoWords(ExactStore):
    """Declares no text search and finds nothing, instead of refusing."""

    @property
    def capabilities(self) -> Capabilities:
        """Declare less."""
        return super().capabilities.model_copy(update={"text_search": None})

    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:  # noqa: ARG002 - that is the fault
        """Ignore the question."""
        return Hits()


class SilentConfig(ExactConfig):
    """The configuration of a store that declares no text search."""

    def capabilities(self) -> Capabilities:
        """Declare less."""
        return super().capabilities().model_copy(update={"text_search": None})


class _InMemory(VectorStoreContract):
    def make_config(self, folder: Path) -> BackendConfig:  # noqa: ARG002 - nothing is kept anywhere
        return ExactConfig()


class _OnDisk(VectorStoreContract):
    def make_config(self, folder: Path) -> BackendConfig:
        return ExactConfig(path=folder)


class _Silent(VectorStoreContract):
    def make_config(self, folder: Path) -> BackendConfig:  # noqa: ARG002 - nothing is kept anywhere
        return SilentConfig()


KILLED_BY: dict[type[ExactStore], str] = {
    FiltersAfterwards: "test_filter_that_excludes_the_near",
    ScoresAreDistances: "test_scores_by_hand",
    SquaredDistances: "test_scores_by_hand",
    CapsK: "test_law_of_k",
    TiesInReverse: "test_ties_across_the_boundary",
    ExclusiveThreshold: "test_min_score_is_inclusive",
    MergesRecords: "test_upsert_replaces_the_whole_record",
    BoolsAreInts: "test_values_survive",
    NormalizesIds: "test_values_survive",
    WritesOneByOne: "test_one_bad_record_writes_nothing",
    CountsWhatWasAsked: "test_delete_by_ids_by_filter_and_by_both",
    NegationNeedsTheField: "test_missing_field_matches_negations",
    LosesTheLastWrite: "test_close_and_reopen",
    StartsAnew: "test_reopen_mismatches",
    ScansInPages: "test_scan_is_complete",
    AnswersAfterClose: "test_closed_store",
    HasNoWords: "test_text_query",
}
_SUITES: dict[type[ExactStore], type[VectorStoreContract]] = {
    HasNoWords: _Silent,
    LosesTheLastWrite: _OnDisk,
    StartsAnew: _OnDisk,
}


def _suite(store_class: type[ExactStore]) -> type[VectorStoreContract]:
    base = _SUITES.get(store_class, _InMemory)
    return type(f"Test{store_class.__name__}", (base,), {"store_class": store_class, "__module__": __name__})


_ALL: list[type[ExactStore]] = [*KILLED_BY, ExactStore]
globals().update({f"Test{store_class.__name__}": _suite(store_class) for store_class in _ALL})

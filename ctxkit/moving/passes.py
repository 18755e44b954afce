"""One pass over a collection: whatever the target lacks or has otherwise is written, what the origin lost is deleted.

A pass needs no position to go on from. It compares each batch with what the target has, so it may begin again after a
kill, may run beside writers of the origin, and brings over in a second round what was written during the first.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

import numpy as np

from ctxkit.errors import StoreCorruptError
from ctxkit.interfaces import CollectionSpec, VectorStore
from ctxkit.memory.vault import fitted, without_filler
from ctxkit.moving.digests import record_digest
from ctxkit.moving.origins import Origin, is_memory
from ctxkit.records import Record

_BATCH: Final = 512
_BATCH_BYTES: Final = 8 << 20
NAMED: Final = 5  # records that a message names
# The phase ("copy", "delete", "verify", "export", "check"), records done, and how many there are.
Progress: TypeAlias = Callable[[str, int, int], object]


class Rule(Protocol):
    """What the target has to hold of a record, and how that is told."""

    def spec(self, source: CollectionSpec) -> CollectionSpec:
        """Return what the target collection has to be."""

    def identity(self, record: Record) -> bytes:
        """Return what is the same for a record and its copy."""

    def made(self, records: Sequence[Record]) -> list[Record]:
        """Return the copies of records that the target lacks."""


class Copying:
    """Everything as it is, each bit of each vector."""

    def spec(self, source: CollectionSpec) -> CollectionSpec:
        """Return the same without the options of the source's own index."""
        return CollectionSpec.model_validate({**source.model_dump(), "index_options": {}})

    def identity(self, record: Record) -> bytes:
        """Return the digest of the whole record."""
        return record_digest(record)

    def made(self, records: Sequence[Record]) -> list[Record]:
        """Return the records themselves."""
        return list(records)


@dataclass
class Sample:
    """The records with the least digests: the same choice on every store and in every run."""

    size: int
    _heap: list[tuple[int, str]] = field(default_factory=list)

    def offer(self, record_id: str, digest: bytes) -> None:
        """Take a record in, and the one with the greatest digest out where there are too many."""
        if not self.size:
            return
        entry = (-int.from_bytes(digest, "big"), record_id)
        if len(self._heap) < self.size:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    @property
    def ids(self) -> list[str]:
        """The chosen records, sorted."""
        return sorted(record_id for _, record_id in self._heap)


@dataclass
class Passed:
    """What a pass did; of what was written, `replaced` took the place of another record."""

    read: int = 0
    written: int = 0
    replaced: int = 0
    deleted: int = 0

    @property
    def changes(self) -> int:
        """How many records were not as they should be."""
        return self.written + self.deleted


def one_pass(
    origin: Origin, target: VectorStore, rule: Rule, sample: Sample, progress: Progress, *, prune: bool
) -> Passed:
    """Make the target hold what the origin holds; with `prune` what the origin does not have is deleted there."""
    done = Passed()
    total = origin.count()
    for batch in batches(origin.records(), target.capabilities.max_batch):
        lacking = []
        for record, copy, same in compared(batch, target, rule, sample):
            if not same:
                lacking.append(record)
                done.replaced += copy is not None
        if lacking:
            target.upsert([fitted(record, target) for record in rule.made(lacking)])
            if not done.written and target.capabilities.consistency == "immediate":
                _check_kept(lacking, target, rule)
        done.read += len(batch)
        done.written += len(lacking)
        progress("copy", done.read, max(total, done.read))
    if prune and target.count() > origin.count():
        done.deleted = _prune(origin, target, progress)
    return done


def compared(
    batch: Sequence[Record], target: VectorStore, rule: Rule, sample: Sample | None = None
) -> Iterator[tuple[Record, Record | None, bool]]:
    """Yield each record of the origin with what the target has of that id, and whether that is its copy."""
    memory = is_memory(target.spec)
    held = target.get([record.id for record in batch], include_vectors=True)
    for record, found in zip(batch, held, strict=True):
        copy = without_filler(found) if memory and found is not None else found
        digest = rule.identity(record)
        if sample is not None:
            sample.offer(record.id, digest)
        yield record, copy, copy is not None and rule.identity(copy) == digest


def _check_kept(written: Sequence[Record], target: VectorStore, rule: Rule) -> None:
    """Find a store that changes what it keeps by the first records, not after hours of writing."""
    wrong = [record.id for record, _, same in compared(written, target, rule) if not same]
    if wrong:
        raise StoreCorruptError(
            f"the target keeps {len(wrong)} of the first {len(written)} records otherwise than they were given"
            f" ({', '.join(map(repr, wrong[:NAMED]))}).",
            fix="choose another target; `ctxkit conformance` examines a store.",
        )


def batches(records: Iterable[Record], most: int | None = None) -> Iterator[list[Record]]:
    """Yield the records in lists of bounded length and size, so that memory is bounded too."""
    limit = min(_BATCH, most or _BATCH)
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += weight(record)
        if len(batch) == limit or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def weight(record: Record) -> int:
    """Return about how many bytes a record takes."""
    values = (each for each in record.metadata.values() if isinstance(each, str | list))
    return len(record.text) + sum(map(len, values)) + np.size(() if record.vector is None else record.vector) * 4


def _prune(origin: Origin, target: VectorStore, progress: Progress) -> int:
    deleted = 0
    seen = 0
    total = target.count()
    for batch in batches(target.scan(), target.capabilities.max_batch):
        gone = origin.gone([record.id for record in batch])
        deleted += target.delete(gone) if gone else 0
        seen += len(batch)
        progress("delete", seen, max(total, seen))
    return deleted

"""Defects that need a sequence of calls to show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import InvalidRecordError, StoreClosedError
from ctxkit.filters import Where
from ctxkit.interfaces import CollectionSpec
from ctxkit.local.config import LocalConfig
from ctxkit.local.handle import Handle
from ctxkit.records import Hit, Hits, Record
from ctxkit_conformance.mutants.bases import Mutated, Written, as_hit, sound


class Indexed(Mutated):
    """Searches an index beside the table: `indexed` and `dropped` tell it of writes; hits are read from the table."""

    def __init__(self, handle: Handle, config: LocalConfig) -> None:
        super().__init__(handle, config)
        spec = CollectionSpec(name="index", dimension=self.spec.dimension, metric=self.spec.metric)
        self.index = ExactStore.open(spec, ExactConfig())
        self.index.upsert(list(ExactStore.scan(self, include_vectors=True)))

    @override
    def upsert(self, records: Written) -> None:
        batch = sound(self, records)
        old = super().get([record.id for record in batch], include_vectors=True)
        super().upsert(records)
        self.indexed(batch, {record.id: record for record in old if record is not None})

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        deleted = super().delete(ids, where=where)
        left = {record.id for record in ExactStore.scan(self)}
        self.dropped([record for record in self.index.scan(include_vectors=True) if record.id not in left])
        return deleted

    @override
    def query(self, vectors: npt.ArrayLike, k: int, *, include_vectors: bool = False, **options: Any) -> list[Hits]:
        super().query(vectors, k, **options)  # what is refused stays refused
        return [
            Hits([self._read(hit, include_vectors=include_vectors) for hit in hits])
            for hits in self.index.query(vectors, k, include_vectors=include_vectors, **options)
        ]

    @override
    def close(self) -> None:
        self.index.close()
        super().close()

    def indexed(self, batch: Sequence[Record], old: Mapping[str, Record]) -> None:
        """Tell the index of new records; `old` are those that they replace."""
        del old
        self.index.upsert(batch)

    def dropped(self, records: Sequence[Record]) -> None:
        """Tell the index of deleted records."""
        self.index.delete([record.id for record in records])

    def _read(self, hit: Hit, *, include_vectors: bool) -> Hit:
        record = ExactStore.get(self, [hit.id], include_vectors=include_vectors)[0]
        if record is None:
            return hit
        vector = None if record.vector is None else np.asarray(record.vector, dtype=np.float32)
        return Hit(hit.id, hit.score, record.text, dict(record.metadata), vector, hit.metric)


class FoundByItsOldVector(Indexed):
    """A corrected record is found where it was, not where it is: the index is not told of replacements."""

    @override
    def indexed(self, batch: Sequence[Record], old: Mapping[str, Record]) -> None:
        kept = []
        for record in batch:
            before = old.get(record.id)
            both = before is not None and before.vector is not None and record.vector is not None
            vector = before.vector if both and before is not None else record.vector
            kept.append(Record(record.id, record.text, vector, record.metadata))
        self.index.upsert(kept)


class HalfOfARefusedBatch(Indexed):
    """A batch is refused, but what came before its bad record is in the index and is found."""

    @override
    def upsert(self, records: Written) -> None:
        try:
            super().upsert(records)
        except InvalidRecordError:
            self.index.upsert(list(self._good(records)))
            raise

    def _good(self, records: Written) -> Iterator[Record]:
        known: set[str] = set()
        for record in list(records):
            try:
                found = sound(self, [record])[0]
            except InvalidRecordError:
                return
            if found.id in known or ExactStore.get(self, [found.id])[0] is not None:
                return
            known.add(found.id)
            yield found


class LostAfterOptimize(Indexed):
    """What is written first after `optimize` is not found: it went into the index that was being replaced."""

    @override
    def optimize(self) -> None:
        super().optimize()
        self.notes["replaced"] = True

    @override
    def indexed(self, batch: Sequence[Record], old: Mapping[str, Record]) -> None:
        if self.notes.pop("replaced", False):
            self.index.delete([record.id for record in batch])
        else:
            super().indexed(batch, old)


class OrderedByOldValues(Indexed):
    """`order_by` puts a replaced record where its old value belongs: "the newest ten" are not."""

    @override
    def indexed(self, batch: Sequence[Record], old: Mapping[str, Record]) -> None:
        known = {record.id: record for record in self.index.scan()}
        fields = {record.id: known.get(record.id, record).metadata for record in batch}
        self.index.upsert([Record(r.id, r.text, r.vector, fields[r.id]) for r in batch])

    @override
    def scan(
        self, where: Where | None = None, *, order_by: str | None = None, limit: int | None = None, **options: Any
    ) -> Iterator[Record]:
        if order_by is None:
            return super().scan(where, limit=limit, **options)
        passing = {record.id: record for record in super().scan(where, order_by=order_by, **options)}
        order = self.index.scan(order_by=order_by, descending=options.get("descending", False))
        return iter([passing[record.id] for record in order if record.id in passing][:limit])

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        return ExactStore.query(self, vectors, k, **options)


class Forgetful(Mutated):
    """Remembers what a filter deleted: `gone`, by id, as long as nothing new is written there."""

    def __init__(self, handle: Handle, config: LocalConfig) -> None:
        super().__init__(handle, config)
        self.gone: dict[str, Record] = {}

    @override
    def upsert(self, records: Written) -> None:
        super().upsert(records)
        for record in list(records):
            self.gone.pop(record.id, None)

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        before = [] if where is None else list(ExactStore.scan(self, where, include_vectors=True))
        deleted = super().delete(ids, where=where)
        left = {record.id for record in ExactStore.scan(self)} if before else set()
        self.gone.update({record.id: record for record in before if record.id not in left})
        return deleted

    def bring_back(self) -> None:
        """Write again what a filter deleted."""
        ExactStore.upsert(self, list(self.gone.values()))


class DeletedByFilterComeBack(Forgetful):
    """What was deleted by a filter is there again after a restart: only deletions by id are in the log."""

    @override
    def close(self) -> None:
        try:
            self.bring_back()
        except StoreClosedError:
            self.gone.clear()
        super().close()


class OptimizeBringsBack(Forgetful):
    """What was deleted by a filter is there again after `optimize`, which merges old segments as they were."""

    @override
    def optimize(self) -> None:
        super().optimize()
        self.bring_back()


class WordsOfWhatAFilterDeleted(Forgetful):
    """A search by words finds what was deleted by a filter: the text index hears of deletions by id only."""

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        found = list(super().text_query(text, k, where=where))
        words = set(text.lower().split())
        ghosts = [as_hit(record, 1e-9) for record in self.gone.values() if words & set(record.text.lower().split())]
        return Hits([*found, *(ghosts if where is None else [])][:k])


class WritesWaitInMemory(Mutated):
    """A write is acknowledged when it is in memory and reaches the disk at `flush` and `close`: a kill loses it."""

    def __init__(self, handle: Handle, config: LocalConfig) -> None:
        super().__init__(handle, config)
        self.cache = ExactStore.open(self.spec, ExactConfig())
        self.cache.upsert(list(ExactStore.scan(self, include_vectors=True)))
        self.waiting: list[Callable[[], object]] = []

    @override
    def upsert(self, records: Written) -> None:
        batch = sound(self, records)
        self.cache.upsert(batch)
        self.waiting.append(lambda: ExactStore.upsert(self, batch))

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        deleted = self.cache.delete(ids, where=where)
        self.waiting.append(lambda: ExactStore.delete(self, ids, where=where))
        return deleted

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        return self.cache.get(ids, **options)

    @override
    def count(self, where: Where | None = None) -> int:
        return self.cache.count(where)

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        return self.cache.query(vectors, k, **options)

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        return self.cache.text_query(text, k, where=where)

    @override
    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        return self.cache.scan(where, **options)

    @override
    def flush(self) -> None:
        self._write()
        super().flush()

    @override
    def close(self) -> None:
        self._write()
        self.cache.close()
        super().close()

    def _write(self) -> None:
        waiting, self.waiting = self.waiting, []
        for write in waiting:
            write()

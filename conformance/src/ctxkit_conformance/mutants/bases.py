"""What mutants of the exact store share: one place each where a record, a filter or an answer is spoiled.

A base changes nothing by itself; a mutant overrides the method that its base names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Self, override

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.filters import Where, parse
from ctxkit.interfaces import BackendConfig, CollectionSpec
from ctxkit.local.config import LocalConfig
from ctxkit.local.handle import Handle
from ctxkit.records import FloatVectors, Hit, Hits, Record, RecordBatch, normalize_batch

Written = Sequence[Record] | RecordBatch
EVERYTHING = 10**6  # more than any check stores


class Mutated(ExactStore):
    """The exact store with a place for what a defect remembers: `notes`."""

    def __init__(self, handle: Handle, config: LocalConfig) -> None:
        super().__init__(handle, config)
        self.notes: dict[str, Any] = {}


class Lenient(Mutated):
    """Repairs records that have to be refused: `mended`."""

    @override
    def upsert(self, records: Written) -> None:
        super().upsert([self.mended(record) for record in records])

    def mended(self, record: Record) -> Record:
        """Return what is checked and written in place of a record."""
        raise NotImplementedError


class Writing(Mutated):
    """Changes sound records on their way in: `stored`."""

    @override
    def upsert(self, records: Written) -> None:
        super().upsert([self.stored(record) for record in sound(self, records)])

    def stored(self, record: Record) -> Record:
        """Return the record as it is kept."""
        raise NotImplementedError


class Reading(Mutated):
    """Changes records on their way out of `get` and `scan`: `shown`."""

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        return [None if record is None else self.shown(record) for record in super().get(ids, **options)]

    @override
    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        return map(self.shown, super().scan(where, **options))

    def shown(self, record: Record) -> Record:
        """Return the record as a caller sees it."""
        raise NotImplementedError


class Naming(Mutated):
    """Stores and looks records up under another id: `key`. Of two records that become one, the later stays."""

    @override
    def upsert(self, records: Written) -> None:
        kept = {self.key(record.id): record for record in sound(self, records)}
        super().upsert([Record(key, record.text, record.vector, record.metadata) for key, record in kept.items()])

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        return super().get([self.key(each) for each in ids], **options)

    @override
    def delete(self, ids: Sequence[str] | None = None, **options: Any) -> int:
        return super().delete(None if ids is None else [self.key(each) for each in ids], **options)

    def key(self, record_id: str) -> str:
        """Return the id that is used for this one."""
        raise NotImplementedError


class Searching(Mutated):
    """Searches rightly and answers wrongly: `answer`, of which each hit is a `spoiled` one."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        return [Hits(self.answer(list(hits))) for hits in super().query(vectors, k, **options)]

    def answer(self, hits: list[Hit]) -> list[Hit]:
        """Return the hits to answer one query with."""
        return [self.spoiled(hit) for hit in hits]

    def spoiled(self, hit: Hit) -> Hit:
        """Return one hit as the defect shows it."""
        return hit


class Scoring(Mutated):
    """Ranks by scores of its own: `scores`."""

    @override
    def query(
        self,
        vectors: npt.ArrayLike,
        k: int,
        *,
        where: Where | None = None,
        min_score: float | None = None,
        include_vectors: bool = False,
    ) -> list[Hits]:
        super().query(vectors, k, where=where, min_score=min_score)  # what is refused stays refused
        everything = super().query(vectors, EVERYTHING, where=where, include_vectors=True)
        queries = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
        answers = []
        for query, hits in zip(queries, everything, strict=False):
            rows = np.array([hit.vector for hit in hits], dtype=np.float32).reshape(len(hits), self.spec.dimension)
            with np.errstate(all="ignore"):
                scores = self.scores(query[None, :], rows).tolist() if len(hits) else []
            order = sorted(range(len(hits)), key=lambda place: (-scores[place], hits[place].id))
            made = [with_score(hits[place], scores[place]) for place in order[:k]]
            kept = [hit for hit in made if min_score is None or hit.score >= min_score]
            answers.append(Hits(kept if include_vectors else [without_vector(hit) for hit in kept]))
        return answers

    def scores(self, query: FloatVectors, rows: FloatVectors) -> npt.NDArray[Any]:
        """Return the scores of float32[n, d] for a query of float32[1, d]."""
        raise NotImplementedError


class Translating(Mutated):
    """Takes filters, mistakes them for others, and uses those everywhere: `condition` and `members`."""

    @override
    def count(self, where: Where | None = None) -> int:
        return super().count(self._translated(where))

    @override
    def query(self, vectors: npt.ArrayLike, k: int, *, where: Where | None = None, **options: Any) -> list[Hits]:
        return super().query(vectors, k, where=self._translated(where), **options)

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        return super().text_query(text, k, where=self._translated(where))

    @override
    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        return super().scan(self._translated(where), **options)

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        return super().delete(ids, where=self._translated(where))

    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        """Return the filter that is used for one operator of one field."""
        return {field: {operator: operand}}

    def members(self, parts: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the filter that is used for several fields or operators side by side."""
        return parts[0] if len(parts) == 1 else {"$and": parts} if parts else {}

    def accepted(self, where: Where | None) -> Where | None:
        """Return what is checked in place of the caller's filter."""
        return where

    def negated(self, where: dict[str, Any]) -> dict[str, Any]:
        """Return the filter that is used for `$not`."""
        return {"$not": where}

    def _translated(self, where: Where | None) -> Where | None:
        where = self.accepted(where)
        parse(where)
        if where is None:
            return None
        return self._walked(where if isinstance(where, Mapping) else where.to_where())

    def _walked(self, where: Mapping[str, Any]) -> dict[str, Any]:
        parts: list[dict[str, Any]] = []
        for key, value in where.items():
            if key in ("$and", "$or"):
                parts.append({key: [self._walked(part) for part in value]})
            elif key == "$not":
                parts.append(self.negated(self._walked(value)))
            else:
                parts.append(self._tests(key, value if isinstance(value, Mapping) else {"$eq": value}))
        return self.members(parts)

    def _tests(self, field: str, tests: Mapping[str, Any]) -> dict[str, Any]:
        return self.members(
            [
                self.negated(self._tests(field, operand))
                if operator == "$not"
                else self.condition(field, operator, operand)
                for operator, operand in tests.items()
            ]
        )


class Remembering(ExactStore):
    """Keeps what was replaced or deleted: `graves`, whose ids are places in `buried`."""

    def __init__(self, handle: Handle, config: LocalConfig) -> None:
        super().__init__(handle, config)
        spec = CollectionSpec(name="graves", dimension=self.spec.dimension, metric=self.spec.metric)
        self.graves = ExactStore.open(spec, ExactConfig())
        self.buried: list[Record] = []

    @override
    def upsert(self, records: Written) -> None:
        replaced = super().get([record.id for record in sound(self, records)], include_vectors=True)
        super().upsert(records)
        self._bury(replaced)

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        victims: list[Record | None] = []
        if where is not None:
            wanted = None if ids is None else set(ids)
            scanned = super().scan(where, include_vectors=True)
            victims = [record for record in scanned if wanted is None or record.id in wanted]
        elif isinstance(ids, list):
            victims = super().get(list(dict.fromkeys(ids)), include_vectors=True)
        deleted = super().delete(ids, where=where)
        self._bury(victims)
        return deleted

    @override
    def close(self) -> None:
        self.graves.close()
        super().close()

    def _bury(self, records: Sequence[Record | None]) -> None:
        fresh = [record for record in records if record is not None]
        first = len(self.buried)
        self.graves.upsert(
            [Record(str(first + i), each.text, each.vector, each.metadata) for i, each in enumerate(fresh)]
        )
        self.buried += fresh


class Restarting(ExactStore):
    """Changes what is stored when a collection is opened again: `restored`."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        opened = super().open(spec, config)
        before = list(ExactStore.scan(opened, include_vectors=True))
        after = {record.id: cls.restored(record) for record in before}
        ExactStore.delete(opened, [name for name, record in after.items() if record is None])
        ExactStore.upsert(opened, [record for record in after.values() if record is not None])
        return opened

    @classmethod
    def restored(cls, record: Record) -> Record | None:
        """Return what a restart makes of a record; None where it is gone."""
        raise NotImplementedError


def sound(store: ExactStore, records: Written) -> list[Record]:
    """Return the records of a batch as the store itself would write them, or raise as it would."""
    ExactStore.count(store)
    spec = store.spec
    return list(normalize_batch(records, dimension=spec.dimension, metric=spec.metric, fields=spec.fields))


def mapped(metadata: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Return metadata with each value changed, and each item of a list."""
    return {
        key: [change(item) for item in value] if isinstance(value, list) else change(value)
        for key, value in metadata.items()
    }


def shortened(value: Any) -> Any:
    """Return a whole float as an int, where that loses no digit."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def as_hit(record: Record, score: float) -> Hit:
    """Return a record as a hit."""
    return Hit(record.id, score, record.text, dict(record.metadata))


def with_score(hit: Hit, score: float) -> Hit:
    """Return the hit with another score."""
    return Hit(hit.id, score, hit.text, hit.metadata, hit.vector, hit.metric)


def without_vector(hit: Hit) -> Hit:
    """Return the hit without its vector."""
    return Hit(hit.id, hit.score, hit.text, hit.metadata, None, hit.metric)

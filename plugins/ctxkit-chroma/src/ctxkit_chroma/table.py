"""What the store asks of an open collection; an embedded one and one on a server answer in different ways."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from ctxkit.errors import InvalidRecordError
from ctxkit.filters import Filter, matches
from ctxkit.interfaces import CollectionSpec
from ctxkit.local.parts import Place, check_same
from ctxkit.records import FloatVectors, RecordBatch, check_metadata
from ctxkit_chroma import naming
from ctxkit_chroma.faults import BACKEND, Scene
from ctxkit_chroma.rows import Row, Rows
from ctxkit_chroma.scoring import Found

ResultT = TypeVar("ResultT")


class Table(ABC):
    """One open collection. Everything but `run` is called inside `run`, by one thread at a time where that matters."""

    def __init__(self, rows: Rows, spec: CollectionSpec, scene: Scene) -> None:
        self._rows = rows
        self.spec = spec
        self.scene = scene

    @property
    def rows(self) -> Rows:
        """Chroma's collection."""
        return self._rows

    @abstractmethod
    def run(self, call: Callable[[], ResultT]) -> ResultT:
        """Call something that reads or writes, seeing one state throughout where the mode can give that."""

    @abstractmethod
    def upsert(self, batch: RecordBatch) -> None:
        """Write a checked batch."""

    @abstractmethod
    def delete(self, ids: Sequence[str] | None, node: Filter | None) -> int:
        """Delete by id, by filter or the intersection, and return how many existed."""

    @abstractmethod
    def count(self, node: Filter) -> int:
        """Return how many records pass."""

    @abstractmethod
    def select(self, node: Filter) -> list[str]:
        """Return the ids of the records that pass."""

    @abstractmethod
    def values_of(self, field: str, ids: Sequence[str]) -> dict[str, Any]:
        """Return the value of a field in each of these records that has one."""

    @abstractmethod
    def fetch(self, ids: Iterable[str], *, with_vectors: bool) -> dict[str, Row]:
        """Return those of these records that exist."""

    @abstractmethod
    def nearest(
        self, queries: FloatVectors, k: int, node: Filter, *, with_vectors: bool
    ) -> list[list[tuple[Found, Row]]]:
        """Return the nearest min(k, records that pass) of each query, best first, with their rows."""

    @abstractmethod
    def by_words(self, text: str, k: int, node: Filter) -> list[Found]:
        """Return up to k records that share words with the text."""

    @abstractmethod
    def tidy(self) -> None:
        """Make compact what can be."""

    @abstractmethod
    def problems(self) -> list[str]:
        """Compare what should be one, and say what is wrong."""

    @abstractmethod
    def details(self) -> dict[str, Any]:
        """Return figures that only this kind of table knows."""

    @abstractmethod
    def wrongly_typed(self, fields: Sequence[str]) -> Iterable[tuple[str, str, Any]]:
        """Yield (id, field, value), each distinct value of these fields at least once."""

    @abstractmethod
    def release(self) -> None:
        """Let go of what one handle held; the last one closes it."""

    def adopt(self, asked: CollectionSpec) -> None:
        """Compare the collection with what an opener asked for, and take over what may be added."""
        if self._joined(self.spec, asked) == self.spec:
            return
        with self.writing():
            # Another client may have added fields of its own since this one read.
            known = self.current()
            spec = self._joined(known, asked)
            added = {name: kind for name, kind in spec.fields.items() if name not in known.fields}
            for record_id, field, value in self.wrongly_typed(list(added)):
                check_metadata({field: value}, record_id=record_id, fields={field: added[field]})
            self.rows.describe(naming.described(spec))
        self.spec = spec

    def _joined(self, known: CollectionSpec, asked: CollectionSpec) -> CollectionSpec:
        return check_same(known, asked, Place(BACKEND, self.scene.collection, None), has_vectors=self.rows.count() > 0)

    def current(self) -> CollectionSpec:
        """Return what the collection says of itself now."""
        return self.spec

    @abstractmethod
    def writing(self) -> AbstractContextManager[None]:
        """Surround every change of what Chroma holds."""


def check_limit(size: int, limit: int | None, scene: Scene) -> None:
    """Refuse a batch that the server would refuse."""
    if limit is not None and 0 < limit < size:
        raise InvalidRecordError(
            f"the batch has {size} records; this server takes {limit}.",
            fix=f"split it into batches of at most {limit}.",
            backend=BACKEND,
            collection=scene.collection,
        )


def passing(node: Filter, rows: Iterable[Row]) -> list[Row]:
    """Return the rows that pass the filter, by the reference evaluator."""
    return [row for row in rows if matches(node, row.metadata)]

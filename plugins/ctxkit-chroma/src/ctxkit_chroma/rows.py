"""One collection of Chroma's: its calls in the shapes that the store needs, and its raw answers as rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from chromadb.api.models.Collection import Collection

from ctxkit.errors import StoreUnavailableError
from ctxkit.records import FloatVector, FloatVectors, Metadata, Record
from ctxkit_chroma import codec
from ctxkit_chroma.faults import Scene, guarded

_PAGE: Final = 500  # records of one answer: each is a variable of an SQL statement, and memory
_SCAN_PAGE: Final = 5000
_UNWRITTEN: Final = "Nothing found on disk"
_PATIENCE: Final = 5.0
_POLL_SECONDS: Final = 0.02
ResultT = TypeVar("ResultT")


@dataclass(slots=True)
class Row:
    """A record as it was read; `vector` is None where it was not asked for."""

    id: str
    text: str
    metadata: Metadata
    vector: FloatVector | None = None

    def record(self) -> Record:
        """Return it as a record."""
        return Record(self.id, self.text, self.vector, self.metadata)


class Rows:
    """Reads and writes of one collection, with typed errors."""

    def __init__(self, collection: Collection, scene: Scene, *, lists: bool) -> None:
        self.collection = collection
        self.scene = scene
        self._lists = lists

    @property
    def key(self) -> str:
        """The identity of the collection: another one of the same name has another."""
        return str(self.collection.id)

    def write(self, ids: Sequence[str], vectors: FloatVectors, texts: Sequence[str], items: list[codec.Native]) -> None:
        """Write a batch in one call, which Chroma takes as a whole."""
        self._call(
            lambda: self.collection.upsert(
                ids=list(ids),
                embeddings=vectors,
                documents=list(texts),
                metadatas=items,
            )
        )

    def native(self, metadata: Metadata, pack: str) -> codec.Native:
        """Return metadata as this Chroma takes it."""
        return codec.native(metadata, pack, lists=self._lists)

    def remove(self, ids: Sequence[str]) -> None:
        """Delete records that exist, in pages."""
        for page in pages(ids, _PAGE):
            self._call(lambda: self.collection.delete(ids=page))  # noqa: B023 - called at once

    def count(self) -> int:
        """Return how many records Chroma has."""
        return int(self._call(self.collection.count))

    def ids(self, where: dict[str, Any] | None = None) -> list[str]:
        """Return the ids of all records that pass a filter of Chroma's."""
        return list(self._call(lambda: self.collection.get(where=where, include=[]))["ids"])

    def metadata(self, where: dict[str, Any] | None = None) -> Iterator[tuple[str, Metadata]]:
        """Yield id and exact metadata of all records that pass a filter of Chroma's."""
        found = self._call(lambda: self.collection.get(where=where, include=["metadatas"]))
        for record_id, item in zip(found["ids"], found["metadatas"] or (), strict=True):
            yield record_id, codec.unpacked(codec.pack_of(item), record_id, self.scene)[0]

    def everything(self) -> Iterator[tuple[str, str, str]]:
        """Yield id, packed metadata and text of all records."""
        ids = self.ids()
        for page in pages(ids, _SCAN_PAGE):
            found = self._call(lambda: self.collection.get(ids=page, include=["metadatas", "documents"]))  # noqa: B023
            for record_id, item, text in zip(
                found["ids"], found["metadatas"] or (), found["documents"] or (), strict=True
            ):
                yield record_id, codec.pack_of(item), text or ""

    def keys(self, ids: Sequence[str]) -> dict[str, set[str]]:
        """Return the keys that those of these records have that exist."""
        found: dict[str, set[str]] = {}
        for page in pages(ids, _SCAN_PAGE):
            answer = self._call(lambda: self.collection.get(ids=page, include=["metadatas"]))  # noqa: B023
            found.update(
                (record_id, set(item or {}))
                for record_id, item in zip(answer["ids"], answer["metadatas"] or (), strict=True)
            )
        return found

    def existing(self, ids: Sequence[str]) -> list[str]:
        """Return which of these ids exist."""
        found: list[str] = []
        for page in pages(ids, _SCAN_PAGE):
            found += self._call(lambda: self.collection.get(ids=page, include=[]))["ids"]  # noqa: B023
        return found

    def fetch(self, ids: Iterable[str], *, with_vectors: bool) -> dict[str, Row]:
        """Return those of these records that exist."""
        include = ["metadatas", "documents", *(["embeddings"] if with_vectors else [])]
        found: dict[str, Row] = {}
        for page in pages(list(dict.fromkeys(ids)), _PAGE):
            answer = self._call(lambda: self.collection.get(ids=page, include=include))  # noqa: B023
            vectors = answer["embeddings"] if with_vectors else None
            for row in _rows(answer["ids"], answer["documents"], answer["metadatas"], vectors, self.scene):
                found[row.id] = row
        return found

    def some(self, where: dict[str, Any], limit: int) -> list[Row]:
        """Return up to `limit` records that pass a filter of Chroma's, with their vectors."""
        include = ["metadatas", "documents", "embeddings"]
        answer = self._call(lambda: self.collection.get(where=where, include=include, limit=limit))
        return _rows(answer["ids"], answer["documents"], answer["metadatas"], answer["embeddings"], self.scene)

    def vectors(self, ids: Sequence[str]) -> Iterator[tuple[list[str], FloatVectors]]:
        """Yield the stored vectors of those of these records that exist, page by page."""
        for page in pages(ids, _PAGE):
            found = self._call(lambda: self.collection.get(ids=page, include=["embeddings"]))  # noqa: B023
            if found["ids"]:
                yield list(found["ids"]), np.asarray(found["embeddings"], dtype=np.float32)

    def near(
        self,
        queries: FloatVectors,
        size: int,
        *,
        include: Sequence[str],
        where: dict[str, Any] | None = None,
        ids: list[str] | None = None,
    ) -> Any:
        """Return Chroma's own answer to a search among all records, those that pass, or these.

        By the call below Chroma's public one, which checks once more what is sound here.
        """
        found = self.collection
        wanted: Any = list(include)
        return self._call(
            lambda: found._client._query(  # noqa: SLF001
                collection_id=found.id,
                query_embeddings=list(queries),
                n_results=size,
                where=where,
                ids=ids,
                include=wanted,
                tenant=found.tenant,
                database=found.database,
            )
        )

    def describe(self, metadata: dict[str, str]) -> None:
        """Change what the collection says of itself."""
        self._call(lambda: self.collection.modify(metadata=metadata))

    def _call(self, call: Callable[[], ResultT]) -> ResultT:
        if not self.scene.remote:
            with guarded(self.scene):
                return call()
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                with guarded(self.scene):
                    return call()
            except StoreUnavailableError as error:
                # A server that is asked while it writes a graph for the first time; all our calls may be made again.
                if _UNWRITTEN not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(_POLL_SECONDS)


def hit_rows(answer: Any, place: int, scene: Scene) -> list[Row]:
    """Return the rows of one query's answer that includes metadata and documents, and perhaps vectors."""
    vectors = None if answer["embeddings"] is None else answer["embeddings"][place]
    return _rows(answer["ids"][place], answer["documents"][place], answer["metadatas"][place], vectors, scene)


def _rows(ids: Any, texts: Any, items: Any, vectors: Any, scene: Scene) -> list[Row]:
    wide = None if vectors is None or not len(ids) else np.asarray(vectors, dtype=np.float32)
    rows = []
    unpacked = codec.all_unpacked([codec.pack_of(item) for item in items or ()], ids, scene)
    for place, (record_id, text, (metadata, exact)) in enumerate(zip(ids, texts, unpacked, strict=True)):
        vector = None
        if wide is not None:
            vector = exact if exact is not None else wide[place].copy()
        rows.append(Row(record_id, text or "", metadata, vector))
    return rows


def pages(items: Sequence[str], size: int) -> Iterator[list[str]]:
    """Yield the items in lists of at most `size`."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])

"""The PostgreSQL store: the contract of every store, on a table for each collection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import ClassVar

import numpy.typing as npt
from typing_extensions import Self

from ctxkit.filters import Where
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec, StoreHealth, StoreStats, VectorStore
from ctxkit.local import parts
from ctxkit.records import Hits, Record, RecordBatch
from ctxkit_pgvector import catalog
from ctxkit_pgvector.collection import PAGE, Collection, own
from ctxkit_pgvector.faults import BACKEND, guarded
from ctxkit_pgvector.links import Links, connect_once
from ctxkit_pgvector.plan import Ask
from ctxkit_pgvector.reading import records as records_of
from ctxkit_pgvector.session import scene_of


class PgvectorStore(VectorStore):
    """Vectors by HNSW or exactly, filters and words in SQL, each batch a transaction, any number of writers."""

    backend: ClassVar[str] = BACKEND

    def __init__(self, collection: Collection, links: Links) -> None:
        self._collection = collection
        self._links = links

    @classmethod
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        """Open the collection, making it, and the schema, when they do not exist."""
        mine = own(config)
        parts.check_options(spec, cls.backend)
        scene = scene_of(mine, spec.name)
        table, path = connect_once(mine, scene, catalog.opened(spec, mine, scene))
        return cls(Collection(table, mine), Links(mine, scene, path))

    @classmethod
    def list_collections(cls, config: BackendConfig) -> list[str]:
        """Return the names of all collections of the schema, sorted."""
        mine = own(config)
        scene = scene_of(mine)
        return connect_once(mine, scene, catalog.names(mine, scene))

    @classmethod
    def describe_collection(cls, config: BackendConfig, name: str) -> CollectionSpec:
        """Return what the collection was made with."""
        mine = own(config)
        scene = scene_of(mine, name)
        return connect_once(mine, scene, catalog.described(mine, name, scene))

    @classmethod
    def drop_collection(cls, config: BackendConfig, name: str) -> None:
        """Delete the collection; handles on it raise CollectionNotFoundError from then on."""
        mine = own(config)
        scene = scene_of(mine, name)
        connect_once(mine, scene, catalog.dropped(mine, name, scene))

    @property
    def spec(self) -> CollectionSpec:
        """What this collection is."""
        return self._collection.spec

    @property
    def capabilities(self) -> Capabilities:
        """What this store can do as it is configured."""
        return self._collection.config.capabilities()

    def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        """Write a batch in one transaction."""
        self._links.check()
        batch = self._collection.checked(records)
        self._links.write(lambda: self._collection.upsert(batch))

    def get(self, ids: Sequence[str], *, include_vectors: bool = False) -> list[Record | None]:
        """Return the records in the order of `ids`, repeats included, None where there is none."""
        return self._links.read(lambda: self._collection.get(ids, include_vectors=include_vectors))

    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        """Delete by id, by filter, or the intersection; return how many existed."""
        return self._links.write(lambda: self._collection.delete(ids, where))

    def count(self, where: Where | None = None) -> int:
        """Return the number of records that pass the filter."""
        return self._links.read(lambda: self._collection.count(where))

    def query(
        self,
        vectors: npt.ArrayLike,
        k: int,
        *,
        where: Where | None = None,
        min_score: float | None = None,
        include_vectors: bool = False,
    ) -> list[Hits]:
        """Return, for each query vector, the k nearest records that pass the filter, with scores in float64."""
        return self._links.read(
            lambda: self._collection.query(
                vectors, k, where=where, min_score=min_score, include_vectors=include_vectors
            )
        )

    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        """Return up to k records that share words with `text`, by BM25; words are stemmed as English."""
        return self._links.read(lambda: self._collection.text_query(text, k, where))

    def scan(
        self,
        where: Where | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        include_vectors: bool = False,
    ) -> Iterator[Record]:
        """Yield every record that passes the filter, each exactly once, by id or by a field, as of the first step.

        A server-side cursor reads page by page; a scan of at most one page is one statement. Bools and lists in the
        `order_by` field count as records without it.
        """
        ask = self._collection.scan(
            where, order_by=order_by, descending=descending, limit=limit, include_vectors=include_vectors
        )
        self._links.check()
        if limit is not None and limit <= PAGE:
            return iter(self._links.read(lambda: self._collection.page(ask)))
        return self._pages(ask)

    def lease(self, name: str, *, patience: float = 0.0) -> AbstractContextManager[bool]:
        """Hold the right of that name, one client at a time; gives False after `patience` seconds without it."""
        return self._links.lease(name, patience)

    def flush(self) -> None:
        """Return at once: what was acknowledged is committed and on the server's disk."""
        self._links.read(self._collection.flush)

    def optimize(self) -> None:
        """Make the HNSW index where it is missing, then VACUUM and ANALYZE; takes its time."""
        self._links.check()
        with guarded(self._links.scene):
            connect_once(self._collection.config, self._links.scene, self._collection.optimize(), path=self._links.path)

    def stats(self) -> StoreStats:
        """Return figures about the collection."""
        return self._links.read(self._collection.stats)

    def version(self) -> int | None:
        """Return how many writes of all processes can be seen, which each of them raises by one; None on a standby."""
        return self._links.read(self._collection.version)

    def health(self) -> StoreHealth:
        """Look for indexes that are missing or not whole."""
        return self._links.read(self._collection.health)

    def close(self) -> None:
        """Release everything; closing twice is fine."""
        self._links.close()

    def __repr__(self) -> str:
        spec = self.spec
        return f"PgvectorStore({spec.name!r}, {spec.dimension} x {spec.metric}, {self._links.scene.where})"

    def _pages(self, ask: Ask) -> Iterator[Record]:
        with (
            guarded(self._links.scene),
            self._links.scanning() as connection,
            connection.cursor("scan", binary=True) as cursor,
        ):
            cursor.execute(ask.sql, ask.values or None)
            while rows := cursor.fetchmany(PAGE):
                yield from records_of(rows, self.spec.dimension)
                self._links.check()

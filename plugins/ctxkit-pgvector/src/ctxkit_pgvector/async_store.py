"""The PostgreSQL store for an event loop, on psycopg's own asynchronous connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

import numpy.typing as npt
from psycopg import AsyncServerCursor
from typing_extensions import Self

from ctxkit.filters import Where
from ctxkit.interfaces import (
    AsyncVectorStore,
    BackendConfig,
    Capabilities,
    CollectionSpec,
    StoreHealth,
    StoreStats,
)
from ctxkit.local import parts
from ctxkit.records import Hits, Record, RecordBatch
from ctxkit_pgvector import catalog
from ctxkit_pgvector.async_links import AsyncLinks, connect_once
from ctxkit_pgvector.collection import PAGE, Collection, own
from ctxkit_pgvector.faults import BACKEND, guarded
from ctxkit_pgvector.plan import Rows
from ctxkit_pgvector.reading import records as records_of
from ctxkit_pgvector.session import scene_of


class AsyncPgvectorStore(AsyncVectorStore):
    """What PgvectorStore is, for a loop: each call leaves it free while the server works.

    A call that is cancelled is cancelled at the server, too; a write then leaves nothing behind, or all of it.
    """

    backend: ClassVar[str] = BACKEND

    def __init__(self, collection: Collection, links: AsyncLinks) -> None:
        self._collection = collection
        self._links = links

    @classmethod
    async def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        """Open the collection, making it, and the schema, when they do not exist."""
        mine = own(config)
        parts.check_options(spec, cls.backend)
        scene = scene_of(mine, spec.name)
        table, path = await connect_once(mine, scene, catalog.opened(spec, mine, scene))
        return cls(Collection(table, mine), AsyncLinks(mine, scene, path))

    @classmethod
    async def list_collections(cls, config: BackendConfig) -> list[str]:
        """Return the names of all collections of the schema, sorted."""
        mine = own(config)
        scene = scene_of(mine)
        return await connect_once(mine, scene, catalog.names(mine, scene))

    @classmethod
    async def describe_collection(cls, config: BackendConfig, name: str) -> CollectionSpec:
        """Return what the collection was made with."""
        mine = own(config)
        scene = scene_of(mine, name)
        return await connect_once(mine, scene, catalog.described(mine, name, scene))

    @classmethod
    async def drop_collection(cls, config: BackendConfig, name: str) -> None:
        """Delete the collection; handles on it raise CollectionNotFoundError from then on."""
        mine = own(config)
        scene = scene_of(mine, name)
        await connect_once(mine, scene, catalog.dropped(mine, name, scene))

    @property
    def spec(self) -> CollectionSpec:
        """What this collection is."""
        return self._collection.spec

    @property
    def capabilities(self) -> Capabilities:
        """What this store can do as it is configured."""
        return self._collection.config.capabilities()

    async def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        """Write a batch in one transaction."""
        self._links.check()
        batch = self._collection.checked(records)
        await self._links.run(lambda: self._collection.upsert(batch), writing=True)

    async def get(self, ids: Sequence[str], *, include_vectors: bool = False) -> list[Record | None]:
        """Return the records in the order of `ids`, repeats included, None where there is none."""
        return await self._links.run(lambda: self._collection.get(ids, include_vectors=include_vectors))

    async def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        """Delete by id, by filter, or the intersection; return how many existed."""
        return await self._links.run(lambda: self._collection.delete(ids, where), writing=True)

    async def count(self, where: Where | None = None) -> int:
        """Return the number of records that pass the filter."""
        return await self._links.run(lambda: self._collection.count(where))

    async def query(
        self,
        vectors: npt.ArrayLike,
        k: int,
        *,
        where: Where | None = None,
        min_score: float | None = None,
        include_vectors: bool = False,
    ) -> list[Hits]:
        """Return, for each query vector, the k nearest records that pass the filter, with scores in float64."""
        return await self._links.run(
            lambda: self._collection.query(
                vectors, k, where=where, min_score=min_score, include_vectors=include_vectors
            )
        )

    async def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        """Return up to k records that share words with `text`, by BM25; words are stemmed as English."""
        return await self._links.run(lambda: self._collection.text_query(text, k, where))

    async def scan(
        self,
        where: Where | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        include_vectors: bool = False,
    ) -> AsyncIterator[Record]:
        """Yield every record that passes the filter, each exactly once, as of the first step."""
        ask = self._collection.scan(
            where, order_by=order_by, descending=descending, limit=limit, include_vectors=include_vectors
        )
        if limit is not None and limit <= PAGE:
            for record in await self._links.run(lambda: self._collection.page(ask)):
                yield record
            return
        with guarded(self._links.scene):
            async with self._links.scanning() as connection, connection.cursor("scan", binary=True) as cursor:
                await cursor.execute(ask.sql, ask.values or None)
                while rows := await self._next(cursor):
                    for record in records_of(rows, self.spec.dimension):
                        yield record

    async def flush(self) -> None:
        """Return at once: what was acknowledged is committed and on the server's disk."""
        await self._links.run(self._collection.flush)

    async def optimize(self) -> None:
        """Make the HNSW index where it is missing, then VACUUM and ANALYZE; takes its time."""
        async with self._links.working():
            plan = self._collection.optimize()
            await connect_once(self._collection.config, self._links.scene, plan, path=self._links.path)

    async def stats(self) -> StoreStats:
        """Return figures about the collection."""
        return await self._links.run(self._collection.stats)

    async def version(self) -> int | None:
        """Return how many writes of all processes can be seen, which each of them raises by one; None on a standby."""
        return await self._links.run(self._collection.version)

    async def health(self) -> StoreHealth:
        """Look for indexes that are missing or not whole."""
        return await self._links.run(self._collection.health)

    async def close(self) -> None:
        """Release everything once the calls under way have ended; closing twice is fine."""
        await self._links.close()

    def __repr__(self) -> str:
        spec = self.spec
        return f"AsyncPgvectorStore({spec.name!r}, {spec.dimension} x {spec.metric}, {self._links.scene.where})"

    async def _next(self, cursor: AsyncServerCursor[Any]) -> Rows:
        async with self._links.working():
            return await cursor.fetchmany(PAGE)

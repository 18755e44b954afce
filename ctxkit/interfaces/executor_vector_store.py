"""Any synchronous vector store behind the asynchronous face, on threads that belong to the handle."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, ClassVar, Final

import numpy.typing as npt
from typing_extensions import Self

from ctxkit.errors import StoreClosedError
from ctxkit.filters import Where
from ctxkit.interfaces.async_vector_store import AsyncVectorStore
from ctxkit.interfaces.call_threads import CallThreads, run_alone
from ctxkit.interfaces.capabilities import Capabilities
from ctxkit.interfaces.config import BackendConfig
from ctxkit.interfaces.vector_store import CollectionSpec, StoreHealth, StoreStats, VectorStore
from ctxkit.records import Hits, Record, RecordBatch

PAGE: Final = 256  # records that a scan fetches at once


class ExecutorVectorStore(AsyncVectorStore):
    """Runs each call of a synchronous store in one of a few threads; `asynchronous(store_class)` makes such a class.

    Writes go one after another in the order of the calls. `CallThreads` says what becomes of a call that is cancelled.
    """

    store_class: ClassVar[type[VectorStore]]
    threads: ClassVar[int] = 4

    def __init__(self, store: VectorStore) -> None:
        """Take over an open store, which from now on is used and closed through this handle alone."""
        self._store = store
        self._calls = CallThreads(store.backend, self.threads, refusal=self._closed)

    @classmethod
    async def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        """Open the collection in a thread; cancelled, it is closed again as soon as it is open."""
        work = partial(cls.store_class.open, spec, config)
        return cls(await run_alone(cls.backend, work, cls.store_class.close))

    @classmethod
    async def list_collections(cls, config: BackendConfig) -> list[str]:
        """Return the names of all collections, sorted."""
        return await run_alone(cls.backend, partial(cls.store_class.list_collections, config))

    @classmethod
    async def describe_collection(cls, config: BackendConfig, name: str) -> CollectionSpec:
        """Return what the collection was made with."""
        return await run_alone(cls.backend, partial(cls.store_class.describe_collection, config, name))

    @classmethod
    async def drop_collection(cls, config: BackendConfig, name: str) -> None:
        """Delete the collection and everything in it."""
        await run_alone(cls.backend, partial(cls.store_class.drop_collection, config, name))

    @property
    def spec(self) -> CollectionSpec:
        """What this collection is."""
        return self._store.spec

    @property
    def capabilities(self) -> Capabilities:
        """What the store behind this face can do."""
        return self._store.capabilities

    async def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        """Write a batch, all of it or nothing."""
        await self._calls.run(partial(self._store.upsert, records), in_order=True)

    async def get(self, ids: Sequence[str], *, include_vectors: bool = False) -> list[Record | None]:
        """Return the records in the order of `ids`."""
        return await self._calls.run(partial(self._store.get, ids, include_vectors=include_vectors))

    async def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        """Delete by id, by filter, or the intersection; return how many existed."""
        return await self._calls.run(partial(self._store.delete, ids, where=where), in_order=True)

    async def count(self, where: Where | None = None) -> int:
        """Return the number of records that pass the filter."""
        return await self._calls.run(partial(self._store.count, where))

    async def query(
        self,
        vectors: npt.ArrayLike,
        k: int,
        *,
        where: Where | None = None,
        min_score: float | None = None,
        include_vectors: bool = False,
    ) -> list[Hits]:
        """Return, for each query vector, the k nearest records that pass the filter."""
        method = self._store.query
        return await self._calls.run(
            partial(method, vectors, k, where=where, min_score=min_score, include_vectors=include_vectors)
        )

    async def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        """Return up to k records whose text shares words with `text`, best first."""
        return await self._calls.run(partial(self._store.text_query, text, k, where=where))

    def scan(
        self,
        where: Where | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        include_vectors: bool = False,
    ) -> AsyncIterator[Record]:
        """Return an iterator that fetches a page at a time; a step that is cancelled loses nothing."""
        method = self._store.scan
        return _Scan(
            partial(
                method, where, order_by=order_by, descending=descending, limit=limit, include_vectors=include_vectors
            ),
            self._calls.run,
        )

    async def flush(self) -> None:
        """Return once everything that was written is as durable as the store can make it."""
        await self._calls.run(self._store.flush, in_order=True)

    async def optimize(self) -> None:
        """Do the store's housekeeping."""
        await self._calls.run(self._store.optimize, in_order=True)

    async def stats(self) -> StoreStats:
        """Return figures about the collection."""
        return await self._calls.run(self._store.stats)

    async def version(self) -> int | None:
        """Return a number that every write changes; None where the store has none."""
        return await self._calls.run(self._store.version)

    async def health(self) -> StoreHealth:
        """Check what is stored and say what is wrong with it."""
        return await self._calls.run(self._store.health)

    async def close(self) -> None:
        """Refuse further calls, wait for those in their threads, then close the store and end the threads.

        Cancelled, the store is closed all the same.
        """
        await self._calls.close(self._store.close)

    def _closed(self) -> StoreClosedError:
        return StoreClosedError(
            "the store was closed.", fix="open it again.", backend=self._store.backend, collection=self._store.spec.name
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._store!r})"


def asynchronous(store_class: type[VectorStore]) -> type[ExecutorVectorStore]:
    """Return the asynchronous face of a synchronous store: a class with its name and `Async` before it."""
    members = {
        "__doc__": f"{store_class.__name__} in threads.",
        "__module__": store_class.__module__,
        "store_class": store_class,
        "backend": store_class.backend,
    }
    return type(f"Async{store_class.__name__}", (ExecutorVectorStore,), members)


class _Scan(AsyncIterator[Record]):
    """Fetches the records of a scan by the page, in a thread."""

    def __init__(
        self,
        start: Callable[[], Iterator[Record]],
        run: Callable[[Callable[[], None]], Coroutine[Any, Any, None]],
    ) -> None:
        self._start = start
        self._run = run
        self._records: Iterator[Record] | None = None
        self._fetched: deque[Record] = deque()
        self._ended = False
        self._fetching = threading.Lock()

    async def __anext__(self) -> Record:
        while True:
            # Looked at first, because a thread adds the last records before it says that they are the last.
            ended = self._ended
            if self._fetched:
                return self._fetched.popleft()
            if ended:
                raise StopAsyncIteration
            await self._run(self._fetch)

    def _fetch(self) -> None:
        # A cancelled step fetches on in its thread; the next one waits here and takes what it brings.
        with self._fetching:
            if self._fetched or self._ended:
                return
            try:
                if self._records is None:
                    self._records = iter(self._start())
                page = list(islice(self._records, PAGE))
            except BaseException:
                self._ended = True
                raise
            self._fetched.extend(page)
            self._ended = len(page) < PAGE

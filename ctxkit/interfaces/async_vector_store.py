"""The asynchronous face of a vector store, and the one that every synchronous store gets on threads."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Any, ClassVar, Final, TypeVar

import numpy.typing as npt
from typing_extensions import Self

from ctxkit.errors import StoreClosedError
from ctxkit.filters import Where
from ctxkit.interfaces.capabilities import Capabilities
from ctxkit.interfaces.config import BackendConfig
from ctxkit.interfaces.vector_store import CollectionSpec, StoreHealth, StoreStats, VectorStore
from ctxkit.records import Hits, Record, RecordBatch

THREADS: Final = 4  # of one handle: the local stores serve one call at a time anyway
PAGE: Final = 256  # records that a scan fetches at once

AsyncStoreT = TypeVar("AsyncStoreT", bound="AsyncVectorStore")
ResultT = TypeVar("ResultT")


class AsyncVectorStore(ABC):
    """A handle on one collection, for use inside an event loop. Use it with `async with`, or await `close`.

    Each method takes, returns, means and raises what the method of that name of VectorStore does, and leaves the loop
    free while it works. A cancelled call leaves the handle usable; a cancelled write is there whole or not at all. A
    handle belongs to the loop in which it was opened.
    """

    backend: ClassVar[str] = ""

    @classmethod
    @abstractmethod
    async def open(cls: type[AsyncStoreT], spec: CollectionSpec, config: BackendConfig) -> AsyncStoreT:
        """Open the collection, making it when it does not exist; errors as VectorStore.open."""

    @classmethod
    @abstractmethod
    async def list_collections(cls, config: BackendConfig) -> list[str]:
        """Return the names of all collections, sorted."""

    @classmethod
    @abstractmethod
    async def describe_collection(cls, config: BackendConfig, name: str) -> CollectionSpec:
        """Return what the collection was made with, or raise CollectionNotFoundError."""

    @classmethod
    @abstractmethod
    async def drop_collection(cls, config: BackendConfig, name: str) -> None:
        """Delete the collection and everything in it, or raise CollectionNotFoundError."""

    @property
    @abstractmethod
    def spec(self) -> CollectionSpec:
        """What this collection is; known without waiting."""

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What this store can do as it is configured, the same as through the synchronous face."""

    @abstractmethod
    async def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        """Write a batch, all of it or nothing; raises InvalidRecordError. Leave `records` alone until it returns."""

    @abstractmethod
    async def get(self, ids: Sequence[str], *, include_vectors: bool = False) -> list[Record | None]:
        """Return the records in the order of `ids`, repeats included, None where there is none."""

    @abstractmethod
    async def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        """Delete by id, by filter, or the intersection; return how many existed."""

    @abstractmethod
    async def count(self, where: Where | None = None) -> int:
        """Return the number of records that pass the filter."""

    @abstractmethod
    async def query(
        self,
        vectors: npt.ArrayLike,
        k: int,
        *,
        where: Where | None = None,
        min_score: float | None = None,
        include_vectors: bool = False,
    ) -> list[Hits]:
        """Return, for each query vector - `vectors` is (d,) or (n, d) -, the k nearest records that pass the filter."""

    @abstractmethod
    async def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        """Return up to k records whose text shares words with `text`, best first; capability text_search."""

    @abstractmethod
    def scan(
        self,
        where: Where | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        include_vectors: bool = False,
    ) -> AsyncIterator[Record]:
        """Return an asynchronous iterator over every record that passes the filter, each exactly once.

        What is wrong with the arguments may be raised here or by the first step.
        """

    @abstractmethod
    async def flush(self) -> None:
        """Return once everything that was written is as durable as the backend can make it."""

    @abstractmethod
    async def optimize(self) -> None:
        """Do the housekeeping that makes later reads faster or the store smaller."""

    @abstractmethod
    async def stats(self) -> StoreStats:
        """Return figures about the collection."""

    @abstractmethod
    async def health(self) -> StoreHealth:
        """Check what is stored and say what is wrong with it."""

    @abstractmethod
    async def close(self) -> None:
        """Release everything once the calls under way have ended; closing twice is fine."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


class ExecutorVectorStore(AsyncVectorStore):
    """Any synchronous store behind the asynchronous face: its calls run in threads that belong to the handle.

    At most `threads` calls are in a thread at once; the others wait in the loop, where a cancelled one simply leaves.
    A call that is cancelled in its thread goes on there and its result is dropped; it keeps its thread until then.
    Writes go one after another in the order of the calls, so that a cancelled one never overtakes a later one.
    Context variables are those of the caller.

    `asynchronous(store_class)` makes the class whose `open` opens a store of that class.
    """

    store_class: ClassVar[type[VectorStore]]
    threads: ClassVar[int] = THREADS

    def __init__(self, store: VectorStore, pool: ThreadPoolExecutor | None = None) -> None:
        """Take over an open store, which from now on is used and closed through this handle alone."""
        self._store = store
        self._pool = _pool(store.backend, self.threads) if pool is None else pool
        self._free = asyncio.Semaphore(self.threads)
        self._writing = asyncio.Semaphore(1)
        self._running: set[Future[Any]] = set()
        self._closed: Future[None] | None = None

    @classmethod
    async def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        """Open the collection in a thread; cancelled, it is closed again as soon as it is open."""
        pool = _pool(cls.backend, cls.threads)
        opening = _submitted(pool, cls.store_class.open, spec, config)
        try:
            store = await asyncio.wrap_future(opening)
        except BaseException:
            pool.submit(_close_unwanted, opening)
            pool.shutdown(wait=False)
            raise
        return cls(store, pool)

    @classmethod
    async def list_collections(cls, config: BackendConfig) -> list[str]:
        """Return the names of all collections, sorted."""
        return await _alone(cls.backend, cls.store_class.list_collections, config)

    @classmethod
    async def describe_collection(cls, config: BackendConfig, name: str) -> CollectionSpec:
        """Return what the collection was made with."""
        return await _alone(cls.backend, cls.store_class.describe_collection, config, name)

    @classmethod
    async def drop_collection(cls, config: BackendConfig, name: str) -> None:
        """Delete the collection and everything in it."""
        await _alone(cls.backend, cls.store_class.drop_collection, config, name)

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
        await self._write(self._store.upsert, records)

    async def get(self, ids: Sequence[str], *, include_vectors: bool = False) -> list[Record | None]:
        """Return the records in the order of `ids`."""
        return await self._call(self._store.get, ids, include_vectors=include_vectors)

    async def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        """Delete by id, by filter, or the intersection; return how many existed."""
        return await self._write(self._store.delete, ids, where=where)

    async def count(self, where: Where | None = None) -> int:
        """Return the number of records that pass the filter."""
        return await self._call(self._store.count, where)

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
        options = {"where": where, "min_score": min_score, "include_vectors": include_vectors}
        return await self._call(self._store.query, vectors, k, **options)

    async def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        """Return up to k records whose text shares words with `text`, best first."""
        return await self._call(self._store.text_query, text, k, where=where)

    def scan(
        self,
        where: Where | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        include_vectors: bool = False,
    ) -> AsyncIterator[Record]:
        """Return an iterator that fetches a page at a time; a cancelled step loses nothing."""
        options = {"order_by": order_by, "descending": descending, "limit": limit, "include_vectors": include_vectors}
        return _Scan(self._call, partial(self._store.scan, where, **options))  # type: ignore[arg-type]

    async def flush(self) -> None:
        """Return once everything that was written is as durable as the store can make it."""
        await self._write(self._store.flush)

    async def optimize(self) -> None:
        """Do the store's housekeeping."""
        await self._write(self._store.optimize)

    async def stats(self) -> StoreStats:
        """Return figures about the collection."""
        return await self._call(self._store.stats)

    async def health(self) -> StoreHealth:
        """Check what is stored and say what is wrong with it."""
        return await self._call(self._store.health)

    async def close(self) -> None:
        """Refuse further calls, wait for those in their threads, then close the store and end the threads.

        Cancelled, the store is closed all the same.
        """
        if self._closed is None:
            self._closed = Future()
            # Whoever stops waiting for it must not stop it.
            self._closed.set_running_or_notify_cancel()
            self._pool.submit(_close, self._store, tuple(self._running), self._closed)
            self._pool.shutdown(wait=False)
        await asyncio.wrap_future(self._closed)

    async def _write(self, method: Callable[..., ResultT], *arguments: Any, **options: Any) -> ResultT:
        await self._writing.acquire()
        return await self._call(method, *arguments, _after=self._writing.release, **options)

    async def _call(
        self,
        method: Callable[..., ResultT],
        *arguments: Any,
        _after: Callable[[], None] = lambda: None,
        **options: Any,
    ) -> ResultT:
        """Run a method in a thread of the handle; `_after` follows in the loop when it has ended there."""
        try:
            self._check_open()
            await self._free.acquire()
        except BaseException:
            _after()
            raise
        try:
            self._check_open()
            running = _submitted(self._pool, method, *arguments, **options)
        except BaseException:
            self._free.release()
            _after()
            raise
        self._running.add(running)
        running.add_done_callback(partial(_tell, asyncio.get_running_loop(), partial(self._ended, running, _after)))
        return await asyncio.wrap_future(running)

    def _ended(self, running: Future[Any], after: Callable[[], None]) -> None:
        self._running.discard(running)
        self._free.release()
        after()

    def _check_open(self) -> None:
        if self._closed is not None:
            raise StoreClosedError(
                "the store was closed.",
                fix="open it again.",
                backend=self._store.backend,
                collection=self._store.spec.name,
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._store!r})"


class _Scan(AsyncIterator[Record]):
    """Fetches the records of a scan by the page, in a thread."""

    def __init__(self, call: Callable[..., Any], start: Callable[[], Iterator[Record]]) -> None:
        self._call = call
        self._start = start
        self._records: Iterator[Record] | None = None
        self._fetched: deque[Record] = deque()
        self._ended = False
        self._lock = threading.Lock()

    async def __anext__(self) -> Record:
        while not self._fetched:
            if self._ended:
                raise StopAsyncIteration
            await self._call(self._fetch)
        return self._fetched.popleft()

    def _fetch(self) -> None:
        # A step that was cancelled fetches on in its thread, and the next step takes what it brings.
        with self._lock:
            if self._fetched or self._ended:
                return
            if self._records is None:
                self._records = iter(self._start())
            self._ended = True
            page = list(islice(self._records, PAGE))
            self._ended = len(page) < PAGE
            self._fetched.extend(page)


def asynchronous(store_class: type[VectorStore]) -> type[ExecutorVectorStore]:
    """Return the asynchronous face of a synchronous store: a class with its name and `Async` before it."""
    name = f"Async{store_class.__name__}"
    members = {
        "__doc__": f"{store_class.__name__} on threads of its own.",
        "__module__": store_class.__module__,
        "store_class": store_class,
        "backend": store_class.backend,
    }
    return type(name, (ExecutorVectorStore,), members)


def _pool(backend: str, threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix=f"ctxkit-{backend}")


def _submitted(
    pool: ThreadPoolExecutor, function: Callable[..., ResultT], *arguments: Any, **options: Any
) -> Future[ResultT]:
    return pool.submit(contextvars.copy_context().run, partial(function, *arguments, **options))


async def _alone(backend: str, function: Callable[..., ResultT], *arguments: Any) -> ResultT:
    """Run a call that belongs to no handle in a thread that ends with it."""
    pool = _pool(backend, 1)
    try:
        return await asyncio.wrap_future(_submitted(pool, function, *arguments))
    finally:
        pool.shutdown(wait=False)


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[[], None], _running: Future[Any]) -> None:
    """Have the loop make a call, from whichever thread, unless it has ended: then nobody waits any more."""
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        return


def _close(store: VectorStore, running: Sequence[Future[Any]], closed: Future[None]) -> None:
    wait(running)
    try:
        store.close()
    except BaseException as exc:  # noqa: BLE001 - whoever awaits `close` gets it
        closed.set_exception(exc)
    else:
        closed.set_result(None)


def _close_unwanted(opening: Future[VectorStore]) -> None:
    wait([opening])
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()

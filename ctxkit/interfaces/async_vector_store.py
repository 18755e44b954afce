"""The asynchronous face of a vector store, for use inside an event loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import ClassVar, TypeVar

import numpy.typing as npt
from typing_extensions import Self

from ctxkit.filters import Where
from ctxkit.interfaces.capabilities import Capabilities
from ctxkit.interfaces.config import BackendConfig
from ctxkit.interfaces.vector_store import CollectionSpec, StoreHealth, StoreStats
from ctxkit.records import Hits, Record, RecordBatch

AsyncStoreT = TypeVar("AsyncStoreT", bound="AsyncVectorStore")


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

    async def version(self) -> int | None:
        """Return a number that every write changes, of whatever process; None where the store has none."""
        found = (await self.stats()).details.get("seq")
        return found if isinstance(found, int) else None

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

"""The asynchronous face driven from synchronous checks: one set of checks for both faces."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import TimeoutError as NoAnswerError
from typing import Any, ClassVar, Final, Literal, TypeAlias, TypeVar

import numpy.typing as npt
import pytest
from typing_extensions import Self

from ctxkit.filters import Where
from ctxkit.interfaces import (
    AsyncVectorStore,
    BackendConfig,
    Capabilities,
    CollectionSpec,
    StoreHealth,
    StoreStats,
    VectorStore,
)
from ctxkit.records import Hits, Record, RecordBatch
from ctxkit_conformance.children import PATIENCE
from ctxkit_conformance.component import effort_of

Face: TypeAlias = Literal["sync", "async"]

_PAGE: Final = 32  # records that a scan takes at once: a hop between threads for each would take most of the time
_ONE_FACE: Final = "__ctxkit_one_face__"
_LOOP: Final = pytest.StashKey["LoopThread"]()

ResultT = TypeVar("ResultT")
FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


class LoopThread:
    """An event loop that runs in a thread of its own until it is closed; a call may take `patience` seconds."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ctxkit-conformance-loop", daemon=True)
        self._thread.start()

    def run(self, call: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Return what the coroutine returns; fails the check when that takes longer than the patience."""
        running = asyncio.run_coroutine_threadsafe(call, self._loop)
        try:
            return running.result(self.patience)
        except NoAnswerError:
            if running.done():
                raise  # it is the store's own
            running.cancel()
            raise AssertionError(f"the asynchronous face gave no answer within {self.patience:g} s") from None

    def close(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class BridgedStore(VectorStore):
    """A synchronous store each of whose calls goes through an asynchronous one; `bridged` makes such a class."""

    asynchronous: ClassVar[type[AsyncVectorStore]]
    loop: ClassVar[LoopThread]

    def __init__(self, store: AsyncVectorStore) -> None:
        self._store = store

    @classmethod
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        """Open through the asynchronous class."""
        return cls(cls.loop.run(cls.asynchronous.open(spec, config)))

    @classmethod
    def list_collections(cls, config: BackendConfig) -> list[str]:
        """List through the asynchronous class."""
        return cls.loop.run(cls.asynchronous.list_collections(config))

    @classmethod
    def describe_collection(cls, config: BackendConfig, name: str) -> CollectionSpec:
        """Describe through the asynchronous class."""
        return cls.loop.run(cls.asynchronous.describe_collection(config, name))

    @classmethod
    def drop_collection(cls, config: BackendConfig, name: str) -> None:
        """Drop through the asynchronous class."""
        cls.loop.run(cls.asynchronous.drop_collection(config, name))

    @property
    def spec(self) -> CollectionSpec:
        """What the asynchronous handle says."""
        return self._store.spec

    @property
    def capabilities(self) -> Capabilities:
        """What the asynchronous handle says."""
        return self._store.capabilities

    def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        """Await it."""
        self.loop.run(self._store.upsert(records))

    def get(self, ids: Sequence[str], *, include_vectors: bool = False) -> list[Record | None]:
        """Await it."""
        return self.loop.run(self._store.get(ids, include_vectors=include_vectors))

    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        """Await it."""
        return self.loop.run(self._store.delete(ids, where=where))

    def count(self, where: Where | None = None) -> int:
        """Await it."""
        return self.loop.run(self._store.count(where))

    def query(
        self,
        vectors: npt.ArrayLike,
        k: int,
        *,
        where: Where | None = None,
        min_score: float | None = None,
        include_vectors: bool = False,
    ) -> list[Hits]:
        """Await it."""
        return self.loop.run(
            self._store.query(vectors, k, where=where, min_score=min_score, include_vectors=include_vectors)
        )

    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        """Await it."""
        return self.loop.run(self._store.text_query(text, k, where=where))

    def scan(
        self,
        where: Where | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        include_vectors: bool = False,
    ) -> Iterator[Record]:
        """Step through the asynchronous iterator, some records at a time."""
        records = self.loop.run(
            _started(
                lambda: self._store.scan(
                    where, order_by=order_by, descending=descending, limit=limit, include_vectors=include_vectors
                )
            )
        )
        while page := self.loop.run(_next(records)):
            yield from page

    def flush(self) -> None:
        """Await it."""
        self.loop.run(self._store.flush())

    def optimize(self) -> None:
        """Await it."""
        self.loop.run(self._store.optimize())

    def stats(self) -> StoreStats:
        """Await it."""
        return self.loop.run(self._store.stats())

    def version(self) -> int | None:
        """Await it."""
        return self.loop.run(self._store.version())

    def health(self) -> StoreHealth:
        """Await it."""
        return self.loop.run(self._store.health())

    def close(self) -> None:
        """Await it."""
        self.loop.run(self._store.close())


def bridged(asynchronous: type[AsyncVectorStore], loop: LoopThread) -> type[BridgedStore]:
    """Return a synchronous class, named like the asynchronous one, whose calls go through that one."""
    members = {"asynchronous": asynchronous, "loop": loop, "backend": asynchronous.backend}
    return type(asynchronous.__name__, (BridgedStore,), members)


def loop_of(config: pytest.Config) -> LoopThread:
    """Return the loop of a session: started when it is first needed, closed at the end."""
    if _LOOP not in config.stash:
        config.stash[_LOOP] = LoopThread(effort_of(config).patience(PATIENCE))
        config.add_cleanup(config.stash[_LOOP].close)
    return config.stash[_LOOP]


def one_face(function: FunctionT) -> FunctionT:
    """Mark a check of a group with two faces that runs through the synchronous one only, because it takes long."""
    setattr(function, _ONE_FACE, True)
    return function


def parametrize_face(metafunc: pytest.Metafunc) -> None:
    """Run a check of a group that says `faces = ("sync", "async")` through each of them.

    Where pytest can hide a parameter, the synchronous run is named as if there were none.
    """
    owner, function = metafunc.cls, metafunc.function
    if owner is None or "face" not in metafunc.fixturenames:
        return
    group = next((cls for cls in owner.__mro__ if function.__name__ in vars(cls)), owner)
    faces: tuple[Face, ...] = getattr(group, "faces", ("sync",))
    if faces == ("sync",) or hasattr(function, _ONE_FACE):
        return
    hidden = getattr(pytest, "HIDDEN_PARAM", "sync")
    metafunc.parametrize("face", faces, ids=[hidden if face == "sync" else face for face in faces])


async def _started(scan: Callable[[], AsyncIterator[Record]]) -> AsyncIterator[Record]:
    return aiter(scan())


async def _next(records: AsyncIterator[Record]) -> list[Record]:
    page: list[Record] = []
    async for record in records:
        page.append(record)
        if len(page) == _PAGE:
            break
    return page

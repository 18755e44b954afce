"""Defects around the store: in its asynchronous face, its announcement, and what it leaves behind.

A mutant whose defect sits beside the class under test names what it comes with: `async_class`, to be set on the
contract's class, and `config_class`, to make its configuration with. `patience` is enough to see it hang.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import Self, override

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import CtxkitError, InvalidRecordError
from ctxkit.interfaces import AsyncVectorStore, BackendConfig, Capabilities, CollectionSpec, ExecutorVectorStore
from ctxkit.records import Hits, Record, RecordBatch
from ctxkit_conformance.mutants.bases import Written


class NativeConfig(ExactConfig):
    """The configuration of a store that says it has an asynchronous driver."""

    @override
    def capabilities(self) -> Capabilities:
        return super().capabilities().model_copy(update={"native_async": True})


class Native(ExactStore):
    """Base of the mutants whose asynchronous class is the broken one."""

    async_class: ClassVar[type[AsyncVectorStore]]
    config_class: ClassVar[type[ExactConfig]] = NativeConfig


class Driver(ExecutorVectorStore):
    """Base of the broken asynchronous classes; changes nothing by itself."""

    store_class = ExactStore
    backend = ExactStore.backend


class _Blocking(Driver):
    @override
    async def query(self, *arguments: Any, **options: Any) -> list[Hits]:
        return self._store.query(*arguments, **options)


class BlocksTheLoop(Native):
    """An asynchronous search works in the event loop itself."""

    async_class = _Blocking


class _BlockingPolitely(Driver):
    @override
    async def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        await asyncio.sleep(0)
        self._store.upsert(records)


class BlocksAfterAYield(Native):
    """An asynchronous write lets the loop go round once, then works in it."""

    async_class = _BlockingPolitely


class _Locking(Driver):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._lock = asyncio.Lock()

    @override
    async def query(self, *arguments: Any, **options: Any) -> list[Hits]:
        await self._lock.acquire()
        found = await super().query(*arguments, **options)
        self._lock.release()
        return found


class CancelledCallKeepsTheLock(Native):
    """A search that is cancelled never gives its lock back, and the next one waits for ever."""

    patience: ClassVar[float] = 5.0
    async_class = _Locking


class _Piecemeal(Driver):
    @override
    async def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        rows = list(records)
        for start in range(0, max(len(rows), 1), 3):
            await super().upsert(rows[start : start + 3])


class CancelledWriteIsTorn(Native):
    """An asynchronous write is made of several, and a cancellation comes between them."""

    async_class = _Piecemeal


class _Sharing(Driver):
    _wanted: Sequence[str] = ()

    @override
    async def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        self._wanted = ids
        await asyncio.sleep(0)
        return await super().get(self._wanted, **options)


class QuestionsAreSwapped(Native):
    """Two calls at once put their questions in one place, and both get the answer to the later one."""

    async_class = _Sharing


class _Arriving(Driver):
    @override
    def scan(self, *arguments: Any, **options: Any) -> AsyncIterator[Record]:
        return self._backwards(super().scan(*arguments, **options))

    async def _backwards(self, records: AsyncIterator[Record]) -> AsyncIterator[Record]:
        for record in reversed([record async for record in records]):
            yield record


class AsyncScanHasItsOwnOrder(Native):
    """The asynchronous face yields an ordered scan in another order."""

    async_class = _Arriving


class _Tied(Driver):
    @override
    async def query(self, *arguments: Any, **options: Any) -> list[Hits]:
        found = await super().query(*arguments, **options)
        for hits in (answers := [list(hits) for hits in found]):
            hits.reverse()
            hits.sort(key=lambda hit: -hit.score)
        return [Hits(hits) for hits in answers]


class AsyncTiesAreTurned(Native):
    """The asynchronous face puts equal scores in another order."""

    async_class = _Tied


class _Deaf(Driver):
    @override
    async def query(
        self, vectors: npt.ArrayLike, k: int, *, min_score: float | None = None, **options: Any
    ) -> list[Hits]:
        return await super().query(vectors, k, **options)


class AsyncFaceIgnoresMinScore(Native):
    """The asynchronous face takes `min_score` and forgets it."""

    async_class = _Deaf


class _Wrapping(Driver):
    @override
    async def query(self, *arguments: Any, **options: Any) -> list[Hits]:
        try:
            return await super().query(*arguments, **options)
        except CtxkitError as error:
            raise RuntimeError(str(error)) from error


class AsyncErrorsAreWrapped(Native):
    """The asynchronous face raises errors of its own kind."""

    async_class = _Wrapping


class _Abrupt(Driver):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._tasks: set[asyncio.Task[list[Hits]]] = set()

    @override
    async def query(self, *arguments: Any, **options: Any) -> list[Hits]:
        task = asyncio.create_task(super().query(*arguments, **options))
        self._tasks.add(task)
        return await task

    @override
    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await super().close()


class ClosingCancels(Native):
    """Closing cancels the calls under way, as if their callers had asked for it."""

    async_class = _Abrupt


class _Immortal(Driver):
    _all: ClassVar[list[ExecutorVectorStore]] = []

    @override
    async def close(self) -> None:
        self._all.append(self)
        await self._calls.run(self._store.close, in_order=True)


class AsyncThreadsStay(Native):
    """Closing the asynchronous face closes the store and forgets its threads."""

    async_class = _Immortal


class DriverIsMissing(ExactStore):
    """`native_async` is declared, and there is no asynchronous class."""

    config_class: ClassVar[type[ExactConfig]] = NativeConfig


class CacheIsShared(ExactStore):
    """What was read once is kept on the class, by id, for every collection."""

    _cache: ClassVar[dict[str, Record | None]] = {}

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        found = super().get(ids, **options)
        return [self._cache.setdefault(name, record) for name, record in zip(ids, found, strict=True)]


class LastSpecificationCounts(ExactStore):
    """The specification is kept on the class: that of the collection that was opened last."""

    _last: ClassVar[CollectionSpec]

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        opened = super().open(spec, config)
        LastSpecificationCounts._last = opened._handle.spec  # noqa: SLF001 - the engine's own
        return opened

    @property
    @override
    def spec(self) -> CollectionSpec:
        return LastSpecificationCounts._last


class ClosingClosesAll(ExactStore):
    """The handles of a process share what one of them closes."""

    _all: ClassVar[list[ExactStore]] = []

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        opened = super().open(spec, config)
        cls._all.append(opened)
        return opened

    @override
    def close(self) -> None:
        for store in self._all:
            ExactStore.close(store)


class LeaksADescriptor(ExactStore):
    """Opening leaves a lock file open that closing forgets."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        os.open(os.devnull, os.O_RDONLY)
        return super().open(spec, config)


class LeaksAThread(ExactStore):
    """Opening starts a thread for housekeeping that closing does not end."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        return super().open(spec, config)


class LeaksMemory(ExactStore):
    """A table of all handles keeps what each one has loaded."""

    _all: ClassVar[list[npt.NDArray[np.float64]]] = []

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        cls._all.append(np.ones(2**15))
        return super().open(spec, config)


class FailedOpeningLeaks(ExactStore):
    """An opening that fails leaves open what it had opened before it failed."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        descriptor = os.open(os.devnull, os.O_RDONLY)
        opened = super().open(spec, config)
        os.close(descriptor)
        return opened


class TailIsDropped(ExactStore):
    """A batch is cut where the backend's largest request ends."""

    @override
    def upsert(self, records: Written) -> None:
        rows = list(records)
        super().upsert(rows[:8192] if len(rows) > 8192 else records)


class SmallBatchConfig(ExactConfig):
    """The configuration of a store with a limit."""

    @override
    def capabilities(self) -> Capabilities:
        return super().capabilities().model_copy(update={"max_batch": 4000})


class LimitIsNoticedLate(ExactStore):
    """A batch beyond the limit is written up to it, and refused then."""

    config_class: ClassVar[type[ExactConfig]] = SmallBatchConfig

    @override
    def upsert(self, records: Written) -> None:
        rows = list(records)
        super().upsert(rows[:4000])
        if len(rows) > 4000:
            raise InvalidRecordError("the batch is larger than 4000.", fix="split it.", backend=self.backend)


class _Loose(Capabilities):
    @override
    def __setattr__(self, name: str, value: object) -> None:
        vars(self)[name] = value

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Capabilities) and vars(other) == vars(self)

    __hash__ = Capabilities.__hash__


class CapabilitiesCanBeChanged(ExactStore):
    """The capabilities are an object whose fields anybody can set."""

    @property
    @override
    def capabilities(self) -> Capabilities:
        return _Loose(**vars(super().capabilities))


class AnnouncesMore(ExactStore):
    """The announcement was written for the store on disk, and the default is in memory."""

    capabilities_of_spec: ClassVar[Capabilities] = ExactConfig(path=Path("store")).capabilities()


class TalkativeConfig(ExactConfig):
    """A configuration with a password in plain sight."""

    api_key: str = ""


class SecretIsShown(ExactStore):
    """The key is a plain string of the configuration and stands in its repr."""

    config_class: ClassVar[type[ExactConfig]] = TalkativeConfig


class ForgivingConfig(ExactConfig, extra="ignore"):
    """A configuration that takes any option."""


class UnknownOptionsAreIgnored(ExactStore):
    """A mistyped option is dropped without a word."""

    config_class: ClassVar[type[ExactConfig]] = ForgivingConfig


class PhonesHome(ExactStore):
    """Opening reports to a server, and says nothing when there is none."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", 9), timeout=0.1).close()
        return super().open(spec, config)


FACES: dict[type, str] = {
    BlocksTheLoop: "the_loop_goes_on_during_a_call",
    BlocksAfterAYield: "the_loop_goes_on_during_a_call",
    CancelledCallKeepsTheLock: "cancelled_calls_leave_the_store_usable",
    CancelledWriteIsTorn: "cancelled_calls_leave_the_store_usable",
    QuestionsAreSwapped: "gathered_calls_answer_their_own_questions",
    AsyncScanHasItsOwnOrder: "both_faces_answer_alike",
    AsyncTiesAreTurned: "both_faces_answer_alike",
    AsyncFaceIgnoresMinScore: "min_score_is_inclusive",
    AsyncErrorsAreWrapped: "errors_are_those_of_the_synchronous_face",
    ClosingCancels: "closing_while_calls_are_under_way",
    DriverIsMissing: "native_async_is_what_is_announced",
    CacheIsShared: "instances_share_nothing",
    LastSpecificationCounts: "instances_share_nothing",
    ClosingClosesAll: "instances_share_nothing",
    LeaksADescriptor: "opening_and_closing_leaves_nothing_behind",
    LeaksAThread: "opening_and_closing_leaves_nothing_behind",
    LeaksMemory: "opening_and_closing_leaves_nothing_behind",
    AsyncThreadsStay: "asynchronous_openings_leave_nothing_behind",
    FailedOpeningLeaks: "failed_openings_leave_nothing_behind",
    TailIsDropped: "ten_thousand_records_in_one_batch",
    LimitIsNoticedLate: "ten_thousand_records_in_one_batch",
    CapabilitiesCanBeChanged: "capabilities",
    AnnouncesMore: "announced_as_configured",
    SecretIsShown: "configuration_is_strict_and_discreet",
    UnknownOptionsAreIgnored: "configuration_is_strict_and_discreet",
    PhonesHome: "importing_is_light_and_offline",
}

"""Stores whose writes are seen later, and the suite applied to them; run by test_settling.py, not collected itself."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy.typing as npt
from ctxkit_conformance.stores.records import RecordChecks
from ctxkit_conformance.stores.search import SearchChecks
from ctxkit_conformance.stores.settling import settle
from ctxkit_conformance.stores.visibility import VisibilityChecks
from typing_extensions import override

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.filters import Where
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec, VectorStore
from ctxkit.local.config import LocalConfig
from ctxkit.local.handle import Handle
from ctxkit.records import Hits, Record, RecordBatch

Step = tuple[float, Callable[[], object]]


class EventualConfig(ExactConfig):
    """Declares that writes are seen within `bound` seconds."""

    bound: float = 20.0

    @override
    def capabilities(self) -> Capabilities:
        return super().capabilities().model_copy(update={"consistency": "eventual", "consistency_bound": self.bound})


class EventualStore(ExactStore):
    """Writes to itself and reads from a copy, to which a thread brings each write `delay` seconds later."""

    delay: ClassVar[float] = 0.03

    def __init__(self, handle: Handle, config: LocalConfig) -> None:
        super().__init__(handle, config)
        self.copy = ExactStore.open(self.spec, ExactConfig())
        self.steps: queue.Queue[Step | None] = queue.Queue()
        self.thread = threading.Thread(target=self._follow)
        self.thread.start()

    @override
    def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        super().upsert(records)
        ids = [record.id for record in records]
        written = [record for record in super().get(ids, include_vectors=True) if record is not None]
        self.steps.put((time.monotonic() + self.delay, lambda: self.copy.upsert(written)))

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        deleted = super().delete(ids, where=where)
        self.steps.put((time.monotonic() + self.delay, lambda: self.copy.delete(ids, where=where)))
        return deleted

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        return self.copy.get(ids, **options)

    @override
    def count(self, where: Where | None = None) -> int:
        return self.copy.count(where)

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        return self.copy.query(vectors, k, **options)

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        return self.copy.text_query(text, k, where=where)

    @override
    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        return self.copy.scan(where, **options)

    @override
    def close(self) -> None:
        if self.thread.is_alive():
            self.steps.put(None)
            self.thread.join()
        self.copy.close()
        super().close()

    def _follow(self) -> None:
        while (step := self.steps.get()) is not None:
            due, write = step
            time.sleep(max(0.0, due - time.monotonic()))
            write()


class LateStore(EventualStore):
    """Takes longer than it says."""

    delay: ClassVar[float] = 0.6


class _Settling(RecordChecks, SearchChecks, VisibilityChecks):
    """Waits for the writes of what it opens; a busy machine may hold up the thread that brings them."""

    bound: ClassVar[float] = 20.0

    @override
    def make_config(self, folder: Path) -> BackendConfig:
        return EventualConfig(bound=self.bound)

    @override
    def open_spec(self, spec: CollectionSpec, config: BackendConfig) -> VectorStore:
        opened = self.store_class.open(spec, config)
        settle(opened, self._journal.note)
        self._journal.watch(opened, "store")
        return opened


class TestEventual(_Settling):
    """Within its bound."""

    store_class = EventualStore


class TestLate(_Settling):
    """Beyond its bound."""

    store_class = LateStore
    bound: ClassVar[float] = 0.05


class TestUnsettled(_Settling):
    """Within its bound, and nobody waits for it."""

    store_class = EventualStore

    @override
    def open_spec(self, spec: CollectionSpec, config: BackendConfig) -> VectorStore:
        return self.store_class.open(spec, config)

"""The checks of durability and of sharing, applied to stores; run by test_durability_checks.py.

Mutants that each have one defect, stores that declare less than the exact one and keep it, and two defects that need
more than a class: a harness, or patience.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy.typing as npt
from ctxkit_conformance.mutants.durability import DURABILITY
from ctxkit_conformance.mutants.sharing import AloneConfig, LocksOthersOut, OneWriterConfig
from ctxkit_conformance.stores.crash import CrashChecks
from ctxkit_conformance.stores.damage import DamageChecks
from ctxkit_conformance.stores.disk import FullDiskChecks
from ctxkit_conformance.stores.openers import OpenerChecks
from ctxkit_conformance.stores.processes import ProcessChecks
from ctxkit_conformance.stores.threads import ThreadChecks
from typing_extensions import Self, override

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import StoreLockedError
from ctxkit.filters import Where
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec, Harness
from ctxkit.local.config import LocalConfig
from ctxkit.local.handle import Handle
from ctxkit.local.harness import LocalHarness
from ctxkit.records import Hits, Record, RecordBatch


class DurableChecks(OpenerChecks, CrashChecks, DamageChecks, FullDiskChecks, ThreadChecks, ProcessChecks):
    """Everything that this repository checks of stores in trouble."""


def contract(store_class: type[ExactStore], config_class: type[ExactConfig], **members: object) -> type[DurableChecks]:
    """Return the checks of a store as a test class."""

    def make_config(_self: object, folder: Path) -> ExactConfig:
        return config_class(path=folder)

    own = {"store_class": store_class, "make_config": make_config, "__module__": __name__, **members}
    return type(f"Test{store_class.__name__}", (DurableChecks,), own)


class Alone(LocksOthersOut):
    """The lock that keeps others out is declared."""


class OneWriter(ExactStore):
    """The first handle that writes keeps others from writing until it is closed."""

    lock: int = -1

    @override
    def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        self._claim()
        super().upsert(records)

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        self._claim()
        return super().delete(ids, where=where)

    @override
    def close(self) -> None:
        super().close()
        descriptor, self.lock = self.lock, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _claim(self) -> None:
        self.count()
        database = self._handle.session.database
        if self.lock >= 0 or database is None:
            return
        descriptor = os.open(database.with_name("writer.lock"), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StoreLockedError("another process writes.", fix="wait.", backend=self.backend) from None
        self.lock = descriptor


class LateConfig(ExactConfig):
    """The configuration of a store that may answer from what was true a while ago; it is a busy machine's while."""

    @override
    def capabilities(self) -> Capabilities:
        late = {"consistency": "eventual", "consistency_bound": 20.0}
        return super().capabilities().model_copy(update=late)


class Late(ExactStore):
    """Answers what it answered before for 0.2 seconds."""

    def __init__(self, handle: Handle, config: LocalConfig) -> None:
        super().__init__(handle, config)
        self._answers: dict[str, Any] = {}
        self._since = 0.0

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        return list(self._kept(f"get{ids}{options}", lambda: ExactStore.get(self, ids, **options)))

    @override
    def count(self, where: Where | None = None) -> int:
        return int(self._kept(f"count{where}", lambda: ExactStore.count(self, where)))

    @override
    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        return iter(self._kept(f"scan{where}{options}", lambda: list(ExactStore.scan(self, where, **options))))

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        return list(self._kept(f"query{k}{options}", lambda: ExactStore.query(self, vectors, k, **options)))

    def _kept(self, question: str, ask: Callable[[], object]) -> Any:
        if time.monotonic() - self._since > 0.2:
            self._since = time.monotonic()
            self._answers.clear()
        return self._answers.setdefault(question, ask())


class OpensWhatItDoesNotKnow(ExactStore):
    """Data of a newer version is opened, and marked as this version's own."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        path: Path | None = getattr(config, "path", None)
        for manifest in [] if path is None else path.glob("*/manifest.json"):
            content = json.loads(manifest.read_text("utf-8"))
            manifest.write_text(json.dumps({**content, "format_version": 1}), "utf-8")
        return super().open(spec, config)


class WaitsForItself(ExactStore):
    """Readers and writers take two locks in different order, and some day wait for each other."""

    one: ClassVar[Any] = threading.Lock()
    two: ClassVar[Any] = threading.Lock()

    @override
    def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        with self.one:
            time.sleep(0.001)
            with self.two:
                super().upsert(records)

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        with self.two:
            time.sleep(0.001)
            with self.one:
                return super().get(ids, **options)


def engines_harness(_self: object) -> Harness:
    """Return the harness that can write a newer format."""
    return LocalHarness(ExactConfig, {})


for mutant in DURABILITY:
    globals()[f"Test{mutant.__name__}"] = contract(mutant, getattr(mutant, "config_class", ExactConfig))
TestAlone = contract(Alone, AloneConfig)
TestOneWriter = contract(OneWriter, OneWriterConfig)
TestLate = contract(Late, LateConfig)
TestWaitsForItself = contract(WaitsForItself, ExactConfig, patience=4.0)
TestOpensWhatItDoesNotKnow = contract(OpensWhatItDoesNotKnow, ExactConfig, _make_harness=engines_harness)

"""Stores that lose, tear or bring back data when a process dies.

Every one of them works as it should as long as it is closed. `DURABILITY` has those of `damage` and `sharing` too.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from typing_extensions import Self, override

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import StoreLockedError
from ctxkit.filters import Where
from ctxkit.interfaces import BackendConfig, CollectionSpec, StoreStats
from ctxkit.local.config import LocalConfig
from ctxkit.local.handle import Handle
from ctxkit.records import Hits, Record
from ctxkit_conformance.mutants.bases import Mutated, Written, sound
from ctxkit_conformance.mutants.damage import DAMAGE
from ctxkit_conformance.mutants.sharing import SHARING, AloneConfig

_PIECE: Final = 100  # records


class Copying(Mutated):
    """Answers from a copy in memory that it makes when it is opened: `copy`."""

    def __init__(self, handle: Handle, config: LocalConfig) -> None:
        super().__init__(handle, config)
        self.copy = ExactStore.open(self.spec, ExactConfig())
        self.copy.upsert(list(ExactStore.scan(self, include_vectors=True)))

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
    def text_query(self, text: str, k: int, **options: Any) -> Hits:
        return self.copy.text_query(text, k, **options)

    @override
    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        return self.copy.scan(where, **options)

    @override
    def stats(self) -> StoreStats:
        return self.copy.stats()

    @override
    def upsert(self, records: Written) -> None:
        super().upsert(records)
        self.copy.upsert(records)

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        super().delete(ids, where=where)
        return self.copy.delete(ids, where=where)

    @override
    def close(self) -> None:
        self.copy.close()
        super().close()


class NeverLooksAgain(Copying):
    """A handle answers from what was there when it was opened, and never sees what other processes write."""


class WritesAtClose(Copying):
    """A write is acknowledged in memory and reaches the disk when the store is flushed or closed."""

    @override
    def upsert(self, records: Written) -> None:
        self.copy.upsert(records)

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        return self.copy.delete(ids, where=where)

    @override
    def flush(self) -> None:
        records = list(self.copy.scan(include_vectors=True))
        kept = {record.id for record in records}
        ExactStore.upsert(self, records)
        ExactStore.delete(self, [record.id for record in ExactStore.scan(self) if record.id not in kept])

    @override
    def close(self) -> None:
        if not self._handle.session.closed:
            self.flush()
        super().close()


class WritesInPieces(ExactStore):
    """A large batch is committed a hundred records at a time, so a killed process leaves a part of it."""

    @override
    def upsert(self, records: Written) -> None:
        rows = sound(self, records)
        for start in range(0, max(1, len(rows)), _PIECE):
            super().upsert(rows[start : start + _PIECE])


class ReplacesInTwoSteps(ExactStore):
    """The old records are deleted and committed before the new ones are written: a kill between loses both."""

    @override
    def upsert(self, records: Written) -> None:
        rows = sound(self, records)
        super().delete([record.id for record in rows])
        super().upsert(rows)


class OptimizesByStartingOver(ExactStore):
    """`optimize` empties the table and writes it anew: a kill between the two leaves nothing."""

    @override
    def optimize(self) -> None:
        rows = list(self.scan(include_vectors=True))
        super().delete([record.id for record in rows])
        time.sleep(0.03)  # what another engine needs to make its tables
        super().upsert(rows)


class DeletionsWaitForTheEnd(ExactStore):
    """Deletions become durable when the store is closed: after a crash the deleted records are back."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        opened = super().open(spec, config)
        opened.recover()
        return opened

    def recover(self) -> None:
        """Bring back what was deleted since the last clean close."""
        if self._undo is not None and self._undo.exists():
            rows = map(json.loads, self._undo.read_text("utf-8").splitlines())
            super().upsert(list({row["id"]: Record(**row) for row in rows}.values()))

    @property
    def _undo(self) -> Path | None:
        database = self._handle.session.database
        return None if database is None else database.with_name("deletions.jsonl")

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        wanted = None if ids is None else set(ids)
        doomed = [row for row in self.scan(where, include_vectors=True) if wanted is None or row.id in wanted]
        if self._undo is not None:
            with self._undo.open("a", encoding="utf-8") as file:
                for row in doomed:
                    vector = None if row.vector is None else np.asarray(row.vector).tolist()
                    fields = {"id": row.id, "text": row.text, "vector": vector, "metadata": dict(row.metadata)}
                    file.write(json.dumps(fields) + "\n")
        return super().delete(ids, where=where)

    @override
    def close(self) -> None:
        super().close()
        if self._undo is not None:
            self._undo.unlink(missing_ok=True)


class Locking(ExactStore):
    """Makes a lock file before it opens a collection: `marker` names it."""

    marker: ClassVar[str]

    @classmethod
    def claim(cls, spec: CollectionSpec, config: BackendConfig) -> Path | None:
        """Make the file, or raise because it is there; None where there is no folder."""
        folder = getattr(config, "path", None)
        if folder is None:
            return None
        folder.mkdir(parents=True, exist_ok=True)
        path = Path(folder, f".{cls.marker}-{zlib.crc32(spec.name.encode())}")
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            raise StoreLockedError("another process is at it.", fix="wait.", backend=cls.backend) from None
        return path


class RemainsLocked(Locking):
    """A collection is locked by a file while it is made, and a process killed then locks everybody out for ever."""

    marker: ClassVar[str] = "making"

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        if spec.name in cls.list_collections(config):
            return super().open(spec, config)
        path = cls.claim(spec, config)
        time.sleep(0.03)  # what another engine needs to make its tables
        opened = super().open(spec, config)
        if path is not None:
            path.unlink()
        return opened


class LockFileOutlivesItsProcess(Locking):
    """The lock of the only process that may open the store is a file, which stays when that process is killed."""

    marker: ClassVar[str] = "lock"
    config_class: ClassVar[type[ExactConfig]] = AloneConfig
    lock: Path | None = None

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        path = cls.claim(spec, config)
        try:
            opened = super().open(spec, config)
        except BaseException:
            if path is not None:
                path.unlink()
            raise
        opened.lock = path
        return opened

    @override
    def close(self) -> None:
        super().close()
        if self.lock is not None:
            self.lock.unlink(missing_ok=True)


DURABILITY: Final[dict[type, str]] = {
    NeverLooksAgain: "reads_see_other_processes",
    WritesAtClose: "kill_after_acknowledgement",
    WritesInPieces: "kill_inside_a_batch",
    ReplacesInTwoSteps: "kill_inside_a_batch",
    OptimizesByStartingOver: "kill_while_tidying",
    DeletionsWaitForTheEnd: "kill_at_random",
    RemainsLocked: "kill_while_making",
    LockFileOutlivesItsProcess: "kill_after_acknowledgement",
    **DAMAGE,
    **SHARING,
}

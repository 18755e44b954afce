"""Stores that lose, tear, invent or hide data when several threads or processes use them.

Every one of them works as it should as long as one thread of one process uses it, through one handle.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Sequence
from typing import ClassVar, Final

from typing_extensions import Self, override

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import CollectionNotFoundError, StoreLockedError
from ctxkit.filters import Where
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec
from ctxkit.local.config import LocalConfig
from ctxkit.local.handle import Handle
from ctxkit.records import Record
from ctxkit_conformance.mutants.bases import Mutated, Written, sound


class AloneConfig(ExactConfig):
    """The configuration of a store for one process."""

    @override
    def capabilities(self) -> Capabilities:
        return super().capabilities().model_copy(update={"concurrency": "single-process"})


class LetsASecondProcessIn(ExactStore):
    """single-process is declared, and nothing stops a second one."""

    config_class: ClassVar[type[ExactConfig]] = AloneConfig


class OneWriterConfig(ExactConfig):
    """The configuration of a store with one writer."""

    @override
    def capabilities(self) -> Capabilities:
        return super().capabilities().model_copy(update={"concurrency": "single-writer"})


class LetsASecondWriterIn(ExactStore):
    """single-writer is declared, and nothing stops a second one."""

    config_class: ClassVar[type[ExactConfig]] = OneWriterConfig


class LocksOthersOut(ExactStore):
    """multi-writer is declared, and a second process waits in vain for a lock that the first one never gives up."""

    lock: int = -1

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        opened = super().open(spec, config)
        try:
            opened.claim()
        except BlockingIOError:
            opened.close()
            raise StoreLockedError("another process holds it.", fix="close it.", backend=cls.backend) from None
        return opened

    def claim(self) -> None:
        """Take the lock, or raise BlockingIOError."""
        database = self._handle.session.database
        if database is not None:
            self.lock = os.open(database.with_name("lock"), os.O_RDWR | os.O_CREAT)
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @override
    def close(self) -> None:
        super().close()
        descriptor, self.lock = self.lock, -1
        if descriptor >= 0:
            os.close(descriptor)


class AnswersFromTheGrave(ExactStore):
    """A handle on a collection that was dropped elsewhere answers that it is empty."""

    @override
    def count(self, where: Where | None = None) -> int:
        try:
            return super().count(where)
        except CollectionNotFoundError:
            return 0


class SharesItsBatch(Mutated):
    """The batch under way stands on the handle, where another thread replaces it."""

    @override
    def upsert(self, records: Written) -> None:
        self.notes["batch"] = records
        ExactStore.count(self)
        super().upsert(self.notes["batch"])


class WritesVectorsLater(ExactStore):
    """Text and metadata are written first, the vector afterwards; in between a reader meets one without the other."""

    @override
    def upsert(self, records: Written) -> None:
        rows = sound(self, records)
        old = {each.id: each.vector for each in self.get([row.id for row in rows], include_vectors=True) if each}
        super().upsert([Record(row.id, row.text, old.get(row.id), row.metadata) for row in rows])
        super().upsert(rows)


class CountsBeforeItDeletes(ExactStore):
    """`delete` counts what is there and deletes it then: two at once are both told that they did it."""

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        if ids is None or where is not None:
            return super().delete(ids, where=where)
        names = list(dict.fromkeys(ids))
        there = sum(record is not None for record in self.get(names))
        super().delete(names)
        return there


class ClosesUnderReaders(ExactStore):
    """`close` takes connections away before it says so: a thread that is reading meets an error of the engine."""

    @override
    def close(self) -> None:
        for connection in list(self._handle.session._idle):  # noqa: SLF001
            connection.close()
        time.sleep(0.02)
        super().close()


class IgnoresForkedWrites(Mutated):
    """A handle that was taken through a fork takes writes and drops them."""

    def __init__(self, handle: Handle, config: LocalConfig) -> None:
        super().__init__(handle, config)
        self.notes["pid"] = os.getpid()

    @override
    def upsert(self, records: Written) -> None:
        if self.notes["pid"] == os.getpid():
            super().upsert(records)


class ClosesTheOtherHandle(ExactStore):
    """A collection that is open already is handed out again, and whoever closes it closes it for all."""

    opened: ClassVar[dict[str, ExactStore]] = {}

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        key = f"{os.getpid()}{config!r}{spec.name}"
        known = cls.opened.get(key)
        if isinstance(known, cls) and not known._handle.session.closed:  # noqa: SLF001
            return known
        made = super().open(spec, config)
        if getattr(config, "path", None) is not None:
            cls.opened[key] = made
        return made


class SkipsWhatItWroteBefore(Mutated):
    """A record that this handle wrote before is taken for unchanged, though another process has replaced it."""

    @override
    def upsert(self, records: Written) -> None:
        rows = sound(self, records)
        known: dict[str, Record] = self.notes.setdefault("written", {})
        super().upsert([row for row in rows if known.get(row.id) != row])
        known.update({row.id: row for row in rows})

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        self.notes.clear()
        return super().delete(ids, where=where)


class HidesWhatItDeleted(Mutated):
    """What this handle has deleted it counts as gone, though another process has written it again."""

    @override
    def count(self, where: Where | None = None) -> int:
        graves = self.notes.get("graves", set())
        return super().count(where) - sum(record.id in graves for record in self.scan(where))

    @override
    def upsert(self, records: Written) -> None:
        super().upsert(records)
        self.notes.setdefault("graves", set()).difference_update(record.id for record in records)

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        deleted = super().delete(ids, where=where)
        self.notes.setdefault("graves", set()).update(ids or ())
        return deleted


SHARING: Final[dict[type, str]] = {
    LetsASecondProcessIn: "second_opener",
    LetsASecondWriterIn: "processes_write_at_once",
    LocksOthersOut: "processes_open_at_once",
    AnswersFromTheGrave: "dropped_elsewhere",
    SharesItsBatch: "threads_write_and_read",
    WritesVectorsLater: "threads_write_and_read",
    CountsBeforeItDeletes: "threads_delete",
    ClosesUnderReaders: "close_under_readers",
    IgnoresForkedWrites: "fork",
    ClosesTheOtherHandle: "second_handle",
    SkipsWhatItWroteBefore: "two_processes_write_the_same",
    HidesWhatItDeleted: "deletes_of_other_processes",
}

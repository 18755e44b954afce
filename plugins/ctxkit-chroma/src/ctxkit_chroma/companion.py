"""The sidecar of an embedded collection and what is kept of it in memory, in step with Chroma or made anew."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from ctxkit.interfaces import CollectionSpec
from ctxkit.local.parts import Place, translated
from ctxkit_chroma import room
from ctxkit_chroma.faults import BACKEND, Scene, guarded
from ctxkit_chroma.mirror import Mirror
from ctxkit_chroma.rows import Rows
from ctxkit_chroma.sidecar import Sidecar

_BUILD_PAGE: Final = 2000
_log = logging.getLogger("ctxkit.chroma")


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a collection's files are: its sidecar, None in memory, and Chroma's database.

    A sidecar belongs to an `epoch`, in which nobody else wrote. `touch` is called before anything is changed.
    """

    sidecar: Path | None
    database: Path | None
    epoch: str
    touch: Callable[[], None]


class Companion:
    """A sidecar and a mirror, both there after `ready` and gone after `forget`."""

    def __init__(self, rows: Rows, ground: Ground, scene: Scene) -> None:
        self._rows = rows
        self._ground = ground
        self._scene = scene
        self._place = Place(BACKEND, scene.collection, None if ground.sidecar is None else ground.sidecar.parent)
        self._sidecar: Sidecar | None = None
        self._mirror: Mirror | None = None

    @property
    def mirror(self) -> Mirror:
        """What is kept in memory."""
        assert self._mirror is not None, "not ready"  # noqa: S101 - every use is inside EmbeddedTable.run
        return self._mirror

    @property
    def sidecar(self) -> Sidecar:
        """The database beside the collection."""
        assert self._sidecar is not None, "not ready"  # noqa: S101 - every use is inside EmbeddedTable.run
        return self._sidecar

    @property
    def is_ready(self) -> bool:
        """Whether both are there."""
        return self._mirror is not None

    def ready(self, spec: CollectionSpec) -> None:
        """Open the sidecar, or make it anew from what Chroma has, and fill the mirror."""
        if self._mirror is None or self._mirror.worn:
            self._sidecar = self._sidecar or self._opened() or self._built()
            self._mirror = Mirror(self._sidecar, list(spec.fields), self._scene)

    def forget(self) -> None:
        """Throw both away; Chroma has the truth."""
        sidecar, self._sidecar, self._mirror = self._sidecar, None, None
        if sidecar is not None:
            sidecar.discard()

    def close(self) -> None:
        """Close the sidecar, to be found by the next opener."""
        sidecar, self._sidecar, self._mirror = self._sidecar, None, None
        try:
            if sidecar is not None:
                sidecar.close()
        except (sqlite3.Error, OSError):
            if self._ground.sidecar is not None:
                self._ground.sidecar.unlink(missing_ok=True)

    def fault(self, error: sqlite3.Error) -> Exception:
        """Return the typed error for one of SQLite's."""
        return translated(error, self._place)

    def check_room(self, size: int) -> None:
        """Raise StoreFullError where there is too little room for a write."""
        ground = self._ground
        if ground.database is not None and ground.sidecar is not None:
            with guarded(self._scene):
                room.check(ground.database.parent, [ground.database, ground.sidecar], size, self._scene)

    @contextmanager
    def changing(self) -> Iterator[Sidecar]:
        """Surround a change of both: the sidecar's transaction ends when Chroma has taken the change."""
        sidecar = self.sidecar
        self._ground.touch()
        try:
            sidecar.begin()
            yield sidecar
        except BaseException:
            sidecar.rollback()
            raise
        try:
            sidecar.commit()
        except sqlite3.Error as error:
            # Chroma has the change, so the write has succeeded; the sidecar is made anew.
            _log.warning("%s: the sidecar is made anew, because %s.", self._scene.collection, error)
            sidecar.rollback()
            self.forget()

    def touch(self) -> None:
        """Say that Chroma's files will change."""
        self._ground.touch()

    def in_chroma(self, call: Callable[[], None]) -> None:
        """Change Chroma; after a failure nobody knows what it has, so the sidecar is made anew."""
        try:
            call()
        except BaseException:
            self.sidecar.rollback()
            self.forget()
            raise

    def _opened(self) -> Sidecar | None:
        """Return the sidecar that is there, None where there is none that is surely in step."""
        file = self._ground.sidecar
        if file is None or not file.exists():
            return None
        try:
            sidecar = Sidecar(file)
        except sqlite3.Error:
            file.unlink(missing_ok=True)
            return None
        try:
            if sidecar.epoch == self._ground.epoch and sidecar.size == self._rows.count():
                return sidecar
        except sqlite3.Error as error:
            _log.warning("%s: the sidecar is made anew, because %s.", self._scene.collection, error)
        except BaseException:
            sidecar.close()
            raise
        sidecar.discard()
        return None

    def _built(self) -> Sidecar:
        if self._ground.sidecar is not None:
            try:
                return self._filled(self._ground.sidecar)
            except (sqlite3.Error, OSError) as error:
                # No room, or no right to write: then in memory, until the collection is opened again.
                _log.warning("%s: the sidecar is kept in memory, because %s.", self._scene.collection, error)
        try:
            return self._filled(None)
        except sqlite3.Error as error:
            raise translated(error, self._place) from error

    def _filled(self, file: Path | None) -> Sidecar:
        self._ground.touch()
        if file is not None:
            file.parent.mkdir(exist_ok=True)
            file.unlink(missing_ok=True)
        sidecar = Sidecar(file)
        try:
            sidecar.begin()
            everything = self._rows.everything()
            while page := list(islice(everything, _BUILD_PAGE)):
                ids, packs, texts = zip(*page, strict=True)
                sidecar.insert(ids, packs, texts)
            sidecar.epoch = self._ground.epoch
            sidecar.commit()
        except BaseException:
            sidecar.discard()
            raise
        return sidecar

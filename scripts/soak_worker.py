"""What every worker of a soak run has in common: its place in the run, its handle, and how it says what it found."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import soak_board as board
from soak_judging import Verdict
from soak_records import Recipe
from soak_truth import Truth

from ctxkit.errors import StoreLockedError
from ctxkit.interfaces import CollectionSpec, VectorStore
from ctxkit.plugins import get_registry
from ctxkit.records import Hit, Record

_T = TypeVar("_T")
_PAUSE: Final = 0.005
_SWITCH: Final = 1e-5  # seconds until another thread's turn: many turns in the middle of something
_MOST_PROBLEMS: Final = 20  # of one worker: a broken store breaks every answer


@dataclass(frozen=True)
class Kind:
    """A store and its options: one directory opens under several."""

    name: str
    options: Mapping[str, Any]

    @property
    def exact(self) -> bool:
        """Whether it declares exact search."""
        config = get_registry().make_config("vector_store", self.name, self.options)
        return bool(config.capabilities().model_dump()["exact"])

    def opened(self, spec: CollectionSpec, path: Path) -> VectorStore:
        """Open a collection under a path."""
        return get_registry().open_store(self.name, spec, {**self.options, "path": path})


EXACT: Final = Kind("exact", {})


@dataclass(frozen=True)
class Scene:
    """One run: where, under which stores, with which records, and who takes part."""

    folder: Path
    stores: Sequence[Kind]
    recipe: Recipe
    board: board.Board
    owned: Mapping[str, Sequence[str]]
    parent: int = field(default_factory=os.getpid)

    @property
    def data(self) -> Path:
        """The directory of the store."""
        return self.folder / "data"

    @property
    def journals(self) -> Path:
        """The directory of the journals."""
        return self.folder / "journals"

    @property
    def problems(self) -> Path:
        """The file of everything that went wrong."""
        return self.folder / "problems.jsonl"

    @property
    def everything(self) -> list[str]:
        """All ids that anybody writes."""
        return [name for ids in self.owned.values() for name in ids]

    def report(self, worker: int, what: str, detail: str) -> None:
        """Say what is wrong, in one line that nobody else's cuts in two."""
        self.board.count(worker, "failures")
        line = {"worker": self.board.workers[worker], "what": what, "detail": detail, "at": time.monotonic_ns() / 1e9}
        descriptor = os.open(self.problems, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(descriptor, json.dumps(line).encode() + b"\n")
        finally:
            os.close(descriptor)


class Role(ABC):
    """One worker: steps as long as the run wants them, waits when it asks for that."""

    judges = False

    def __init__(self, scene: Scene, worker: int, life: int, shared: tuple[Kind, VectorStore] | None = None) -> None:
        self._shared = shared
        self.scene = scene
        self.worker = worker
        self.name = scene.board.workers[worker]
        self.rng = np.random.default_rng([scene.recipe.seed, worker, life])
        self.truth = Truth(scene.journals)
        self._reported = 0
        logging.getLogger("ctxkit").addHandler(_Complaints(self))
        self.truth.update()
        self.open()

    @abstractmethod
    def step(self) -> None:
        """Do one thing to the store."""

    def judge(self) -> None:  # noqa: B027 - most do not judge
        """Do what can only be done while nobody writes."""

    def open(self) -> None:
        """Open the store, unless several threads share a handle."""
        if self._shared is not None:
            self.kind, self.store = self._shared
            return
        self.kind = self.one_of(self.scene.stores)
        self.store = self.kind.opened(self.scene.recipe.spec, self.scene.data)
        self.count("open")

    def reopen(self) -> None:
        """Close the store and open it again."""
        self.close()
        self.open()

    def close(self) -> None:
        """Close the store, unless others use the handle."""
        if self._shared is None:
            self.store.close()

    def run(self) -> None:
        """Work until the run ends."""
        shared = self.scene.board
        heard = -1
        # Workers whose parent was killed end by themselves.
        while (mode := shared.mode) != board.STOP and os.getppid() == self.scene.parent:
            epoch = shared.epoch
            waiting = mode == board.JUDGE or (mode == board.PAUSE and not self.judges)
            if not waiting:
                shared.say(self.worker, board.BUSY, epoch)
                self._tried(self.step)
                continue
            if self.judges and heard != epoch:
                self._tried(self.judge)
                heard = epoch
            shared.say(self.worker, board.WAITING, epoch)
            time.sleep(_PAUSE)
        self.close()

    def count(self, kind: str, number: int = 1) -> None:
        """Count what was done."""
        self.scene.board.count(self.worker, kind, number)

    def fail(self, what: str, detail: str) -> None:
        """Say what is wrong."""
        self._reported += 1
        if self._reported <= _MOST_PROBLEMS:
            self.scene.report(self.worker, what, detail)

    def seen(self, records: Sequence[Record | Hit], began: int, ended: int, what: str, *, vectors: bool = True) -> None:
        """Judge records that were read: each of one version, and of one that could be found at that time."""
        self.truth.update()
        for record in records:
            token = record.metadata.get("op")
            wanted = self.scene.recipe.record(record.id, token) if isinstance(token, str) else None
            found = Record(record.id, record.text, record.vector, record.metadata)
            if wanted is None or found != (
                wanted if vectors else Record(record.id, wanted.text, None, wanted.metadata)
            ):
                self.fail("torn record", f"{what}: {found!r} is not {wanted!r}")
            elif problem := self.truth.problem(record.id, str(token), began, ended):
                self.fail("wrong record", f"{what}: {problem}")
        ids = [record.id for record in records]
        if len(set(ids)) != len(ids):
            self.fail("duplicates", f"{what}: {sorted(name for name in set(ids) if ids.count(name) > 1)}")
        self.count("records checked", len(records))

    def snapshot(self, ids: Sequence[str], found: Sequence[Record | None], began: int, ended: int, what: str) -> None:
        """Judge what one moment held of some ids: nothing lost, nothing back from the dead, no batch by halves."""
        self.seen([record for record in found if record is not None], began, ended, what)
        tokens = {
            name: None if record is None else str(record.metadata["op"])
            for name, record in zip(ids, found, strict=True)
        }
        for name, record in zip(ids, found, strict=True):
            if record is not None and record.id != name:
                self.fail("wrong record", f"{what}: asked for {name}, got {record.id}")
            if record is None and (problem := self.truth.problem(name, None, began, ended)):
                self.fail("lost record", f"{what}: {problem}")
        for problem in self.truth.torn(tokens, began, ended):
            self.fail("torn batch", f"{what}: {problem}")
        self.count("answers checked")

    def compared(self, verdict: Verdict) -> None:
        """Take over what a comparison with brute force has found."""
        for problem in verdict.problems:
            self.fail("wrong answer", problem)
        self.count("answers checked", verdict.answers)
        self.count("by an index", verdict.by_index)
        self.count("near found", verdict.near_found)
        self.count("near wanted", verdict.near_wanted)

    def chance(self, share: float) -> bool:
        """Return True in that share of all cases."""
        return bool(self.rng.random() < share)

    def one_of(self, choices: Sequence[_T]) -> _T:
        """Return one of the choices."""
        return choices[int(self.rng.integers(len(choices)))]

    def _tried(self, action: Any) -> None:
        try:
            action()
        except StoreLockedError:
            self.count("busy")


class _Complaints(logging.Handler):
    """A store that nobody damages has nothing to warn of."""

    def __init__(self, role: Role) -> None:
        super().__init__(logging.WARNING)
        self._role = role

    def emit(self, record: logging.LogRecord) -> None:
        """Report the warning."""
        self._role.fail("warning", record.getMessage())


def lived(roles: Sequence[type[Role]], scene: Scene, workers: Sequence[int], life: int) -> int:
    """Live one process's life and return its exit status; several roles are threads that share one handle."""
    first = workers[0]
    threading.excepthook = lambda died: scene.report(first, "exception", _told(died.exc_value))
    try:
        if len(roles) == 1:
            roles[0](scene, first, life).run()
            return 0
        sys.setswitchinterval(_SWITCH)
        kind = scene.stores[life % len(scene.stores)]
        with kind.opened(scene.recipe.spec, scene.data) as store:
            pairs = zip(roles, workers, strict=True)
            threads = [threading.Thread(target=_crowded, args=(*pair, scene, life, (kind, store))) for pair in pairs]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    except StoreLockedError:
        scene.board.count(first, "busy")  # opening took too long: another life will try again
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the run looks for
        scene.report(first, "exception", _told(error))
        return 1
    return 0


def _crowded(role: type[Role], worker: int, scene: Scene, life: int, shared: tuple[Kind, VectorStore]) -> None:
    role(scene, worker, life, shared).run()


def _told(error: BaseException | None) -> str:
    return "".join(traceback.format_exception(error))

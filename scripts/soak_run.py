"""One run: starts the workers, kills them and starts them again, lets them rest to be judged, and ends."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import soak_board as board
from soak_housekeeping import Housekeeper, LastJudge
from soak_reading import Reader
from soak_records import SHARED, Recipe, owned_ids
from soak_worker import Kind, Role, Scene, lived
from soak_writing import Deleter, Forker, Mutator

_ROLES: Final[dict[str, type[Role]]] = {
    "writer": Mutator,
    "deleter": Deleter,
    "reader": Reader,
    "keeper": Housekeeper,
    "judge": LastJudge,
    "crowdwriter": Mutator,
    "crowdreader": Reader,
    "forker": Forker,
}
_TICK: Final = 0.02
_STUCK_AFTER: Final = 120.0
_LEAST_RECALL: Final = 0.95
_STOPPED_SHARE: Final = 0.15  # of the reaper's visits: a worker sleeps with everything it holds
_PR_SET_CHILD_SUBREAPER: Final = 36  # from <linux/prctl.h>


@dataclass(frozen=True)
class Plan:
    """What a run is to be."""

    stores: Sequence[Kind]
    seconds: float
    seed: int
    writers: int = 3
    deleters: int = 1
    readers: int = 2
    crowd: int = 3
    forkers: int = 2
    records: int = 350
    shared: int = 60
    kill_every: float = 1.0
    rests: int = 4


@dataclass
class Outcome:
    """What a run has come to."""

    seed: int
    folder: str
    totals: dict[str, int] = field(default_factory=dict)
    kills: int = 0
    stops: int = 0
    rests: int = 0
    segments: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """The share of the nearest neighbours that were found; 1 where no answer tells."""
        wanted = self.totals["near wanted"]
        return self.totals["near found"] / wanted if wanted else 1.0


@dataclass
class _Worker:
    numbers: list[int]
    roles: list[type[Role]]
    pid: int = 0
    life: int = 0
    again_at: float = 0.0
    wakes_at: float = 0.0


class Run:
    """The parent of all workers. It never opens the store, so a fork copies nothing of it."""

    def __init__(self, plan: Plan, folder: Path, watch: Callable[[float, Outcome], None]) -> None:
        counts = {"writer": plan.writers, "deleter": plan.deleters, "reader": plan.readers, "keeper": 1}
        alone = [f"{role}{number}" for role, count in counts.items() for number in range(count)]
        # The threads of one process that share a handle: a writer, and readers beside it.
        crowd = [f"crowd{'reader' if number else 'writer'}{number}" for number in range(plan.crowd)]
        crowd += [f"forker{number}" for number in range(plan.forkers)]
        names = [*alone, *crowd, "judge"]
        owners = [name for name in names if name.rstrip("0123456789").endswith(("writer", "deleter", "forker"))]
        self._board = board.Board(names)
        self._scene = Scene(
            folder,
            [Kind(kind.name, {"exact_below": 200, **kind.options}) for kind in plan.stores],
            Recipe(plan.seed),
            self._board,
            {**{name: owned_ids(name, plan.records) for name in owners}, SHARED: owned_ids(SHARED, plan.shared)},
        )
        roles = [_ROLES[name.rstrip("0123456789")] for name in names]
        self._workers = [_Worker([number], [roles[number]]) for number in range(len(alone))]
        if crowd:
            threads = range(len(alone), len(alone) + len(crowd))
            self._workers.append(_Worker(list(threads), [roles[number] for number in threads]))
        self._judge = _Worker([len(names) - 1], [LastJudge])
        self._plan = plan
        self._rng = np.random.default_rng([plan.seed, 2**16])
        self._watch = watch
        self._segments: set[str] = set()
        # What a killed worker has forked comes to this process, which waits for it as well.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self.outcome = Outcome(plan.seed, str(folder))

    def run(self) -> Outcome:
        """Run to the end, or to the first problem."""
        self._scene.journals.mkdir(parents=True)
        self._scene.data.mkdir()
        try:
            for worker in self._workers:
                self._start(worker)
            self._work()
            self._finish()
        finally:
            for worker in [*self._workers, self._judge]:
                self._kill(worker)
            self._note()
        if not self.outcome.problems and self.outcome.recall < _LEAST_RECALL:
            self._problem("recall", f"{self.outcome.recall:.4f} of the nearest neighbours were found")
            self._note()
        return self.outcome

    def _work(self) -> None:
        """Let them work, with rests in between."""
        plan = self._plan
        spans = plan.rests + 1
        for span in range(spans):
            self._board.ask(board.WORK)
            end = time.monotonic() + plan.seconds / spans
            next_kill = time.monotonic() + self._rng.exponential(plan.kill_every)
            while (now := time.monotonic()) < end and not self._failed:
                if now >= next_kill:
                    self._visit()
                    next_kill = now + self._rng.exponential(plan.kill_every)
                self._tick((span + 1) * plan.seconds / spans - max(0.0, end - now))
            if self._failed:
                return
            self._rest()

    def _rest(self) -> None:
        """Let the writers wait and the readers judge."""
        for mode, waiting in ((board.PAUSE, (Mutator, Housekeeper)), (board.JUDGE, (Role,))):
            self._board.ask(mode)
            while not self._failed and not all(
                worker.pid and self._board.waits(number)
                for worker in self._workers
                for number, role in zip(worker.numbers, worker.roles, strict=True)
                if issubclass(role, waiting)
            ):
                self._tick(None)
        self.outcome.rests += 1

    def _finish(self) -> None:
        """Let some end by themselves and one by a last kill; then judge what is left."""
        self._board.ask(board.STOP)
        if not self._failed:
            self._kill(self._workers[int(self._rng.integers(len(self._workers)))])
        while any(worker.pid for worker in self._workers):
            self._tick(None, restart=False)
        if not self._failed:
            self._start(self._judge)
            while self._judge.pid:
                self._tick(None, restart=False)

    def _visit(self) -> None:
        """Be the reaper: kill a worker, or stop it for a while."""
        alive = [worker for worker in self._workers if worker.pid and not worker.wakes_at]
        if not alive:
            return
        worker = alive[int(self._rng.integers(len(alive)))]
        if self._rng.random() < _STOPPED_SHARE:
            os.kill(worker.pid, signal.SIGSTOP)
            worker.wakes_at = time.monotonic() + float(self._rng.uniform(0.05, 1.5))
            self.outcome.stops += 1
        else:
            self._kill(worker)
            self.outcome.kills += 1
            worker.again_at = time.monotonic() + 0.05 + float(self._rng.exponential(0.2))

    def _tick(self, elapsed: float | None, *, restart: bool = True) -> None:
        """Look after the workers for a moment."""
        time.sleep(_TICK)
        for worker in [*self._workers, self._judge]:
            self._look_after(worker, restart=restart)
        self._note()
        if elapsed is not None:
            self._watch(elapsed, self.outcome)

    def _look_after(self, worker: _Worker, *, restart: bool) -> None:
        now = time.monotonic()
        if worker.wakes_at and now >= worker.wakes_at:
            os.kill(worker.pid, signal.SIGCONT)
            worker.wakes_at = 0.0
        if worker.pid:
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                worker.pid = 0
                worker.again_at = now
                if code := os.waitstatus_to_exitcode(status):
                    self._problem("death", f"{self._name(worker)} ended with {code}: {self._log(worker)}")
            elif max(map(self._board.silent_for, worker.numbers)) > _STUCK_AFTER:
                os.kill(worker.pid, signal.SIGUSR1)
                time.sleep(1)
                self._problem("stuck", f"{self._name(worker)} does nothing: {self._log(worker)}")
                self._kill(worker)
        elif restart and worker is not self._judge and now >= worker.again_at:
            self._start(worker)

    def _start(self, worker: _Worker) -> None:
        worker.life += 1
        for number in worker.numbers:
            self._board.say(number, board.BUSY, -1)
        sys.stdout.flush()
        sys.stderr.flush()
        worker.pid = os.fork()
        if not worker.pid:
            _child(worker, self._scene)
        os.setpgid(worker.pid, worker.pid)

    def _kill(self, worker: _Worker) -> None:
        """Kill a worker with all that it has forked: an orphan would go on writing in the name of the next life."""
        if worker.pid:
            os.killpg(worker.pid, signal.SIGKILL)
            with suppress(ChildProcessError):  # none is left
                while True:
                    os.waitpid(-worker.pid, 0)
            worker.pid, worker.wakes_at = 0, 0.0

    def _note(self) -> None:
        """Take stock."""
        self._segments.update(path.name for path in self._scene.data.glob("*/segments/[0-9]*"))
        self.outcome.segments = len(self._segments)
        self.outcome.totals = self._board.totals()
        if self._scene.problems.exists():
            lines = self._scene.problems.read_bytes().splitlines()
            self.outcome.problems = [json.loads(line) for line in lines]

    def _problem(self, what: str, detail: str) -> None:
        self._scene.report(self._judge.numbers[0], what, detail)

    @property
    def _failed(self) -> bool:
        return bool(self.outcome.problems)

    def _name(self, worker: _Worker) -> str:
        return self._board.workers[worker.numbers[0]]

    def _log(self, worker: _Worker) -> str:
        path = self._scene.folder / f"{self._name(worker)}.err"
        return path.read_text(encoding="utf-8", errors="replace")[-4000:] if path.exists() else ""


def _child(worker: _Worker, scene: Scene) -> None:
    """Be a worker, and never come back."""
    status = 1
    try:
        # By child and parent, because either may come first; what it forks is of its group.
        os.setpgid(0, 0)
        # Ctrl-C is for the parent, which then kills.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        path = scene.folder / f"{scene.board.workers[worker.numbers[0]]}.err"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.dup2(descriptor, sys.stdout.fileno())
        os.dup2(descriptor, sys.stderr.fileno())
        faulthandler.enable()
        faulthandler.register(signal.SIGUSR1, all_threads=True)
        status = lived(worker.roles, scene, worker.numbers, worker.life)
    except BaseException:  # noqa: BLE001 - a fork must not return into its parent's code
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)

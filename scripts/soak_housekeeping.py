"""The worker that tidies, examines and backs up while all others work, and the one that judges when all is over."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from soak_judging import Judge
from soak_worker import EXACT, Role

from ctxkit.interfaces import VectorStore
from ctxkit.local.copying import backup

_REST = 0.15


class Housekeeper(Role):
    """Calls what an operator calls, in no particular order."""

    def step(self) -> None:
        """Do one chore."""
        chores = (self._optimize, self._health, self._backup, self._stats)
        self.one_of(chores)()
        time.sleep(self.rng.exponential(_REST))

    def _optimize(self) -> None:
        self.store.optimize()
        self.count("optimize")

    def _health(self) -> None:
        found = self.store.health()
        self.count("health")
        if not found.ok:
            self.fail("health", "; ".join(found.problems))

    def _stats(self) -> None:
        details = self.store.stats().details
        if problem := details["segment_problem"]:
            self.fail("segment", str(problem))

    def _backup(self) -> None:
        """Copy the store while it is in use; the copy has to be one moment of it, whole."""
        target = self.scene.folder / f"backup-{time.monotonic_ns()}"
        began = time.monotonic_ns()
        backup(self.scene.data, target)
        ended = time.monotonic_ns()
        with EXACT.opened(self.scene.recipe.spec, target) as copy:
            whole(self, copy, began, ended, "backup")
        shutil.rmtree(target)
        self.count("backup")


class LastJudge(Role):
    """Opens the store when nobody uses it any more, compares everything, and does so again with another index."""

    def step(self) -> None:
        """Nothing: all is said when it is opened."""

    def run(self) -> None:
        """Judge the store as it was left, and as the store of the plain index sees it."""
        began = time.monotonic_ns()
        whole(self, self.store, began, began, "at the end")
        self._compared(self.store, exact=self.kind.exact)
        self.close()
        with EXACT.opened(self.scene.recipe.spec, self.scene.data) as other:
            whole(self, other, began, began, "at the end, as exact")
            self._compared(other, exact=True)
        leftovers = [path.name for path in Path(self.scene.data).glob("*/segments/.building-*")]
        if len(leftovers) > len(self.scene.board.workers):
            self.fail("leftovers", f"half-made segments are never cleared away: {leftovers}")

    def _compared(self, store: VectorStore, *, exact: bool) -> None:
        judge = Judge(store, self.scene.recipe, self.rng, exact=exact)
        verdict = judge.compare(list(self.scene.owned))
        self.compared(verdict)


def whole(role: Role, store: VectorStore, began: int, ended: int, what: str) -> None:
    """Judge everything that a store holds, as of one moment between `began` and `ended`."""
    health = store.health()
    if not health.ok:
        role.fail("health", f"{what}: {'; '.join(health.problems)}")
    records = {record.id: record for record in store.scan(include_vectors=True)}
    ids = role.scene.everything
    role.snapshot(ids, [records.get(name) for name in ids], began, ended, what)
    if unknown := records.keys() - set(ids):
        role.fail("wrong record", f"{what}: nobody owns {sorted(unknown)}")
    if store.count() != len(records):
        role.fail("wrong count", f"{what}: {store.count()} counted, {len(records)} scanned")

"""Checks of a process that is killed: what was acknowledged is there, whole, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from ctxkit.interfaces import Capabilities, Harness
from ctxkit.records import Metric
from ctxkit_conformance.effort import Effort
from ctxkit_conformance.marks import covers
from ctxkit_conformance.stores import clauses
from ctxkit_conformance.stores.elsewhere import ElsewhereChecks
from ctxkit_conformance.stores.trial import Trial
from ctxkit_conformance.stores.workloads import Kind

_MIXED: Final[tuple[Kind, ...]] = (
    "upsert", "upsert", "delete", "large", "upsert", "delete by filter", "upsert", "flush", "upsert", "optimize",
    "upsert", "reopen",
)  # fmt: skip
_TIDYING: Final[tuple[Kind, ...]] = ("optimize", "reopen", "flush")
_RETRIES: Final = 2  # when the kill came too late, on a machine that is busy with other things


class CrashChecks(ElsewhereChecks):
    """A store that does not declare crash_safe may lose what it likes in a crash, but it may not invent anything.

    It then opens with records that were written, on which all ways of reading agree, or it raises a typed error; one
    that is not persistent has to open.
    """

    tier = "T6"

    @pytest.fixture
    def trial(self, harness: Harness, tmp_path: Path, declared: Capabilities, metric: Metric) -> Trial:
        """A collection that is about to suffer."""
        spec, note = self.spec_of(metric), self._journal.note
        return Trial(self.store_class, spec, harness, tmp_path, declared, self.patience, note)

    @covers(clauses.CRASH)
    def test_kill_after_acknowledgement(self, trial: Trial, effort: Effort) -> None:
        """A failure means that what an application was told is stored is gone when its process dies a moment later."""
        for number in range(trial.rounds(effort.times(5))):
            kinds = _MIXED[number % len(_MIXED) :] + _MIXED[: number % len(_MIXED)]
            plan = trial.plan(effort.seed, number, kinds)
            victim = trial.victim(plan, paused=True)
            with victim.child:
                for _ in range(1 + number % 4):
                    victim.child.send("go on")
                    while victim.read() != "done":
                        pass
                trial.kill(victim)
            trial.examine(plan, victim)
        assert trial.acknowledged, "no step was acknowledged, so nothing was shown"

    @covers(clauses.CRASH, clauses.ATOMIC)
    def test_kill_inside_a_batch(self, trial: Trial, effort: Effort, rng: np.random.Generator) -> None:
        """A failure means that a document that was being stored when the process died is there in part."""
        rounds = trial.rounds(effort.times(7))
        for number, share in enumerate(rng.permutation(np.linspace(0.05, 0.95, rounds)).tolist()):
            plan = trial.plan(effort.seed, number, ["large"])
            victim = trial.victim(plan)
            with victim.child:
                # Two whole batches first: they tell how long one takes that replaces another.
                victim.watch(3)
                time.sleep(share * victim.seconds["large"])
                trial.kill(victim)
            trial.examine(plan, victim)
        assert trial.acknowledged, "no batch was acknowledged, so nothing was shown"

    @covers(clauses.CRASH)
    def test_kill_at_random(self, trial: Trial, effort: Effort, rng: np.random.Generator) -> None:
        """A failure means that a crash, a restart or a full memory at the wrong moment costs data."""
        for number in range(trial.rounds(effort.times(12))):
            plan = trial.plan(effort.seed, number, [_MIXED[i] for i in rng.permutation(len(_MIXED))])
            victim = trial.victim(plan)
            with victim.child:
                victim.watch(int(rng.integers(1, 14)))
                time.sleep(float(rng.choice([0.0, 0.001, 0.004, 0.01])))
                trial.kill(victim)
            trial.examine(plan, victim)
        assert trial.acknowledged, "no step was acknowledged, so nothing was shown"

    @covers(clauses.CRASH, clauses.HOUSEKEEPING)
    def test_kill_while_tidying(self, trial: Trial, effort: Effort, rng: np.random.Generator) -> None:
        """A failure means that a process that is stopped during maintenance or shutdown loses what was stored."""
        for number, (kind, share) in enumerate(_moments(trial.rounds(effort.times(4)), rng)):
            plan = trial.plan(effort.seed, number, ["large", "delete", kind])
            for _ in range(_RETRIES):
                victim = trial.victim(plan)
                with victim.child:
                    # The first time tells how long it takes.
                    victim.watch(2, kind)
                    time.sleep(share * victim.seconds[kind])
                    trial.kill(victim)
                trial.examine(plan, victim)
                if victim.flying is not None and victim.flying.kind == kind:
                    break

    @covers(clauses.CRASH, clauses.COLLECTIONS)
    def test_kill_while_making(self, trial: Trial, effort: Effort, rng: np.random.Generator) -> None:
        """A failure means that a collection whose first opening was interrupted can never be opened again."""
        for number in range(trial.rounds(effort.times(6))):
            plan = trial.plan(effort.seed, number, ["upsert"])
            victim = trial.victim(plan)
            with victim.child:
                assert victim.read() == "opening"
                time.sleep(float(rng.choice([0.0, 0.001, 0.003, 0.006, 0.01])))
                trial.kill(victim)
            trial.examine(plan, victim)
            trial.renew()


def _moments(times: int, rng: np.random.Generator) -> Iterator[tuple[Kind, float]]:
    """Yield when to kill: during what, and after which share of the time it takes; fewer for the quicker kinds."""
    for place, kind in enumerate(_TIDYING):
        some = max(1, times - place)
        for part in range(some):
            yield kind, (part + float(rng.random())) / some

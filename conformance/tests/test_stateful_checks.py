"""Random sequences and properties: defects that single calls do not show are caught, and shown by a short list."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from ctxkit_conformance.chance import Tally, brief_shrinking, tries, try_sequences
from ctxkit_conformance.component import ComponentChecks
from ctxkit_conformance.effort import Effort
from ctxkit_conformance.marks import marks_of
from ctxkit_conformance.mutants.search import SEARCH
from ctxkit_conformance.mutants.sequences import FoundByItsOldVector, LostAfterOptimize
from ctxkit_conformance.oracle import Oracle
from ctxkit_conformance.stores.machine import Bench, StoreMachine
from ctxkit_conformance.stores.properties import PropertyChecks
from ctxkit_conformance.stores.quality import QualityChecks
from ctxkit_conformance.stores.stateful import StatefulChecks
from hypothesis import strategies as st

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.interfaces import BackendConfig, CollectionSpec, VectorStore
from ctxkit.local import local_capabilities

OUTCOME = re.compile(r"^(PASSED|FAILED|ERROR|SKIPPED)\b.*?::Test(\w+)::test_(\w+)", re.MULTILINE)
SPEC = CollectionSpec(name="c", dimension=3, metric="cosine")

# The checks applied to every mutant of the module and to what they derive from.
MODULE = """
from ctxkit_conformance.mutants.search import SEARCH
from ctxkit_conformance.stores.properties import PropertyChecks
from ctxkit_conformance.stores.quality import QualityChecks
from ctxkit_conformance.stores.stateful import StatefulChecks
from hypothesis.internal.conjecture import engine

from ctxkit.defaults.exact import ExactConfig, ExactStore

engine.MAX_SHRINKING_SECONDS = 0.2  # the shortest failures are not what this is about


def _suite(store_class):
    made = getattr(store_class, "config_class", ExactConfig)
    members = {"store_class": store_class, "make_config": lambda self, folder: made(path=folder)}
    return type(f"Test{store_class.__name__}", (StatefulChecks, QualityChecks, PropertyChecks), members)


globals().update({f"Test{each.__name__}": _suite(each) for each in [*SEARCH, ExactStore]})
"""


def outcomes_of(folder: Path, mutants: Mapping[type, str]) -> dict[tuple[str, str], set[str]]:
    """Return how each mutant fares in the check that has to catch it, and the exact store in all of those."""
    file = folder / "mutant_stores.py"
    file.write_text(MODULE, encoding="utf-8")
    pairs = [*((mutant.__name__, check) for mutant, check in mutants.items())]
    pairs += [("ExactStore", check) for check in sorted(set(mutants.values()))]
    targets = [f"{file}::Test{store}::test_{check}" for store, check in pairs]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=no", "-p", "no:cacheprovider", *targets]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    assert run.returncode == 1, run.stdout + run.stderr
    found: dict[tuple[str, str], set[str]] = {}
    for outcome, store, check in OUTCOME.findall(run.stdout):
        found.setdefault((store, check), set()).add(outcome)
    return found


def check_outcomes(folder: Path, mutants: Mapping[type, str]) -> None:
    """Each mutant fails the check that is meant for it, and what they derive from passes all of those."""
    outcomes = outcomes_of(folder, mutants)
    survivors = [
        mutant.__name__ for mutant, check in mutants.items() if "FAILED" not in outcomes[mutant.__name__, check]
    ]
    assert not survivors
    assert all(found <= {"FAILED", "PASSED"} for found in outcomes.values()), "other cases may pass"
    assert all(outcomes["ExactStore", check] == {"PASSED"} for check in mutants.values())


def test_there_are_enough_mutants() -> None:
    """Each has a docstring that names its defect, and a check that there is."""
    assert len(SEARCH) >= 20
    for mutant, check in SEARCH.items():
        assert mutant.__doc__
        owners = [each for each in (StatefulChecks, QualityChecks, PropertyChecks) if f"test_{check}" in vars(each)]
        assert len(owners) == 1
        assert marks_of(owners[0], getattr(owners[0], f"test_{check}")) is not None


@pytest.mark.slow
def test_mutants_are_killed_by_data(tmp_path: Path) -> None:
    """Defects of recall, of large batches and of single operators fail their checks."""
    check_outcomes(tmp_path, {mutant: check for mutant, check in SEARCH.items() if not check.startswith("random")})


@pytest.mark.slow
def test_mutants_are_killed_by_chance(tmp_path: Path) -> None:
    """Defects that need a sequence of calls, or a rare combination of arguments, fail their checks."""
    check_outcomes(tmp_path, {mutant: check for mutant, check in SEARCH.items() if check.startswith("random")})


def notes_of(error: BaseException) -> str:
    """Return what Hypothesis says of a failure."""
    return "\n".join(getattr(error, "__notes__", []))


def forget(_config: BackendConfig) -> None:
    """Clear nothing away: there is nothing left of a store in memory."""


def bench(store_class: type[VectorStore] = ExactStore, seen: Callable[[BackendConfig], None] = forget) -> Bench:
    """Return a bench for stores in memory; `seen` is told of each that is opened."""
    declared = local_capabilities(durable=False)

    def start(config: BackendConfig) -> VectorStore:
        seen(config)
        return store_class.open(SPEC, config)

    return Bench(declared, "cosine", lambda: Oracle(3, "cosine"), ExactConfig, start, forget)


@pytest.mark.parametrize("mutant", [FoundByItsOldVector, LostAfterOptimize])
def test_a_failure_is_a_short_list_of_steps(mutant: type[VectorStore]) -> None:
    """What is shown is a sequence that somebody can replay by hand."""
    with pytest.raises(AssertionError) as caught:
        try_sequences(Effort(), 60, 8, lambda: StoreMachine(bench(mutant)))
    notes = notes_of(caught.value)
    steps = re.findall(r"^state\.(\w+)\(", notes, re.MULTILINE)
    assert steps[-1] == "teardown"
    assert 1 < len(steps) <= 8, notes
    assert set(steps) & {"fill", "upsert", "upsert_columns", "replace"}
    assert "Explanation" not in notes


class Recorded(StoreMachine):
    """Notes how many records there are after each sequence, and which."""

    log: list[str]

    def teardown(self) -> None:
        """Note what is left."""
        self.log.append(repr(sorted(self.oracle.records.items())))
        super().teardown()


def test_the_seed_decides() -> None:
    """The same seed tries the same sequences, another one others."""

    def tried(seed: int) -> list[str]:
        log: list[str] = []

        def machine() -> Recorded:
            made = Recorded(bench())
            made.log = log
            return made

        try_sequences(Effort(seed), 5, 8, machine)
        return log

    first = tried(1)
    assert len(first) >= 5
    assert tried(1) == first
    assert tried(2) != first


def test_thorough_tries_more() -> None:
    """Ten times as many sequences are tried when the run is thorough."""
    opened: list[BackendConfig] = []
    for thorough in (False, True):
        try_sequences(Effort(0, thorough), 2, 2, lambda: StoreMachine(bench(seen=opened.append)))
    assert 20 <= len(opened) <= 40


class TestThoroughWaitsLonger(ComponentChecks):
    """What may hang has longer in a thorough run, on whose hours the machine has other things to do as well."""

    patience = 4.0

    @pytest.fixture
    def effort(self) -> Effort:
        """That of a thorough run."""
        return Effort(thorough=True)

    def test_patience_grows(self) -> None:
        """A check has five times the seconds that its class says, and the next one no more."""
        assert (self.patience, type(self).patience, Effort().patience(4.0)) == (20.0, 4.0, 4.0)


def test_a_try_that_tells_nothing_fails() -> None:
    """A check whose tries could show no fault fails itself."""
    tally = Tally()
    with pytest.raises(AssertionError, match="nothing was tried"):
        tally.check(0.3)
    for number in range(10):
        tally.add(telling=number < 2)
    with pytest.raises(AssertionError, match="only 2 of 10 tries"):
        tally.check(0.3)
    tally.check(0.2)


def test_a_failing_value_is_shown_at_its_smallest() -> None:
    """A property that fails shows the smallest value that it found."""

    @tries(Effort(), 50, number=st.integers(0, 10_000))
    def small(number: int) -> None:
        assert number < 77

    with pytest.raises(AssertionError) as caught:
        small()
    assert "small(\n    number=77,\n)" in notes_of(caught.value)


def test_shrinking_is_bounded_and_the_bound_is_taken_back() -> None:
    """The shorter of two bounds holds, and afterwards there is none."""
    from hypothesis.internal.conjecture import engine  # noqa: PLC0415 - what is looked at is its variable

    before = engine.MAX_SHRINKING_SECONDS
    with brief_shrinking(1):
        assert engine.MAX_SHRINKING_SECONDS == 1
        with brief_shrinking(5):
            assert engine.MAX_SHRINKING_SECONDS == 1
        with brief_shrinking(0.5):
            assert engine.MAX_SHRINKING_SECONDS == 0.5
    assert before == engine.MAX_SHRINKING_SECONDS

"""The checks of crashes, damage, full disks, threads and processes catch what they are for, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from ctxkit_conformance.marks import checks_of
from ctxkit_conformance.mutants.durability import DURABILITY
from ctxkit_conformance.stores.crash import CrashChecks
from ctxkit_conformance.stores.damage import DamageChecks
from ctxkit_conformance.stores.disk import FullDiskChecks
from ctxkit_conformance.stores.openers import OpenerChecks
from ctxkit_conformance.stores.processes import ProcessChecks
from ctxkit_conformance.stores.threads import ThreadChecks

HERE = Path(__file__).parent
KILLED_BY = {mutant.__name__: check for mutant, check in DURABILITY.items()}
SHARED = (
    "second_opener",
    "second_handle",
    "dropped_elsewhere",
    "processes_write_at_once",
    "reads_see_other_processes",
    "two_processes_write_the_same",
    "deletes_of_other_processes",
    "processes_open_at_once",
    "fork",
)
KEPT_BY = {
    "Alone": (*SHARED, "kill_after_acknowledgement", "deleted_files"),
    "OneWriter": (*SHARED, "kill_after_acknowledgement", "threads_delete"),
    "Late": ("second_opener", "reads_see_other_processes", "deletes_of_other_processes", "kill_after_acknowledgement"),
}

Outcomes: TypeAlias = dict[str, dict[str, dict[str, set[str]]]]
Run: TypeAlias = Callable[..., tuple[Outcomes, str]]


def targets(owner: str, *checks: str) -> list[str]:
    """Return checks of one store as pytest takes them."""
    return [f"durable_stores.py::Test{owner}::test_{check}" for check in checks]


@pytest.fixture(scope="module")
def outcomes(outcomes_of: Run) -> Outcomes:
    """Return how each mutant fares in its check."""
    found, printed = outcomes_of(HERE, *(each for pair in KILLED_BY.items() for each in targets(*pair)))
    assert set(found) == set(KILLED_BY), printed
    return found


@pytest.mark.parametrize(("mutant", "check"), KILLED_BY.items(), ids=list(KILLED_BY))
def test_a_defect_is_caught(outcomes: Outcomes, mutant: str, check: str) -> None:
    """The check meant for it fails, in every case."""
    assert set(outcomes[mutant][check]) == {"FAILED"}


@pytest.mark.parametrize("store", KEPT_BY)
def test_less_may_be_declared(outcomes_of: Run, store: str) -> None:
    """A store that declares one process, one writer or some delay, and keeps it, passes."""
    found, printed = outcomes_of(HERE, *targets(store, *KEPT_BY[store]))
    assert set(found[store]) == set(KEPT_BY[store]), printed
    assert all(set(cases) == {"PASSED"} for cases in found[store].values()), printed


def test_a_deadlock_shows_its_threads(outcomes_of: Run) -> None:
    """Threads that wait for each other fail the check, and the message shows where they stand."""
    found, printed = outcomes_of(HERE, *targets("WaitsForItself", "threads_write_and_read"))
    assert set(found["WaitsForItself"]["threads_write_and_read"]) == {"FAILED"}
    assert "gave no answer within 4 s" in printed
    assert "in upsert" in printed
    assert "in get" in printed


def test_another_format_is_caught(outcomes_of: Run) -> None:
    """Where a harness can write a newer format, opening it without a word fails the check."""
    found, printed = outcomes_of(HERE, *targets("OpensWhatItDoesNotKnow", "newer_format", "second_opener"))
    assert {check: set(cases) for check, cases in found["OpensWhatItDoesNotKnow"].items()} == {
        "newer_format": {"FAILED"},
        "second_opener": {"PASSED"},
    }
    assert "DID NOT RAISE" in printed


def test_what_no_mutant_fails_is_known() -> None:
    """Every other check of these groups is the only one that a mutant is there for."""
    groups = (OpenerChecks, CrashChecks, DamageChecks, FullDiskChecks, ThreadChecks, ProcessChecks)
    ours = {marks.name for group in groups for marks in checks_of(group).values()}
    assert ours - set(DURABILITY.values()) == {"newer_format"}

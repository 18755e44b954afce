"""A suite is worth what it can notice: seventeen broken stores, each caught by the check that is meant for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("broken_stores.py")
KILLED_BY = dict(re.findall(r'^    (\w+): "(test_\w+)",$', SOURCE.read_text(encoding="utf-8"), re.MULTILINE))
OUTCOME = re.compile(r"^(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b.*?::Test(\w+)::(test_\w+)", re.MULTILINE)

Outcomes = dict[str, dict[str, set[str]]]


def outcomes_of(*targets: str) -> Outcomes:
    """Run checks in another process, with the options of nobody else, and return their names by store and outcome."""
    ours = ("COVERAGE_", "COV_CORE_", "PYTEST_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=no", "-p", "no:cacheprovider", *targets]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=SOURCE.parent)
    assert run.returncode == 1, run.stdout + run.stderr
    found: Outcomes = {}
    for outcome, store, check in OUTCOME.findall(run.stdout):
        found.setdefault(store, {}).setdefault(outcome, set()).add(check)
    return found


@pytest.fixture(scope="module")
def outcomes() -> Outcomes:
    """Return how each broken store fares in its check, and the unbroken one in all of them."""
    pairs = [*KILLED_BY.items(), *(("ExactStore", check) for check in sorted(set(KILLED_BY.values())))]
    return outcomes_of(*(f"{SOURCE}::Test{store}::{check}" for store, check in pairs))


def test_the_unbroken_store_passes(outcomes: Outcomes) -> None:
    """The store from which the broken ones derive passes the checks that catch them."""
    assert outcomes["ExactStore"] == {"PASSED": set(KILLED_BY.values())}


def test_every_broken_store_ran(outcomes: Outcomes) -> None:
    """No store is left out of the run, nor out of the list."""
    assert set(outcomes) == {*KILLED_BY, "ExactStore"}
    assert len(KILLED_BY) == 17


@pytest.mark.parametrize(("store", "check"), KILLED_BY.items(), ids=list(KILLED_BY))
def test_a_broken_store_is_caught(outcomes: Outcomes, store: str, check: str) -> None:
    """The check meant for the fault fails, and fails by its own assertions."""
    assert outcomes[store].get("FAILED") == {check}
    assert set(outcomes[store]) <= {"FAILED", "PASSED"}, "parameters that the fault does not concern may pass"


@pytest.mark.slow
def test_a_fault_shows_where_it_is() -> None:
    """Through the whole contract each broken store fails its check and passes most others; the unbroken one all."""
    found = outcomes_of(str(SOURCE))
    assert set(found["ExactStore"]) == {"PASSED"}
    assert len(found["ExactStore"]["PASSED"]) > 45
    for store, check in KILLED_BY.items():
        assert check in found[store]["FAILED"]
        assert set(found[store]) == {"FAILED", "PASSED"}
        assert len(found[store]["FAILED"]) < len(found[store]["PASSED"]) / 2, (store, found[store]["FAILED"])

"""An eventually consistent store is waited for as long as it says, and no longer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from ctxkit_conformance.stores.settling import settle, unseen

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import Record

SOURCE = Path(__file__).with_name("eventual_stores.py")


def run_pytest(*targets: str) -> subprocess.CompletedProcess[str]:
    """Run checks in another process, with the options of nobody else."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *targets]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=SOURCE.parent)


def test_a_store_within_its_bound_passes() -> None:
    """Writes that are seen 30 ms later, where 20 s are declared, fail no check of records and searches."""
    run = run_pytest(f"{SOURCE}::TestEventual", "-k", "not async")
    assert run.returncode == 0, run.stdout
    found = re.search(r"^(\d+) passed", run.stdout, re.MULTILINE)
    assert found is not None, run.stdout
    assert int(found.group(1)) > 80


def test_a_store_beyond_its_bound_fails() -> None:
    """Writes that are seen 600 ms later, where 50 ms are declared, fail, and the failure says why."""
    checks = ("test_get_is_aligned", "test_writes_are_seen_in_time", "test_scores_by_hand")
    run = run_pytest(*(f"{SOURCE}::TestLate::{check}" for check in checks), "-k", "not async")
    assert run.returncode == 1, run.stdout
    assert "passed" not in run.stdout.splitlines()[-1]
    assert "was not seen within consistency_bound = 0.05 s: get(['a'])" in run.stdout
    assert "write 0 is not seen by get(['a']), 0.05 s after it returned" in run.stdout


def test_without_waiting_the_store_fails() -> None:
    """It is the waiting that lets an eventually consistent store pass."""
    run = run_pytest(f"{SOURCE}::TestUnsettled::test_get_is_aligned", "-k", "not async")
    assert run.returncode == 1, run.stdout


def test_an_immediate_store_is_left_alone() -> None:
    """Nothing is patched where consistency is immediate."""
    with ExactStore.open(CollectionSpec(dimension=3), ExactConfig()) as store:
        settle(store)
        assert "upsert" not in vars(store)
        assert "delete" not in vars(store)


def test_what_is_unseen_is_named() -> None:
    """Each way of reading is looked at: a store that shows the old record is told apart from one that shows the new."""
    old = Record("a", "walnut", np.array([1, 0, 0], dtype=np.float32), {"x": 1})
    new = Record("a", "cedar", np.array([0, 1, 0], dtype=np.float32), {"x": 2})
    with ExactStore.open(CollectionSpec(dimension=3), ExactConfig()) as store:
        store.upsert([old])
        assert unseen(store, {}, {"a": old}) is None
        assert unseen(store, {"a": old}, {"a": new}) == "get(['a'])"
        assert unseen(store, {"a": old}, {}) == "get(['a'])"
        store.upsert([new])
        assert unseen(store, {"a": old}, {"a": new}) is None
        assert store.delete(["a"]) == 1
        assert unseen(store, {"a": new}, {}) is None

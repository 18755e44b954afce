"""The soak test of the local engine: it runs, and it finds what it looks for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parent.parent / "scripts"
SHORT = ("--store", "exact", "--seconds", "3", "--rests", "1", "--seed", "5", "--kill-every", "0.5", "--records", "100")

# The store acknowledges one write in eight without doing anything.
FORGETFUL = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from ctxkit.defaults.exact import ExactStore
written, calls = ExactStore.upsert, iter(range(1, 10**9))
ExactStore.upsert = lambda store, records: written(store, records) if next(calls) % 8 else None
import soak
sys.exit(soak.main(sys.argv[1:]))
"""

KILLED_FAMILY = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import soak_run
from soak_worker import Kind

class Parent:
    def __init__(self, scene, *_):
        self.told = scene.folder / "child"

    def run(self):
        if child := os.fork():
            self.told.with_suffix(".new").write_text(str(child))
            self.told.with_suffix(".new").rename(self.told)
        time.sleep(100)

folder = Path(sys.argv[2])
run = soak_run.Run(soak_run.Plan([Kind("exact", {})], 1, 0), folder, print)
worker = soak_run._Worker([0], [Parent])
run._start(worker)
while not (folder / "child").exists():
    time.sleep(0.01)
run._kill(worker)
os.kill(int((folder / "child").read_text()), 0)
"""


def run(*command: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run Python on a short soak whose directories lie in `directory`."""
    arguments = [sys.executable, *command, *SHORT, "--directory", str(directory)]
    return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=300)


def test_a_short_soak_finds_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    """Workers wrote, were killed and were judged; no failure, no file left."""
    figures, directory = tmp_path / "figures.json", tmp_path / "runs"
    directory.mkdir()
    done = run(str(SCRIPTS / "soak.py"), "--json", str(figures), directory=directory)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(directory.iterdir())
    (outcome,) = json.loads(figures.read_text(encoding="utf-8"))["runs"]
    assert outcome["problems"] == []
    assert outcome["kills"] > 0
    assert outcome["rests"] == 2
    totals = outcome["totals"]
    assert all(totals[kind] > 0 for kind in ("upsert, batch", "delete, ids", "fork", "get", "query", "answers checked"))
    assert totals["near found"] == totals["near wanted"] > 0


def test_a_store_that_forgets_is_caught(tmp_path: Path) -> None:
    """A write that was acknowledged and is not there fails the run, keeps its directory and tells how to repeat it."""
    done = run("-c", FORGETFUL, str(SCRIPTS), directory=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "--seed 5" in done.stdout
    (problems,) = tmp_path.glob("*/run0/problems.jsonl")
    whats = {json.loads(line)["what"] for line in problems.read_text(encoding="utf-8").splitlines()}
    assert whats & {"lost record", "wrong record", "own record", "torn batch", "stale answer", "wrong count"}


def test_a_kill_leaves_no_orphan(tmp_path: Path) -> None:
    """What a worker has forked is gone with it: it would write in the name of the one that comes next."""
    arguments = [sys.executable, "-c", KILLED_FAMILY, str(SCRIPTS), str(tmp_path)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    assert "ProcessLookupError" in done.stderr, done.stdout + done.stderr

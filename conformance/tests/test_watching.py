"""What is seen of a run while it goes on, and what is left of one that is told to stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from ctxkit_conformance import watching
from ctxkit_conformance.results import Report
from ctxkit_conformance.runner import RunRequest

HOSTILE = str(Path(__file__).with_name("hostile_backends.py"))
CHECK = "opening_and_closing_leaves_nothing_behind"  # it uses the store in a process of its own


def test_reports_grow_and_each_component_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """After each component the report is written as far as it goes, and a line stands on standard error."""
    written: list[Report] = []
    targets = ["vector_store:stub", "vector_store:nobody"]
    requests = [RunRequest(target=target, expression="get_is_aligned", plugins=(HOSTILE,)) for target in targets]
    report = watching.examined(requests, written.append)
    assert [len(each.subjects) for each in written] == [1, 2]
    assert [each.missing for each in written] == [targets[1:], []]
    assert written[-1] == report
    assert not any(each.ok for each in written)
    lines = capsys.readouterr().err.splitlines()
    told = [next(number for number, line in enumerate(lines) if target in line) for target in targets]
    assert told == sorted(told)
    assert "2 components" in lines[0]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes where Linux shows them")
def test_a_run_that_is_told_to_stop_leaves_nothing(tmp_path: Path) -> None:
    """SIGTERM ends the checks, the processes that they started, and takes the temporary files along."""
    command = [sys.executable, "-m", "ctxkit", "-p", HOSTILE, "conformance", "run", "vector_store:hangs"]
    with subprocess.Popen(
        [*command, "-k", CHECK], env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            deadline = time.monotonic() + 60
            # The command, the checks, what they fork from, and the process of the check.
            while len(_of(tmp_path)) < 4 or not _is_begun(tmp_path):
                assert time.monotonic() < deadline, "the check never began"
                assert process.poll() is None, "the command came to its end"
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Interrupted" in said
    deadline = time.monotonic() + 10
    while _of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_the_next_handler_is_that_of_before() -> None:
    """A program that examines something keeps its own way to end."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(typer.Exit), watching.interruptible():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def _of(folder: Path) -> list[int]:
    """Return the processes that keep their temporary files in this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and f"TMPDIR={folder}\0".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:  # it is somebody else's, or has ended
            continue
    return found


def _is_begun(folder: Path) -> bool:
    """Whether the check has been started."""
    told = [line for events in folder.glob("*/events0") for line in events.read_text("utf-8").splitlines()]
    return any(json.loads(line)["event"] == "started" for line in told)

"""The example of the README is a test file that works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ctxkit_conformance.commands import app

README = Path(__file__).parents[1] / "README.md"


def run_pytest(file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run one file in another process, with warnings as errors and the options of nobody else."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", file.name, *options]
    return subprocess.run(command, cwd=file.parent, capture_output=True, text=True, check=False, env=environment)


def test_an_import_alone_collects_nothing(tmp_path: Path) -> None:
    """The checks run through the author's class only, not a second time through the imported one."""
    file = tmp_path / "test_nothing.py"
    file.write_text("from ctxkit_conformance import VectorStoreContract\n", encoding="utf-8")
    run = run_pytest(file)
    assert run.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, run.stdout


def test_the_example_runs_and_passes(tmp_path: Path) -> None:
    """An author who pastes it gets the checks, all passed, none skipped."""
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    file = tmp_path / "test_my_store.py"
    file.write_text(blocks[0], encoding="utf-8")
    run = run_pytest(file, "--ctxkit-tier", "T2")
    assert run.returncode == 0, run.stdout
    last = run.stdout.strip().splitlines()[-1]
    found = re.fullmatch(r"(\d+) passed, \d+ deselected in .*", last)
    assert found is not None, last
    assert int(found.group(1)) > 40


def test_every_command_of_the_table_is_there() -> None:
    """What the README names can be called."""
    commands = re.findall(r"^\| `ctxkit conformance (\w+)", README.read_text(encoding="utf-8"), re.MULTILINE)
    known = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    assert set(commands) <= known
    assert len(commands) == 5

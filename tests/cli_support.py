"""Running command lines in the process of the tests."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main

from ctxkit.cli import run
from ctxkit.cli.app import app


@dataclass
class Outcome:
    """What one command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON; nothing but one value may stand there."""
        return json.loads(self.out)


Cli = Callable[..., Outcome]


def make_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Return a function that runs command lines in an empty folder, with no variable of ctxkit set."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("CTXKIT")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments: str) -> Outcome:
        code = run(arguments)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


def make_memory(cli: Cli, tmp_path: Path) -> Path:
    """Return the folder of a memory with two documents."""
    make_notes(tmp_path)
    assert cli("ingest", "notes", "--store", "memory").code == 0
    return tmp_path / "memory"


def make_notes(tmp_path: Path) -> Path:
    """Return a folder with two text files, one of them below a subfolder."""
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "bread.md").write_text("# Bread\n\nThe sourdough rests for nineteen hours in the cellar.\n")
    (folder / "deep" / "boat.txt").write_text("The dinghy is moored at the third post of the old pier.\n")
    return folder


def every_command() -> dict[tuple[str, ...], Any]:
    """Return each command by the words that name it, those of installed plugins included."""
    root = typer.main.get_command(app)
    context = root.make_context("ctxkit", [], resilient_parsing=True)

    def below(group: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        for name in group.list_commands(context):
            each = group.get_command(context, name)
            if hasattr(each, "commands"):
                yield from below(each, (*words, name))
            else:
                yield (*words, name), each

    return dict(below(root, ()))


def assert_error(outcome: Outcome, *words: str, code: int = 1) -> None:
    """The failure is said in fewer than four lines on standard error: cause, fix, no traceback; --json says it too."""
    assert outcome.code == code, outcome
    lines = outcome.err.splitlines()
    assert len(lines) < 4, lines
    assert "Traceback" not in outcome.err
    cause, fix = lines[-2:]
    assert cause.startswith("Error: ")
    assert fix.startswith("Fix: ")
    for word in words:
        assert word in outcome.err
    if outcome.out:
        said = outcome.json
        assert said["kind"] == "error"
        assert said["error"]["message"] in cause
        assert said["error"]["fix"] == fix.removeprefix("Fix: ")

"""The parts of the command line's output: messages, lines, figures, bars."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import typer

from ctxkit import cli
from ctxkit.cli import errors, output
from ctxkit.cli.memory_commands import day, origin
from ctxkit.cli.settings import Settings
from ctxkit.errors import CtxkitError
from ctxkit.memory import Entry


def test_an_interruption_ends_with_130() -> None:
    """Ctrl-C leaves one line and the exit code that shells expect."""
    with pytest.raises(typer.Exit) as caught, errors.reported():
        raise KeyboardInterrupt
    assert caught.value.exit_code == 130


def test_an_interruption_while_it_starts_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever presses Ctrl-C before a command began sees no traceback either."""

    def interrupt(_arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run", interrupt)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert (caught.value.code, capsys.readouterr().err) == (130, "Interrupted.\n")


def test_an_output_that_is_full_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be written is no success."""
    with suppress(OSError), Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert cli.run(["--version"]) == 1
    assert capsys.readouterr().err.startswith("Error: No space left on device.\nFix: ")


@pytest.mark.parametrize(("kind", "moves"), [("dumb", False), ("xterm", True)])
def test_a_bar_moves_only_where_it_can(
    kind: str,
    moves: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A terminal that cannot go back in a line gets no bar, and no blank line for one."""
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with output.progress("Counting") as update:
        update(1, 2, "one")
    assert ("Counting" in capsys.readouterr().err) is moves


def test_an_error_names_backend_and_collection(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the library knows it, the line says in which backend and collection; line ends stay out of it."""
    errors.complain(CtxkitError("went\nwrong", fix="do\nbetter", backend="exact", collection="memory"))
    assert capsys.readouterr().err == "Error: exact, collection memory: went wrong\nFix: do better\n"
    errors.complain(CtxkitError("alone"))
    assert capsys.readouterr().err == "Error: alone\n"


@pytest.mark.parametrize("debug", [False, True])
def test_an_unforeseen_error_is_two_lines(debug: bool, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: FBT001
    """Whatever a plugin raises; the traceback is for who asks for it."""
    with pytest.raises(typer.Exit) as caught, errors.reported(debug=debug):
        raise ValueError("odd\nthing")
    assert caught.value.exit_code == 1
    said = capsys.readouterr().err
    assert "\nFix: --debug shows" in said
    assert ("Traceback" in said) is debug
    assert said.startswith("Traceback" if debug else "Error: ValueError: odd thing\n")


def test_no_message_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither an error nor a warning, which may name a file or a memory."""
    errors.complain(CtxkitError("no file \x1b[2J\x9b2J", fix="\x1b]0;x\x07"))
    with errors.reported():
        logging.getLogger("ctxkit.ingest").warning("%s was skipped", "\x1b[2J\u202e")
    said = capsys.readouterr().err
    assert said.count("\N{REPLACEMENT CHARACTER}") == 6
    assert not set("\x1b\x07\x9b\u202e") & set(said)


def test_json_says_everything_and_steers_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """What JSON would leave as it is is escaped too, and reads back the same."""
    value = {"text": "a\x7f\x9b2J\u202e\x1b\n", "more": ["é"]}
    output.print_json(value)
    said = capsys.readouterr().out
    assert not set("\x7f\x9b\u202e\x1b") & set(said)
    assert json.loads(said) == value


def test_settings_add_up() -> None:
    """Later options win, plugins add up, and flags stay set."""
    first = Settings().updated(Path("a"), None, ["x"], as_json=True, debug=False)
    second = first.updated(None, "s", ["y"], as_json=False, debug=True)
    assert second == Settings(Path("a"), "s", as_json=True, plugins=("x", "y"), debug=True)


@pytest.mark.parametrize("width", [1, 8, 10, 24, 60])
def test_shortened_text_fits(width: int) -> None:
    """A shortened line never exceeds its width, and keeps the words that were asked for where they fit."""
    text = "One thing first. " * 9 + "Then the cat sat on the warm mat, purring loudly. " + "More follows here. " * 9
    short = output.shortened(text, width, ["cat mat"])
    assert len(short) <= max(width, 8)
    if width >= 24:
        assert "cat" in short
    assert output.shortened("short", 10) == "short"
    assert output.shortened("x" * 50, 10) == "x" * 9 + "…"


def test_a_date_that_no_calendar_has_is_left_out() -> None:
    """A timestamp far outside the calendar shows no day and breaks nothing."""
    assert [day(value) for value in (None, 0.0, 1e18)] == [None, "1970-01-01", None]
    assert origin(Entry("a", "text", "memory", 1e18)) == "memory, undated"
    assert origin(Entry("a", "text", "turn", 0.0)) == "turn, 1970-01-01"


def test_sizes_and_counts_read_well() -> None:
    """Figures carry a unit and groups of three."""
    assert [output.size(value) for value in (None, 12, 2048, 3 * 1024**2, 5 * 1024**4)] == [
        "unknown",
        "12 bytes",
        "2.0 KiB",
        "3.0 MiB",
        "5120.0 GiB",
    ]
    assert output.number(1234567) == "1\N{NO-BREAK SPACE}234\N{NO-BREAK SPACE}567"
    assert output.counted(1, "entry", "entries") == "1 entry"
    assert output.counted(2, "entry", "entries") == "2 entries"


@pytest.mark.parametrize("parts", [{}, {"question": 1}, {"memory": 990, "recent": 5, "question": 5}, {"summary": 2000}])
def test_a_token_bar_has_one_length(parts: dict[str, int]) -> None:
    """However the budget was spent, the bar is as long as any other, and each part in it can be seen."""
    target = output.console()
    bar = output.token_bar(parts, 1000, target).plain
    assert len(bar) == len(output.token_bar({}, 1000, target).plain)
    legend = output.token_legend(parts, target).plain
    assert all(output.number(tokens) in legend for tokens in parts.values())
    if "summary" not in parts and parts:
        assert "▒" in bar

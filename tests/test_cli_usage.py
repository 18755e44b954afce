"""Wrong command lines: every command and option says cause and fix, in words of what was typed."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import typer.main
from cli_support import Cli, Outcome, assert_error, every_command, make_cli

from ctxkit.cli.app import app
from ctxkit.plugins.known import command_install_line

COMMANDS = every_command()
SHARED = {option for each in typer.main.get_command(app).params for option in each.opts}
EVERY_COMMAND = pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
PLUGIN = """
import typer
from ctxkit.hookspecs import hookimpl

extra = typer.Typer()

@extra.command()
def abort() -> None:
    raise typer.Abort

@extra.command()
def interrupted() -> None:
    raise KeyboardInterrupt

@extra.command()
def refuses() -> None:
    raise typer.BadParameter("the moon is full")

@extra.command()
def missing(count: int) -> int:
    open("nowhere.txt")

@extra.command()
def returns() -> int:
    return 3

@hookimpl
def ctxkit_commands():
    return [("extra", extra)]
"""


@pytest.fixture(name="cli")
def _cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in an empty folder."""
    return make_cli(tmp_path, monkeypatch, capsys)


def assert_usage_error(outcome: Outcome, *words: str) -> None:
    """The command line was wrong: code 2, cause and fix, and the fix names a command or something to type."""
    assert_error(outcome, *words, code=2)
    assert re.search(r"`ctxkit |--|alone", outcome.err.splitlines()[-1]), outcome.err


def valued(words: tuple[str, ...]) -> list[Any]:
    """Return the options of a command that take a value; those that all share stand for all with one command."""
    own = [each for each in COMMANDS[words].params if words == ("stats",) or not SHARED & set(each.opts)]
    return [each for each in own if each.param_type_name == "option" and not each.is_flag]


def numeric(words: tuple[str, ...]) -> list[str]:
    """Return the options of a command that take a number."""
    hints = get_type_hints(inspect.unwrap(COMMANDS[words].callback))
    return [each.opts[0] for each in valued(words) if re.search(r"\b(int|float)\b", str(hints.get(each.name)))]


def test_the_walk_finds_numbers() -> None:
    """A walk that finds no numbers would check none."""
    found = {(*words, option) for words in COMMANDS for option in numeric(words)}
    assert {("query", "-k"), ("migrate", "--sample"), ("conformance", "run", "--timeout")} <= found


@EVERY_COMMAND
def test_an_unknown_option_is_told_with_the_nearest(cli: Cli, words: tuple[str, ...]) -> None:
    """One like nothing leads to the help, a misspelt one to what was meant, and --json tells a program."""
    name = f"`ctxkit {' '.join(words)}`"
    assert_usage_error(cli(*words, "--zzz"), f"{name} has no option --zzz.", f"{name[:-1]} --help`")
    for option in [each.opts[0] for each in valued(words) if len(each.opts[0]) > 5][:1]:
        misspelt = option[:-2] + option[-1]
        assert_usage_error(cli(*words, misspelt), f"no option {misspelt}.", "did you mean --")
    assert cli("--json", *words, "--zzz").json["error"]["type"] == "UsageError"


@EVERY_COMMAND
def test_missing_and_surplus_arguments_are_told(cli: Cli, words: tuple[str, ...]) -> None:
    """What is missing is named with an example of this very command; what is too much is repeated."""
    command = f"ctxkit {' '.join(words)}"
    arguments = [each for each in COMMANDS[words].params if each.param_type_name == "argument"]
    if any(each.required for each in COMMANDS[words].params):
        assert_usage_error(cli(*words), f"Error: `{command}` needs ", f"Fix: as in `{command} ")
    if all(each.nargs == 1 for each in arguments) and words != ("plugins", "new"):  # which also needs --kind
        assert_usage_error(cli(*words, *["x"] * len(arguments), "one more"), f"`{command}` has no place for one more.")


@EVERY_COMMAND
def test_values_that_cannot_be_are_told(cli: Cli, words: tuple[str, ...]) -> None:
    """No value, none in words where a number is due, one below the least, and a blank one: each names its option."""
    own = words[0] not in ("bench", "conformance")
    for option in [each.opts[0] for each in valued(words)][: None if own else 1]:
        assert_usage_error(cli(*words, option), f"Error: {option} needs a value.")
        if own:
            assert_usage_error(cli(*words, option, " "), f"Error: {option} is blank.")
    for option in numeric(words):
        assert_usage_error(cli(*words, option, "many"), f"Error: {option} must be a ", "number (is many).")
        assert_usage_error(cli(*words, option, "-7"), f"Error: {option} must be at least ", "(is -7).")
    if own:
        for _ in [each for each in COMMANDS[words].params if each.param_type_name == "argument"][:1]:
            assert_usage_error(cli(*words, ""), " is blank.")


@pytest.mark.parametrize(
    ("line", "cause", "fix"),
    [
        ("qurey x", "no command `ctxkit qurey`", "did you mean `ctxkit query`? `ctxkit --help` lists them."),
        ("confromance run", "no command `ctxkit confromance`", "did you mean `ctxkit conformance`?"),
        ("config shwo", "no command `ctxkit config shwo`", "did you mean `ctxkit config show`?"),
        ("trace", "no command `ctxkit trace`", "did you mean `ctxkit plugins trace`?"),
        ("zzz", "no command `ctxkit zzz`", "Fix: `ctxkit --help` lists them."),
        ("--zzz", "`ctxkit` has no option --zzz", "Fix: `ctxkit --help` lists them."),
        ("--json", "`ctxkit` needs a command", "Fix: `ctxkit --help` lists them."),
        ("--store", "--store needs a value", "write it as --store DIR; `ctxkit --help`"),
        ("stats --json=yes", "--json takes no value", "write --json alone"),
        ("conformance checks --store x", "has no option --store", "`ctxkit --store ... conformance checks`"),
        ("query x -k=3", "-k must be a whole number (is =3)", "as in `ctxkit query"),
        ("query x -k0", "-k must be at least 1 (is 0)", "as in `ctxkit query"),
        ("query -5", "no option -5", "a text that begins with - comes after --"),
        ("query who is Ralf", "no place for is Ralf", "quotes around a text with blanks, as in `ctxkit query "),
        ("plugins new a --kind boat", "must be one of vector-store, embedder, tokenizer, llm (is boat)", "--kind v"),
        ("doctor --only boats", "--only: there is no check boats", "choose of configuration"),
        ("chat --once", "--once needs a value", "as in `ctxkit chat --once "),
    ],
)
def test_what_was_meant_is_named(cli: Cli, line: str, cause: str, fix: str) -> None:
    """The fix is as near as can be told: a command, an option, its example, or where the option belongs."""
    outcome = cli(*line.split())
    assert_error(outcome, cause, fix, code=2)


def test_long_words_and_steering_ones_are_shortened(cli: Cli) -> None:
    """Whatever was typed, the lines stay lines."""
    outcome = cli("query", "x", "\x1b[2J" + "long " * 200)
    assert_usage_error(outcome, "long long")
    assert "\x1b" not in outcome.err
    assert max(map(len, outcome.err.splitlines())) < 160


def test_the_commands_of_plugins_fail_as_ours_do(cli: Cli, tmp_path: Path) -> None:
    """Whatever one raises becomes lines and a code; what one returns is no exit code."""
    (tmp_path / "cli_test_extra.py").write_text(PLUGIN)

    def extra(*arguments: str) -> Outcome:
        return cli("-p", "cli_test_extra.py", "extra", *arguments)

    assert extra("abort") == Outcome(1, "", "Aborted.\n")
    assert extra("interrupted") == Outcome(130, "", "Interrupted. What was stored is safe.\n")
    assert_usage_error(extra("refuses"), "the moon is full")
    assert_error(extra("missing", "3"), "nowhere.txt: No such file or directory.", "see that it is there")
    assert_usage_error(extra("missing", "x"), "COUNT must be a whole number.", "`ctxkit extra missing --help`")
    assert_usage_error(extra("missing"), "`ctxkit extra missing` needs COUNT.")
    assert extra("returns").code == 0


def test_a_group_alone_shows_its_help(cli: Cli) -> None:
    """Whoever types half a command gets what may follow, and no error."""
    outcome = cli("config")
    assert "Usage: ctxkit config" in outcome.out + outcome.err
    assert "Error" not in outcome.err


def test_completion_works(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that asks gets the commands, a plugin's too."""
    for name, value in {"_CTXKIT_COMPLETE": "complete_bash", "COMP_WORDS": "ctxkit conf", "COMP_CWORD": "1"}.items():
        monkeypatch.setenv(name, value)
    outcome = cli()
    assert (outcome.code, outcome.out.split(), outcome.err) == (0, ["config", "conformance"], "")


def test_a_folder_that_is_gone_is_told(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run where another terminal deleted the folder say so; help works even there."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert_error(cli("stats"), "the current folder is gone", "cd ~")
    assert cli("query", "--help").code == 0


@pytest.mark.parametrize("name", ["bench", "conformance"])
def test_a_command_of_another_distribution_says_which(cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """README and documents name commands that the core does not bring."""
    monkeypatch.setenv("CTXKIT_DISABLE_PLUGINS", "ctxkit-conformance")
    outcome = cli(name)
    assert outcome.code == 2
    assert f"Fix: {command_install_line(name)}" in outcome.err
    assert "conformance" in outcome.err

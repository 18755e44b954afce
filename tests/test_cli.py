"""The commands, called in this process: what they print, where, and how they end."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import ctxkit
from ctxkit.cli import errors, output, run
from ctxkit.cli.app import app
from ctxkit.cli.settings import Settings
from ctxkit.errors import CtxkitError

PLUGIN = """
import typer
from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec, EmbedderCapabilities

extra = typer.Typer()


@extra.command()
def greet() -> None:
    typer.echo("hello from a plugin")


@hookimpl
def ctxkit_commands():
    return [("greet", extra)]


@hookimpl
def ctxkit_embedders():
    return [BackendSpec(name="acme", factory="nowhere:Acme", config="nowhere:Config", summary="[bold]acme[/bold]",
                        capabilities=EmbedderCapabilities(), requires=("module_that_is_not_there",),
                        install_hint="pip install acme")]
"""


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


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in an empty folder, with no variable of ctxkit set."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("CTXKIT")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments: str) -> Outcome:
        code = run(arguments)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder with two text files, one of them below a subfolder."""
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "bread.md").write_text("# Bread\n\nThe sourdough rests for nineteen hours in the cellar.\n")
    (folder / "deep" / "boat.txt").write_text("The dinghy is moored at the third post of the old pier.\n")
    return folder


def assert_error(outcome: Outcome, *words: str) -> None:
    """The failure is said in fewer than four lines on standard error: cause, fix, no traceback."""
    assert outcome.code == 1, outcome
    assert outcome.out == ""
    lines = outcome.err.splitlines()
    assert len(lines) < 4, lines
    assert lines[-2].startswith("Error: ")
    assert lines[-1].startswith("Fix: ")
    for word in words:
        assert word in outcome.err


def test_the_version_is_printed(cli: Cli) -> None:
    """`--version` names the program and its version."""
    assert cli("--version") == Outcome(0, f"ctxkit {ctxkit.__version__}\n", "")


@pytest.mark.parametrize(
    ("command", "example"),
    [
        ([], "Begin with `ctxkit demo`"),
        (["demo"], "ctxkit demo --path docs/"),
        (["ingest"], "ctxkit ingest notes/ --store ~/memory --json"),
        (["query"], 'ctxkit query "retry after a timeout" -k 3 --json'),
        (["context"], "--explain > prompt.txt"),
        (["stats"], "ctxkit stats --store ~/memory --json"),
        (["plugins", "list"], "ctxkit -p my_backend.py plugins list"),
    ],
)
def test_each_help_screen_shows_its_examples_as_written(command: Sequence[str], example: str) -> None:
    """A user can copy an example from the help; no markup or re-flow spoils it."""
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0, result.output
    assert example in result.output


def test_a_wrong_command_line_is_a_usage_error(cli: Cli) -> None:
    """An unknown command and a missing argument end with code 2, and say how to get help."""
    for arguments in (["nosuch"], ["query"], ["query", "x", "-k", "many"]):
        outcome = cli(*arguments)
        assert outcome.code == 2
        assert "-h" in outcome.err
        assert outcome.out == ""


def test_ingest_then_query_then_stats(cli: Cli, notes: Path, tmp_path: Path) -> None:
    """What was ingested is found with its source, and the figures add up."""
    outcome = cli("ingest", str(notes))
    assert outcome.code == 0
    assert "Stored 2 files as 2 chunks." in outcome.out
    assert str(tmp_path / ".ctxkit") in outcome.out
    found = cli("query", "sourdough cellar", "-k", "1")
    assert "notes/bread.md" in found.out
    assert "nineteen hours" in found.out
    figures = cli("stats", "--json").json
    assert figures["store"]["records"] == 2
    assert "2" in cli("stats").out
    again = cli("ingest", str(notes))
    assert "Stored 0 files as 0 chunks." in again.out
    assert "2 files had not changed." in again.out


def test_json_output_is_complete(cli: Cli, notes: Path) -> None:
    """Under --json standard output is one value with everything that the text form shows."""
    report = cli("ingest", str(notes), "--json").json
    assert (report["files"], report["chunks"], report["unchanged"], report["skipped"]) == (2, 2, 0, [])
    (hit,) = cli("--json", "query", "dinghy pier", "-k", "1").json["hits"]
    assert hit["text"] == "The dinghy is moored at the third post of the old pier.\n"
    assert hit["source"] == str(notes / "deep" / "boat.txt")
    assert hit["score"] > 0
    assert len(hit["date"]) == 10
    built = cli("context", "dinghy pier", "--json").json
    assert built["tokens"] <= built["budget"] == 12000
    assert hit["text"].strip() in built["text"]
    assert {row["id"] for row in built["ledger"]} >= {hit["id"]}


def test_options_stand_before_or_after_the_command(
    cli: Cli, notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store may be named before or after the command or by the variable; the nearest wins."""
    cli("ingest", str(notes), "--store", "one")
    monkeypatch.setenv("CTXKIT_STORE", "one")
    assert cli("stats", "--json").json["store"]["path"] == str(tmp_path / "one")
    cli("--store", "two", "ingest", str(notes / "bread.md"))
    assert cli("--store", "two", "stats", "--json").json["store"]["records"] == 1
    assert cli("--store", "two", "stats", "--store", "one", "--json").json["store"]["records"] == 2


def test_a_session_sees_its_own(cli: Cli, notes: Path) -> None:
    """What one session ingested another does not find; without a session everything is seen."""
    cli("ingest", str(notes / "bread.md"), "--session", "a")
    assert len(cli("query", "sourdough", "--session", "a", "--json").json["hits"]) == 1
    assert cli("query", "sourdough", "--session", "b", "--json").json["hits"] == []
    assert len(cli("query", "sourdough", "--json").json["hits"]) == 1
    assert "Nothing found." in cli("query", "sourdough", "--session", "b").out


def test_what_cannot_be_read_is_named_and_stops_nothing(cli: Cli, notes: Path) -> None:
    """Binary files, broken links, empty files, pipes and other encodings are skipped by name, with code 0."""
    (notes / "image.bin").write_bytes(b"\x89PNG\0\0\xff" * 40)
    (notes / "gone.txt").symlink_to(notes / "nowhere")
    (notes / "empty.txt").write_text("")
    (notes / "blank.txt").write_text(" \n\t\n")
    (notes / "latin.txt").write_bytes("caf\xe9 con leche".encode("latin-1"))
    os.mkfifo(notes / "pipe")
    outcome = cli("ingest", str(notes), "--json")
    assert outcome.code == 0
    assert outcome.json["files"] == 2
    reasons = {Path(item["path"]).name: item["reason"] for item in outcome.json["skipped"]}
    assert reasons == {
        "image.bin": "binary file",
        "gone.txt": "broken link",
        "empty.txt": "empty",
        "blank.txt": "empty",
        "latin.txt": "not UTF-8 text",
        "pipe": "not a regular file",
    }
    shown = cli("ingest", str(notes)).out
    assert "Skipped 6 files:" in shown
    assert "image.bin: binary file" in shown


def test_a_long_list_of_skipped_files_is_counted(cli: Cli, notes: Path) -> None:
    """The screen is not flooded; --json has the whole list."""
    for number in range(30):
        (notes / f"{number}.bin").write_bytes(b"\0\0")
    assert "and 10 more; --json names them all" in cli("ingest", str(notes)).out
    assert len(cli("ingest", str(notes), "--json").json["skipped"]) == 30


def test_a_missing_path_is_an_error_and_the_others_are_done(cli: Cli, notes: Path) -> None:
    """A typing error in one path costs exit code 1, not the other paths."""
    (notes / "broken").symlink_to(notes / "nowhere")
    outcome = cli("ingest", "nope.txt", str(notes / "broken"), str(notes / "bread.md"), "--json")
    assert outcome.code == 1
    assert outcome.json["files"] == 1
    assert outcome.json["missing"] == ["nope.txt", str(notes / "broken")]
    assert "Error: nope.txt does not exist." in outcome.err
    assert "is a broken link" in outcome.err
    assert_error(cli("ingest", "nope.txt", "--store", "never"), "nope.txt does not exist")
    assert not Path("never").exists()


@pytest.mark.parametrize("command", [["query", "x"], ["context", "x"], ["stats"]])
def test_reading_makes_no_store(cli: Cli, command: list[str], notes: Path) -> None:
    """Looking into a folder without a store is an error that leaves the folder as it was."""
    assert_error(cli(*command, "--store", "nowhere"), "there is no store", "ctxkit ingest PATH")
    before = sorted(notes.rglob("*"))
    assert_error(cli(*command, "--store", str(notes)), "there is no store")
    assert sorted(notes.rglob("*")) == before


def test_a_store_that_cannot_be_made_is_an_error(cli: Cli, notes: Path) -> None:
    """A file in the place of the store, or of the folder above it, is named; nothing is written."""
    taken = notes / "bread.md"
    assert_error(cli("ingest", str(notes), "--store", str(taken)), "is a file, not the folder of a store")
    assert_error(cli("ingest", str(notes), "--store", str(taken / "below")), "bread.md/below")


def test_wrong_values_are_errors(cli: Cli, notes: Path) -> None:
    """k = 0, a blank query, a budget of nothing and one below the question are said with their fix."""
    cli("ingest", str(notes))
    assert_error(cli("query", "x", "-k", "0"), "k is 0")
    assert_error(cli("query", " "), "the query is blank")
    assert_error(cli("context", "x", "--budget", "0"), "the token budget is 0")
    assert_error(cli("context", "a question of some length", "--budget", "2"), "raise --budget")
    assert_error(cli("stats", "--session", ""), "session_id")


def test_debug_shows_where_an_error_came_from(cli: Cli, notes: Path) -> None:
    """With --debug the traceback and the log stand before the two lines, and only then."""
    cli("ingest", str(notes))
    outcome = cli("query", "x", "-k", "0", "--debug")
    assert outcome.code == 1
    assert "Traceback" in outcome.err
    assert outcome.err.splitlines()[-2:] == ["Error: k is 0.", "Fix: ask for at least one hit: k >= 1."]
    assert logging.getLogger("ctxkit").handlers == []


def test_the_context_goes_to_standard_output_alone(cli: Cli, notes: Path) -> None:
    """The text can be piped as it is: bar, ledger and store stand on standard error."""
    cli("ingest", str(notes))
    plain = cli("context", "sourdough cellar", "--budget", "500")
    assert plain.out.startswith("## Memories\n")
    assert plain.out.endswith("sourdough cellar\n")
    assert "of 500 tokens" in plain.err
    assert "Store: " in plain.err
    explained = cli("context", "sourdough cellar", "--budget", "500", "--explain")
    assert explained.out == plain.out
    assert "2 candidates, 2 kept" in explained.err
    assert "among the best that fit" in explained.err


def test_a_long_ledger_is_cut(cli: Cli, tmp_path: Path) -> None:
    """The screen shows what is kept and the best of the rest; the remainder is counted."""
    for number in range(30):
        (tmp_path / f"{number}.txt").write_text(f"Item {number} of the inventory lies on shelf {number}.")
    cli("ingest", ".")
    outcome = cli("context", "inventory shelf", "--explain")
    assert "30 candidates, 7 kept; 11 more rows in --json" in outcome.err


def test_stored_text_cannot_steer_the_terminal(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Escape sequences and markup in a document reach no terminal; a pipe gets the text as it is."""
    (tmp_path / "evil.txt").write_text("harmless [bold red]words[/] \x1b]0;owned\x07 and \x1b[2J more")
    cli("ingest", "evil.txt")
    shown = cli("query", "harmless words").out
    assert "\x1b" not in shown
    assert "[bold red]words[/]" in shown
    assert "\x1b[2J" in cli("context", "harmless words").out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert "\x1b[2J" not in cli("context", "harmless words").out


def test_plugins_are_listed_with_what_is_missing(cli: Cli, tmp_path: Path) -> None:
    """A component whose requirement is absent comes with its install line, markup in a summary as plain text."""
    (tmp_path / "cli_test_acme.py").write_text(PLUGIN)
    outcome = cli("plugins", "list", "-p", "cli_test_acme.py")
    assert outcome.code == 0
    for words in ("exact", "estimate", "extractive", "[bold]acme[/bold]", "missing", "pip install acme"):
        assert words in outcome.out
    described = cli("plugins", "list", "-p", "cli_test_acme.py", "--json").json
    (acme,) = [each for each in described["components"] if each["name"] == "acme"]
    assert acme["missing"] == ["module_that_is_not_there"]
    assert {plugin["status"] for plugin in described["plugins"]} == {"loaded"}


def test_a_kind_without_components_says_so(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty section reads "none"; a blocked plugin is listed with the variable that blocks it."""
    monkeypatch.setenv("CTXKIT_DISABLE_PLUGINS", "ctxkit-static,ctxkit-faiss")
    lines = cli("plugins", "list").out.splitlines()
    assert lines[lines.index("Embedders") + 1].strip() == "none"


def test_a_plugin_that_fails_is_an_error_when_named(cli: Cli, tmp_path: Path) -> None:
    """Whoever names a plugin wants that one: its failure is said with the cause."""
    (tmp_path / "cli_test_broken.py").write_text("import module_that_is_not_there\n")
    assert_error(cli("-p", "cli_test_broken.py", "plugins", "list"), "module_that_is_not_there")


def test_an_installed_plugin_that_fails_is_listed_with_its_fix(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken distribution costs one warning; the list names cause and fix, and everything else works."""
    info = tmp_path / "site" / "acme_broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ctxkit]\nbroken = cli_test_nowhere\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    outcome = cli("plugins", "list")
    assert outcome.code == 0
    assert "failed: the plugin 'broken' of acme-broken 1.0" in outcome.out
    assert "Fix: " in outcome.out
    assert "exact" in outcome.out


def test_plugins_add_commands(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin's command runs under its name, and stands in the help of an installed one."""
    (tmp_path / "cli_test_greeter.py").write_text(PLUGIN)
    assert cli("-p", "cli_test_greeter.py", "greet").out == "hello from a plugin\n"
    info = tmp_path / "acme_greeter-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-greeter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ctxkit]\ngreeter = cli_test_greeter\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "greet" in cli("--help").out


def test_a_plugin_whose_commands_fail_is_a_warning(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The help still comes; the failure is one line."""
    (tmp_path / "cli_test_mute.py").write_text(
        "from ctxkit.hookspecs import hookimpl\n\n@hookimpl\ndef ctxkit_commands():\n    raise RuntimeError('mute')\n"
    )
    info = tmp_path / "acme_mute-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-mute\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ctxkit]\nmute = cli_test_mute\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    outcome = cli("nosuch")
    assert outcome.code == 2
    assert "mute" in outcome.err


def test_help_works_in_a_broken_environment(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong variable is an error of commands that need plugins, never of --help."""
    monkeypatch.setenv("CTXKIT_STRICT_PLUGINS", "perhaps")
    assert cli("--help").code == 0
    assert_error(cli("plugins", "list"), "CTXKIT_STRICT_PLUGINS")
    assert_error(cli("nosuch"), "CTXKIT_STRICT_PLUGINS")


def test_an_interruption_ends_with_130() -> None:
    """Ctrl-C leaves one line and the exit code that shells expect."""
    with pytest.raises(typer.Exit) as caught, errors.reported():
        raise KeyboardInterrupt
    assert caught.value.exit_code == 130


def test_an_interrupted_ingestion_says_how_to_go_on(cli: Cli, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C during ingest promises what is true: stored is stored, and the same command goes on."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ctxkit.manager.ContextManager.ingest_directory", interrupt)
    outcome = cli("ingest", str(notes))
    assert outcome.code == 130
    assert outcome.err.count("\n") == 1
    assert "the same command again goes on" in outcome.err
    monkeypatch.setattr("ctxkit.manager.ContextManager.get_stats", interrupt)
    stopped = cli("stats")
    assert (stopped.code, stopped.err) == (130, "Interrupted. What was stored is safe.\n")


def test_an_error_names_backend_and_collection(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the library knows it, the line says in which backend and collection; line ends stay out of it."""
    errors.complain(CtxkitError("went\nwrong", fix="do\nbetter", backend="exact", collection="memory"))
    assert capsys.readouterr().err == "Error: exact/memory: went wrong\nFix: do better\n"
    errors.complain(CtxkitError("alone"))
    assert capsys.readouterr().err == "Error: alone\n"


def test_settings_add_up() -> None:
    """Later options win, plugins add up, and flags stay set."""
    first = Settings().updated(Path("a"), None, ["x"], as_json=True, debug=False)
    second = first.updated(None, "s", ["y"], as_json=False, debug=True)
    assert second == Settings(Path("a"), "s", as_json=True, plugins=("x", "y"), debug=True)


@pytest.mark.parametrize("width", [1, 2, 5, 10, 24, 60])
def test_shortened_text_fits(width: int) -> None:
    """A shortened line never exceeds its width, and keeps the words that were asked for where they fit."""
    text = "One thing first. " * 9 + "Then the cat sat on the warm mat, purring loudly. " + "More follows here. " * 9
    short = output.shortened(text, width, ["cat mat"])
    assert len(short) <= width
    if width >= 24:
        assert "cat" in short
    assert output.shortened("short", 10) == "short"
    assert output.shortened("x" * 50, 10) == "x" * 9 + "…"


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

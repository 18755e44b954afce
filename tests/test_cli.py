"""The commands, called in this process: what they print, where, and how they end."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from cli_support import Cli, Outcome, assert_error, make_cli, make_notes
from typer.testing import CliRunner

import ctxkit
from ctxkit.cli.app import app
from ctxkit.memory.entries import KIND, MEMORY
from ctxkit.plugins.installing import pip_install
from ctxkit.records import Record


@pytest.fixture(name="cli")
def _cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in an empty folder."""
    return make_cli(tmp_path, monkeypatch, capsys)


@pytest.fixture(name="notes")
def _notes(tmp_path: Path) -> Path:
    """Return a folder with two text files."""
    return make_notes(tmp_path)


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
    assert f"Error: nope.txt does not exist, {notes / 'broken'} is a broken link." in outcome.err
    assert_error(cli("ingest", "nope.txt", "--store", "never", "--json"), "nope.txt does not exist")
    assert_error(cli("ingest", *"abcde", "--store", "never"), "c does not exist, nor do 2 more.")
    assert not Path("never").exists()


def test_errors_are_json_too(cli: Cli) -> None:
    """Under --json a program reads kind, cause and fix on standard output, wherever the option stands."""
    assert cli("stats", "--json").json["error"]["type"] == "StoreUnavailableError"
    for line in (["stats", "--json"], ["--json", "stats"], ["chat", "--json", "--set", "llm.provider=nosuch"]):
        outcome = cli(*line)
        assert_error(outcome)
        assert outcome.out.count("\n") == 1
        assert set(outcome.json["error"]) == {"type", "message", "fix"}


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


def test_a_budget_that_is_too_small_is_an_error(cli: Cli, notes: Path) -> None:
    """A budget below the question is said with the option that mends it."""
    cli("ingest", str(notes))
    assert_error(cli("context", "a question of some length", "--budget", "2"), "raise --budget")


def test_debug_shows_where_an_error_came_from(cli: Cli, notes: Path) -> None:
    """With --debug the traceback and the log stand before the two lines, and only then."""
    cli("ingest", str(notes))
    for code, *arguments in ((1, "stats", "--store", "nowhere"), (2, "query", "x", "-k", "0")):
        outcome = cli(*arguments, "--debug")
        assert "Traceback" in outcome.err
        brief = cli(*arguments)
        assert_error(brief, code=code)
        assert outcome.err.endswith(brief.err)
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


def test_no_id_of_a_memory_steers_the_terminal(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export of a stranger may hold any, and a reason names it."""
    with ctxkit.ContextManager(path=tmp_path / ".ctxkit") as memory:
        records = [Record(f"\x1b[2J{name}", "The dinghy is moored.", None, {KIND: MEMORY}) for name in "ab"]
        memory.long_term_memory.vault.store.upsert(records)
    monkeypatch.setenv("COLUMNS", "120")
    explained = cli("context", "dinghy", "--explain")
    assert "the same text as \N{REPLACEMENT CHARACTER}[2J" in explained.err
    assert "\x1b" not in explained.err


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


def test_a_store_waiting_for_embeddings_says_so(cli: Cli, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stored without an embedder, found by words; once there is one, the summary counts what it has yet to embed."""
    monkeypatch.setenv("CTXKIT_DISABLE_PLUGINS", "ctxkit-static,ctxkit-faiss")
    outcome = cli("ingest", str(notes))
    assert pip_install("ctxkit-static") in outcome.out
    assert "without an embedding" not in outcome.out
    assert "nineteen hours" in cli("query", "sourdough").out
    assert cli("stats", "--json").json["pending_embeddings"] == 0
    monkeypatch.delenv("CTXKIT_DISABLE_PLUGINS")
    assert "2 records without an embedding yet" in cli("ingest", str(notes)).out


def test_an_embedder_that_failed_is_named(cli: Cli, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures show the failure that keeps records waiting."""
    cli("ingest", str(notes))
    figures = cli("stats", "--json").json
    monkeypatch.setattr(
        "ctxkit.manager.ContextManager.get_stats", lambda _self: {**figures, "last_embedding_error": "it is down"}
    )
    assert "The embedder failed: it is down" in cli("stats").out

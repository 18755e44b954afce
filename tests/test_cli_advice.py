"""What a command says to do next: whole commands with the options that were given, and what holds a user back."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from cli_support import Cli, assert_error, make_cli, make_memory
from manager_support import REGISTRY, manager

from ctxkit import Config, ContextManager
from ctxkit.chat import open_conversation
from ctxkit.chat.answering import Quotes, choose
from ctxkit.cli.chat_view import JsonLines
from ctxkit.cli.errors import complain, reported
from ctxkit.errors import StoreUnavailableError

CHROMA = ("--set", "vector_store.provider=chroma")
PLUGIN = """
from ctxkit.defaults.exact import ExactStore
from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec
from ctxkit.local.capabilities import local_capabilities

class Stopped(ExactStore):
    @classmethod
    def open(cls, spec, config):
        raise KeyboardInterrupt

@hookimpl
def ctxkit_vector_stores():
    return [BackendSpec(name="stopped", factory="stopped:Stopped", summary="for tests",
                        config="ctxkit.local.config:LocalConfig", capabilities=local_capabilities(durable=True))]
"""


@pytest.fixture(name="cli")
def _cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in an empty folder."""
    return make_cli(tmp_path, monkeypatch, capsys)


@pytest.fixture(name="memory")
def _memory(cli: Cli, tmp_path: Path) -> Path:
    """Return the folder of a memory with two documents."""
    return make_memory(cli, tmp_path)


def typed(line: str) -> list[str]:
    """Return the words of the command that stands in backquotes in a line, without the program's name."""
    found = re.search(r"`ctxkit ([^`]*)`", line)
    assert found is not None, line
    return shlex.split(found[1])


def test_a_move_says_how_its_target_is_opened(cli: Cli, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last line is a command that works as printed; without its option the kind that is there is named."""
    moved = cli("migrate", "memory", "chroma:in chroma")
    words = typed(moved.out.splitlines()[-1])
    assert words == ["stats", "--store", str(memory.parent / "in chroma"), *CHROMA]
    assert cli(*words, "--json").json["store"]["records"] == 2
    for command in (["stats"], ["query", "x"], ["ingest", "notes"]):
        outcome = cli(*command, "--store", "in chroma")
        assert_error(outcome, "holds a memory of chroma, which faiss does not see", f"add {' '.join(CHROMA)},")
    assert_error(cli("stats", "--store", "memory", *CHROMA), "add --set vector_store.provider=faiss,")
    Path("c.toml").write_text('[vector_store]\nprovider = "chroma"\n')
    for given in (["--config", "c.toml"], ["--set", "memory.recent_k=3"]):
        again = cli("migrate", "memory", "exact:again", "--into", *given)
        words = typed(again.out.splitlines()[-1])
        assert words[-2:] == given
        assert cli(*words, "--json").json["store"]["records"] == 2
    monkeypatch.setenv("CTXKIT_MEMORY__RECENT_K", "abc")
    assert cli("migrate", "memory", "exact:fourth", "--report", "r.json").code == 0, "the move needs no such option"
    assert Path("r.json").exists()
    monkeypatch.delenv("CTXKIT_MEMORY__RECENT_K")
    assert "opened" not in cli("migrate", "memory", "exact:third", "--json").out


def test_commands_in_a_fix_carry_the_options_that_were_given(cli: Cli, memory: Path) -> None:
    """So that what is typed as printed is about the same store."""
    settings = ("--set", "memory.recent_k=3")
    missing = cli("stats", "--store", "no where", *settings)
    assert_error(missing, "`ctxkit ingest PATH --set memory.recent_k=3 --store 'no where'`")
    other = ("--set", "embedder.provider=openai")
    assert typed(cli("query", "x", "--store", str(memory), *other).err) == ["reembed", *other, "--store", str(memory)]


def test_a_folder_with_other_things_is_not_called_empty(cli: Cli, memory: Path) -> None:
    """What is there may be the store of a plugin that was not named: no second one is suggested in it."""
    outcome = cli("stats", "--store", "notes")
    assert_error(outcome, "there is no store in", "of a kind that is installed, but something else", "-p FILE")
    assert "ingest" not in outcome.err
    Path("locked").mkdir()
    Path("locked", ".ctxkit.lock").touch()
    assert_error(cli("stats", "--store", "locked"), "there is no store in", "`ctxkit ingest PATH --store locked`")
    assert memory.is_dir()


def test_what_only_the_engine_has_is_refused_for_others(cli: Cli, memory: Path) -> None:
    """A store of another kind is there all the same, and can be exported."""
    assert cli("migrate", "memory", "chroma:c").code == 0
    for options in ((), CHROMA):
        refused = cli("backup", "copy", "--store", "c", *options)
        assert_error(refused, "the store is of chroma", "`ctxkit export FOLDER")
        assert typed(refused.err)[-2:] == ["--store", "c"]
        assert_error(cli("upgrade", "--store", "c", *options), "the store is of chroma", "leave it as it is")
    assert_error(cli("backup", "copy", "--store", "notes"), "there is no store in")
    Path("file").touch()
    assert_error(cli("backup", "file/copy", "--store", "memory"), "cannot be used")
    assert memory.is_dir()


def test_no_vectors_are_made_with_no_embedder(cli: Cli, memory: Path) -> None:
    """The value none is one of the configuration, and no plugin that is missing."""
    assert_error(cli("reembed", "--embedder", "none", "--store", "memory"), "none makes no vectors", "--embedder")
    option = ("--set", "embedder.provider=none")
    assert_error(cli("reembed", "--store", str(memory), *option), "none makes no vectors")


def test_records_that_a_command_does_not_see_are_counted(cli: Cli, memory: Path) -> None:
    """A program that names a user stores what no command shows; a session in view hides the others."""
    assert "Note:" not in cli("stats", "--store", "memory").out
    with ContextManager(path=memory, user_id="maren") as program:
        program.add_memory("The tiler comes on Monday.")
    told = " ".join(cli("stats", "--store", "memory").out.split())
    assert "Note: 1 record of other users or agents, which this command does not see" in told
    assert "ContextManager(path=..., user_id=...)" in told
    within = ("stats", "--store", "memory", "--session", "kitchen")
    assert "3 records of other users, agents or sessions" in cli(*within).out
    assert cli(*within, "--json").json["records_unseen"] == 3


def test_a_named_file_that_cannot_be_stored_is_an_error(cli: Cli, memory: Path) -> None:
    """Where nothing of what was named is stored, the exit code says so, and how a text is made of it."""
    Path("latin.txt").write_bytes(b"caf\xe9")
    Path("sheet.pdf").write_bytes(b"%PDF\0\0")
    outcome = cli("ingest", "latin.txt", "sheet.pdf", "--store", "memory")
    assert outcome.code == 1
    assert outcome.err.startswith("Error: nothing was stored: not UTF-8 text, binary file.\nFix: ")
    assert "iconv" in outcome.err
    assert "pdftotext" in outcome.err
    Path("nothing.txt").touch()
    empty = cli("ingest", "nothing.txt", "--store", "memory", "--json")
    assert (empty.code, empty.json["files"]) == (1, 0)
    assert empty.err == "Error: nothing was stored: empty.\nFix: name a file with text in it.\n"
    assert cli("ingest", "latin.txt", "notes", "--store", "memory").code == 0
    assert memory.is_dir()


def test_an_interruption_before_there_is_a_store(cli: Cli, memory: Path) -> None:
    """Nothing is said to be stored that is not."""
    Path("stopped.py").write_text(PLUGIN)
    command = ("-p", "stopped.py", "ingest", "notes", "--set", "vector_store.provider=stopped", "--store")
    early = cli(*command, "new")
    assert (early.code, early.err) == (
        130,
        "Interrupted before anything was stored; the same command again begins.\n",
    )
    assert "Every file counted so far is stored" in cli(*command, str(memory)).err


def test_what_the_system_refuses_is_said_in_words(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of somebody else's, a collection that is no path, and a path without its detours."""
    with pytest.raises(typer.Exit), reported():
        raise PermissionError(13, "Permission denied", "/secret/x")
    complain(StoreUnavailableError("it cannot be used.", fix="wait.", backend="faiss", collection="memory"))
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == [
        "Error: /secret/x: Permission denied.",
        "Fix: let this user use it, or name another; --debug shows where it happened.",
    ]
    assert said[2:] == ["Error: faiss, collection memory: it cannot be used.", "Fix: wait."]
    assert_error(cli("stats", "--store", "below/../x"), f"there is no store in {Path.cwd() / 'x'}.")


def test_a_key_without_its_plugin_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who has set a key is not told that there is none, but what to install."""
    for name in ("OPENAI", "ANTHROPIC"):
        monkeypatch.delenv(f"{name}_API_KEY", raising=False)
    without = choose(Config(), REGISTRY)
    assert isinstance(without, Quotes)
    assert without.lacking is None
    monkeypatch.setenv("OPENAI_API_KEY", "sk-proj-0")
    with manager(tmp_path / "store") as memory, open_conversation(memory) as conversation:
        JsonLines().opened(conversation)
    told = " ".join(capsys.readouterr().err.split())
    assert told.startswith("Note: OPENAI_API_KEY is set, but what uses it is not installed")
    assert "pip install" in told
    assert "there is no key" not in told


def test_the_inspector_numbers_what_it_shows(cli: Cli, tmp_path: Path) -> None:
    """From 1, without gaps where something better ranked is shown as a recent turn, and in words."""
    with ContextManager(Config(embedder={"provider": "none"}), path=tmp_path / "s") as program:
        for number in range(12):
            program.add_memory(f"The dinghy was painted in year {number}{', at the yard' * number}.")
        program.observe("The dinghy is moored at the pier.", "Noted: the dinghy, at the pier.")
    options = ("inspect", "dinghy at the pier", "--store", "s", "--set", "embedder.provider=none")
    kept = [row for row in cli(*options, "--json").json["candidates"] if row["kept"] and row["rank"] is not None]
    assert min(row["rank"] for row in kept) > 1
    shown = cli(*options).out
    numbers = [int(found) for found in re.findall(r"^ +(\d+)\. +[\d.-]+  \d+ token", shown, re.MULTILINE)]
    assert numbers == list(range(1, len(kept) + 1))
    assert "7 better ones were kept (memory.ltm_hits_k)" in shown

"""`ctxkit migrate`, `export`, `import` and `reembed` as they are typed, and what they print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_support import Cli, assert_error, make_cli, make_memory
from moving_support import COLLECTION, contents, fill, place, plain, spec_of

from ctxkit.memory.opening import COLLECTION as MEMORY

PLUGIN = """
from pathlib import Path
from ctxkit.defaults.exact import ExactStore
from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec
from ctxkit.local.capabilities import local_capabilities
import os, signal

class Interrupting(ExactStore):
    def upsert(self, records):
        super().upsert(records)
        os.kill(os.getpid(), signal.SIGINT)

@hookimpl
def ctxkit_vector_stores():
    capabilities = local_capabilities(durable=True)
    return [BackendSpec(name="interrupting", factory="interrupting:Interrupting", summary="for tests",
                        config="ctxkit.local.config:LocalConfig", capabilities=capabilities)]
"""


@pytest.fixture(name="cli")
def _cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in an empty folder."""
    return make_cli(tmp_path, monkeypatch, capsys)


@pytest.fixture(name="memory")
def _memory(cli: Cli, tmp_path: Path) -> Path:
    """Return the folder of a memory with two documents."""
    return make_memory(cli, tmp_path)


def test_a_memory_goes_round(cli: Cli, memory: Path, tmp_path: Path) -> None:
    """Migrated, exported and imported, it answers as before; each report says what was done and compared."""
    moved = cli("migrate", "memory", "exact:copy", "--report", "moved.json")
    lines = moved.out.splitlines()
    assert lines[0] == f"memory: {memory} -> exact:{tmp_path}/copy"
    assert lines[1].startswith("2 records written in ")
    assert lines[2].startswith("Compared 2 of 2 records: no difference; checksum ")
    assert (moved.code, moved.err) == (0, "")
    report = json.loads((tmp_path / "moved.json").read_text())
    assert (report["written"], report["verified"]["wrong"]) == (2, 0)
    assert report["verified"]["digest"].startswith(lines[2].split("checksum ")[1].split(".")[0])
    assert cli("export", "x", "--store", "copy").code == 0
    found = cli("import", "x", "--store", "back", "--json").json
    assert (found["read"], found["target"], found["collection"]) == (2, f"faiss:{tmp_path}/back", MEMORY)
    answers = [cli("context", "sourdough", "--store", store).out for store in ("memory", "copy", "back")]
    assert answers[0] == answers[1] == answers[2]
    assert "nineteen hours" in answers[0]


def test_another_collection_and_a_sample(cli: Cli, tmp_path: Path) -> None:
    """--collection, --from and --to name what is no memory; --sample compares so many, --into adds."""
    fill(place("exact", tmp_path / "s"), plain(30))
    fill(place("exact", tmp_path / "t"), plain(2, start=100))
    assert_error(cli("migrate", "s", "exact:t", "--collection", COLLECTION), "holds 2 records", "--into")
    moved = cli("migrate", "s", "exact:t", "--collection", COLLECTION, "--into", "--sample", "4")
    assert "Compared 4 of 30 records" in moved.out
    assert "Nearest 10 of 4 vectors: same answers" in moved.out
    assert "before" not in moved.out
    assert len(contents(place("exact", tmp_path / "t"))) == 32
    assert cli("export", "x", "--from", "t", "--collection", COLLECTION).code == 0
    assert cli("import", "x", "--to", "exact:u").code == 0
    assert contents(place("exact", tmp_path / "u")) == contents(place("exact", tmp_path / "t"))


def test_what_cannot_be_done_is_said(cli: Cli, memory: Path, tmp_path: Path) -> None:
    """No store there, no such collection, the same place, no embedder: cause and fix."""
    assert_error(cli("migrate", "nowhere", "exact:copy"), "there is no store in nowhere")
    assert_error(cli("migrate", "memory", "copy"), "there is no store in copy", "NAME:FOLDER")
    assert_error(cli("migrate", "memory", "exact:copy", "--collection", "no"), "there is: memory")
    assert_error(cli("migrate", "memory", "faiss:memory"), "are the same collection")
    assert_error(cli("migrate", "memory", "exact:copy", "--switch", "no.toml"), "no.toml cannot be read")
    assert_error(cli("import", str(memory)), "no finished export")
    assert_error(cli("reembed", "--drop-old", "--store", "memory"), "keeps nothing")
    assert_error(cli("reembed", "--embedder", "none", "--store", "memory"), "none")
    assert not (tmp_path / "copy").exists()


def test_an_interruption_says_how_it_goes_on(cli: Cli, tmp_path: Path) -> None:
    """Ctrl-C ends with 130 and one line; the same command again finishes and counts its runs."""
    fill(place("exact", tmp_path / "s"), plain(600))
    (tmp_path / "interrupting.py").write_text(PLUGIN)
    command = ("-p", "interrupting.py", "migrate", "s", "interrupting:t", "--collection", COLLECTION)
    stopped = cli(*command)
    assert (stopped.code, stopped.out) == (130, "")
    assert stopped.err == (
        "Interrupted. What was copied so far stays, and the source is as it was; the same command again goes on.\n"
    )
    assert cli(*command).code == 130
    done = cli(*command)
    assert "0 records written in" in done.out
    assert ", begun 3 times." in done.out
    assert contents(place("exact", tmp_path / "t")) == contents(place("exact", tmp_path / "s"))


def test_a_followed_move_switches_the_file(cli: Cli, memory: Path, tmp_path: Path) -> None:
    """--stop runs a command, --switch names the target in the configuration, which every command then reads."""
    (tmp_path / "ctxkit.toml").write_text('store = "memory"\n')
    moved = cli("migrate", "memory", "exact:copy", "--stop", "touch stopped", "--switch", "ctxkit.toml")
    assert f"ctxkit.toml names exact:{tmp_path}/copy now." in moved.out
    assert (tmp_path / "stopped").exists()
    figures = cli("stats", "--json").json
    assert (figures["store"]["path"], figures["vector_store"]) == (str(tmp_path / "copy"), "exact")
    assert memory.is_dir()


def test_re_embedding_in_place_and_elsewhere(cli: Cli, tmp_path: Path) -> None:
    """The report names the model and where the old vectors are; --drop-old deletes them; --to writes elsewhere."""
    fill(place("exact", tmp_path / "s"), plain(20), spec_of(name=MEMORY))
    done = cli("reembed", "--store", "s", "--embedder", "static")
    assert "`ctxkit reembed --drop-old --store s` deletes them." in done.out
    assert place("exact", tmp_path / "s").existing(MEMORY).dimension == 384
    assert cli("reembed", "--store", "s", "--drop-old").out.startswith("Deleted ")
    assert cli("reembed", "--store", "s", "--drop-old", "--json").code == 1
    fill(place("exact", tmp_path / "o"), plain(20))
    other = cli("reembed", "--from", "o", "--to", "exact:n", "--collection", COLLECTION, "--json").json
    assert (other["dimension"], other["written"]) == (384, 20)
    moved = cli("migrate", "o", "exact:m", "--reembed", "--collection", COLLECTION, "--json").json
    assert moved["fingerprint"] == other["fingerprint"]
    assert cli("reembed", "--from", "o", "--collection", COLLECTION).code == 0
    dropped = cli("reembed", "--from", "o", "--drop-old", "--collection", COLLECTION, "--json").json["dropped"]
    assert dropped.startswith(f"{tmp_path}/o/.before-reembedding/")

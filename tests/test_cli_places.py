"""Commands on a store that is no folder of the local engine: Chroma embedded, and a server."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_support import Cli, assert_error, make_cli

from ctxkit.cli.settings import Settings
from ctxkit.config import VectorStoreConfig
from ctxkit.doctor.checks import results
from ctxkit.doctor.subject import Subject
from ctxkit.doctor.whereabouts import memory_place
from ctxkit.errors import ConfigError
from ctxkit.plugins import get_registry

EMBEDDED = '[vector_store]\nprovider = "chroma"\n[embedder]\nprovider = "none"\n'
SERVER = '[vector_store]\nprovider = "chroma"\nhost = "127.0.0.1"\nport = 9\n[embedder]\nprovider = "none"\n'


@pytest.fixture(name="cli")
def _cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in an empty folder."""
    return make_cli(tmp_path, monkeypatch, capsys)


def examined(check: str) -> dict[str, Any]:
    """Make one check of the doctor here and return its verdicts by what they are about."""
    return {each.subject: each for each in results(check, Subject("", ".ctxkit"))}


def test_every_command_works_on_chroma_in_a_folder(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a store they say so and make none; with one they find it, and name its folder."""
    (tmp_path / "ctxkit.toml").write_text(EMBEDDED)
    (tmp_path / "note.md").write_text("The dinghy is moored at the old pier.\n")
    store = tmp_path / ".ctxkit"
    assert_error(cli("stats"), f"there is no store in {store}")
    assert not store.exists()
    assert cli("ingest", "note.md", "--json").json["store"] == str(store)
    found = cli("query", "dinghy", "--json").json
    assert (found["store"], len(found["hits"])) == (str(store), 1)
    assert "moored at the old pier" in cli("context", "dinghy").out
    assert "moored at the old pier" in cli("chat", "--once", "Where is the dinghy?").out
    assert f"chroma, none, estimate: {store}" in cli("inspect", "dinghy").out
    assert cli("stats", "--json").json["store"]["records"] == 2
    assert examined("store")["records"].found.startswith("2 in all")
    assert examined("round-trip")["round trip"].verdict == "ok"
    (tmp_path / "ctxkit.toml").write_text(EMBEDDED.replace("[embedder]", 'path = ".ctxkit"\n[embedder]'))
    assert cli("stats", "--json").json["store"]["records"] == 2
    assert_error(cli("stats", "--set", "vector_store.path=other"), f"there is no store in {tmp_path / 'other'}")
    assert_error(cli("stats", "--store", "other"), "which is not in", "leave the folder out")
    outcome = cli("ingest", "note.md", "--set", "vector_store.provider=exact")
    assert_error(outcome, "holds a memory of chroma, which exact does not see", "`ctxkit migrate")
    assert examined("store")["records"].verdict == examined("round-trip")["round trip"].verdict == "ok"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"/stats\n")))
    assert f"Place    {store}" in cli("chat").out


def test_a_server_is_asked_and_named(cli: Cli, tmp_path: Path) -> None:
    """The default folder is no reason to refuse it; one that somebody named is. Nothing is tried on it."""
    (tmp_path / "ctxkit.toml").write_text(SERVER)
    assert_error(cli("stats"), "chroma: the server 127.0.0.1:9 cannot be used", "start the server")
    assert_error(cli("ingest", "ctxkit.toml", "--store", "folder"), "which is not in", "leave the folder out")
    assert cli("config", "show", "--json").json["store"] == "chroma:host=127.0.0.1,port=9"
    assert Settings().where == "chroma:host=127.0.0.1,port=9"
    assert examined("machine")["disk"].found.startswith("the store is chroma:host=127.0.0.1,port=9")
    assert examined("store")["store"].verdict == "problem"
    tried = examined("round-trip")
    assert (tried["vector store"].verdict, tried["round trip"].verdict) == ("not checked", "ok")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["ctxkit.toml"]


def test_what_is_wrong_with_the_options_is_told(tmp_path: Path) -> None:
    """Not what would be wrong with them in a folder."""
    registry = get_registry()
    wrong = VectorStoreConfig.model_validate({"provider": "chroma", "host": "localhost", "port": 0})
    with pytest.raises(ConfigError, match=r"chroma\.port must be at least 1 \(is 0\)") as caught:
        memory_place(wrong, tmp_path, registry, named=False)
    assert "two places" not in caught.value.message
    with pytest.raises(ConfigError, match="there is no such option"):
        memory_place(VectorStoreConfig.model_validate({"bogus": 3}), tmp_path, registry, named=False)

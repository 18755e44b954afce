"""`ctxkit doctor` on models and providers: names, files, keys that are never shown, and what a provider answers."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cli_support import Cli
from ctxkit_conformance.faults import FaultServer, step
from doctor_support import (
    ANTHROPIC_KEY,
    LIGHT,
    OPENAI_KEY,
    configure,
    is_content,
    make_doctor,
    make_store,
    memory,
    verdicts,
)


@pytest.fixture(name="cli")
def _cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in an empty folder, the doctor's checks in this process."""
    return make_doctor(tmp_path, monkeypatch, capsys)


def test_keys_are_judged_and_never_shown(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, of a bad shape, of another provider; only what is used is a problem. A good one is ok."""
    configure(tmp_path, '[llm]\nprovider = "anthropic"\n')
    missing = verdicts(cli, "keys")
    assert missing["keys", "ANTHROPIC_API_KEY"]["verdict"] == "problem"
    assert missing["keys", "OPENAI_API_KEY"]["verdict"] == "ok"
    monkeypatch.setenv("OPENAI_API_KEY", ANTHROPIC_KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "your-anthropic-api-key")
    wrong = verdicts(cli, "keys")
    assert wrong["keys", "ANTHROPIC_API_KEY"]["verdict"] == "problem"
    assert "does not begin with sk-ant-" in wrong["keys", "ANTHROPIC_API_KEY"]["found"]
    assert wrong["keys", "ANTHROPIC_API_KEY"]["fix"].endswith(": export ANTHROPIC_API_KEY=...")
    assert wrong["keys", "OPENAI_API_KEY"]["verdict"] == "warning"
    assert "is one of Anthropic" in wrong["keys", "OPENAI_API_KEY"]["found"]
    monkeypatch.setenv("OPENAI_API_KEY", "your-openai-api-key")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-short")
    short = verdicts(cli, "keys")
    assert [each["verdict"] for each in short.values()] == ["problem", "warning"]
    assert "too short" in short["keys", "ANTHROPIC_API_KEY"]["found"]
    monkeypatch.delenv("OPENAI_API_KEY")
    embedder = verdicts(cli, "keys", options=("--set", "embedder.provider=openai"))["keys", "OPENAI_API_KEY"]
    assert (embedder["verdict"], "there is no API key for OpenAI" in embedder["found"]) == ("problem", True)
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI_KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", ANTHROPIC_KEY)
    shown = verdicts(cli, "keys")
    assert [each["found"] for each in shown.values()] == [
        "there, and looks like a key of Anthropic",
        "there, and looks like a key of OpenAI",
    ]
    told = f"{missing}{wrong}{short}{shown}"
    assert [
        part
        for part in (ANTHROPIC_KEY[7:13], OPENAI_KEY[8:14], "short", "your-")
        if part in told.replace("too short", "")
    ] == []


def test_a_key_in_a_file_is_for_its_owner_alone(cli: Cli, tmp_path: Path) -> None:
    """The command that is printed closes the file to others; a server of one's own needs no key."""
    key_file = tmp_path / "key"
    key_file.write_text(ANTHROPIC_KEY)
    key_file.chmod(0o644)
    configure(tmp_path, f'[llm]\nprovider = "anthropic"\nkey_file = "{key_file}"\n')
    found = verdicts(cli, "keys")["keys", "ANTHROPIC_API_KEY"]
    assert (found["verdict"], "has mode 0644" in found["found"]) == ("problem", True)
    subprocess.run(shlex.split(found["fix"].partition(";")[0]), check=True)
    assert is_content(verdicts(cli, "keys"))
    own = ("--set", "llm.provider=openai", "--set", "llm.base_url=http://127.0.0.1:9/v1")
    assert verdicts(cli, "keys", options=own)["keys", "OPENAI_API_KEY"]["found"] == "there, for 127.0.0.1"
    configure(tmp_path, "")
    assert "127.0.0.1 may need none" in verdicts(cli, "keys", options=own)["keys", "OPENAI_API_KEY"]["found"]


def test_where_nothing_needs_a_key_none_is_looked_for(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the plugins of providers there is nobody to ask what a key looks like."""
    monkeypatch.setenv("CTXKIT_PLUGINS", "ctxkit-core,ctxkit-static")
    assert [each["found"] for each in verdicts(cli, "keys").values()] == ["no installed component needs one"]


@pytest.mark.needs_torch
def test_a_model_that_is_not_there_is_found(cli: Cli, tmp_path: Path) -> None:
    """A missing folder is a problem, a name that is nearly one of the listed a warning, a missing file named."""
    path = configure(tmp_path, '[embedder]\nprovider = "sentence-transformers"\nmodel = "./models/mine"\n')

    def found(check: str, *options: str) -> dict[str, Any]:
        return verdicts(cli, "models", options=options)["models", check]

    missing = found("sentence-transformers")
    assert (missing["verdict"], missing["found"]) == ("problem", "there is no folder ./models/mine")
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert found("sentence-transformers")["found"] == "./models/mine is a folder of this machine"
    path.write_text('[embedder]\nprovider = "sentence-transformers"\nmodel = "all-MiniLM-L6-v3"\n')
    typo = found("sentence-transformers")
    assert (typo["verdict"], typo["fix"]) == ("warning", "did you mean 'all-MiniLM-L6-v2'?")
    assert found("sentence-transformers", "--set", "embedder.model=acme/own")["verdict"] == "not checked"
    download = ("embedder.model=all-mpnet-base-v2", f"embedder.cache_folder={tmp_path}/later")
    outcome = cli("doctor", "--json", "--only", "models", *(word for each in download for word in ("--set", each)))
    (elsewhere,) = (each for each in outcome.json["checks"][0]["results"] if each["verdict"] != "ok")
    assert elsewhere["verdict"] == "warning"
    assert re.fullmatch(r"all-mpnet-base-v2 is not on this machine; its first use downloads \d+ MB", elsewhere["found"])
    assert elsewhere["fix"].startswith("`ctxkit doctor --only round-trip --online --set embedder.model=all-mpnet")
    wrong = found("sentence-transformers", "--set", "embedder.batch_size=none")
    assert (wrong["verdict"], wrong["found"]) == ("not checked", "its options are wrong")
    assert wrong["fix"] == "`ctxkit doctor --only configuration --set embedder.batch_size=none`"
    path.write_text('[tokenizer]\nprovider = "tiktoken"\ndirectory = "vocabularies"\n')
    assert found("tiktoken")["verdict"] == "problem"
    (tmp_path / "vocabularies").mkdir()
    assert found("tiktoken")["found"] == "directory is vocabularies"


def test_a_model_of_another_provider_is_found(cli: Cli, tmp_path: Path) -> None:
    """Its name tells, without asking anybody; a server of one's own may call its models as it likes."""
    configure(tmp_path, f'[llm]\nprovider = "anthropic"\nmodel = "gpt-4"\n{LIGHT}')
    found = verdicts(cli, "models")["models", "anthropic"]
    assert (found["verdict"], found["found"]) == ("problem", "gpt-4 is a model of OpenAI, not of Anthropic")
    assert found["fix"].startswith("set llm.provider to openai, or llm.model")
    for options in (("llm.provider=openai",), ("llm.model=claude-sonnet-4-5",), ("llm.base_url=http://127.0.0.1:9",)):
        assert is_content(verdicts(cli, "models", options=("--set", *options)))
    bare = verdicts(cli, "models", options=("--set", "llm.provider=extractive"))
    assert [each["verdict"] for each in bare.values()] == ["not checked"]


def test_the_network_is_not_used_unasked(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs it is not checked, and says with which option it would be."""
    configure(tmp_path, '[llm]\nprovider = "openai"\n[embedder]\nprovider = "openai"\n')
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI_KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    make_store(tmp_path / ".ctxkit", memory(1))
    found = verdicts(cli, "provider", "store", "round-trip")
    unasked = (("provider", "llm"), ("provider", "embedder"), ("store", "embedder"), ("round-trip", "embedder"))
    assert {found[each]["verdict"] for each in unasked} == {"not checked"}
    assert {found[each]["fix"] for each in unasked} == {"add --online."}
    assert found["round-trip", "round trip"]["verdict"] == found["store", "records"]["verdict"] == "ok"
    asked = verdicts(cli, "provider", options=("--online",))
    assert {each["verdict"] for each in asked.values()} == {"problem"}
    assert "connection" in asked["provider", "llm"]["found"]
    assert "connection" in asked["provider", "embedder"]["found"]


def test_a_provider_is_asked_when_that_is_allowed(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One question tells whether it is there, takes the key and knows the model; what it refuses is a problem."""
    path = configure(tmp_path, f'[llm]\nprovider = "openai"\nmodel = "gpt-9"\n{LIGHT}')
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI_KEY)
    with FaultServer() as server:
        scenario = server.scenario(*map(step, ("authentication", "model_not_found", "rate_limited", "ok", "ok")))
        monkeypatch.setenv("OPENAI_BASE_URL", scenario.url("openai"))
        asked = [verdicts(cli, "provider", options=("--online",))["provider", "llm"] for _ in range(4)]
        path.write_text('[embedder]\nprovider = "openai"\n')
        embedder = verdicts(cli, "provider", options=("--online",))
        assert len(scenario.requests) == 5
        trip = verdicts(cli, "round-trip", options=("--online",))
    assert [each["verdict"] for each in asked] == ["problem", "problem", "problem", "ok"]
    for each, word in zip(asked, ("authentication", "gpt-9", "limit", "openai answered with "), strict=True):
        assert word in each["found"]
    assert [each["verdict"] for each in trip.values()] == ["ok"]
    assert embedder["provider", "llm"]["verdict"] == "not checked"
    assert embedder["provider", "embedder"]["found"] == "openai answered with 1536 dimensions"

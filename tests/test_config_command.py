"""`ctxkit config` and what every command takes of a configuration; completion in the shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cli_support import Cli, assert_error, make_cli
from typer.testing import CliRunner

from ctxkit import Config
from ctxkit.cli.app import app
from ctxkit.cli.settings import Settings
from ctxkit.config.layers import SECTIONS
from ctxkit.config.options import all_options, starting_file

KEY = "sk-ant-" + "0123456789" * 3
BROKEN = """\
# mine
[memory]
stm_capacity = -5   # kept
prompt_token_budget = 100
[vector_store]
provider = "exat"
[embedder]
provider = "none"
[tokenizer]
provider = "estimate"
widht = 4
"""


@pytest.fixture(name="cli")
def _cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in an empty folder."""
    return make_cli(tmp_path, monkeypatch, capsys)


def test_init_writes_a_file_that_changes_nothing(cli: Cli, tmp_path: Path) -> None:
    """Every option stands there as a comment, and one that is there is never overwritten by itself."""
    assert cli("config", "init").code == 0
    text = (tmp_path / "ctxkit.toml").read_text()
    assert Config.load().model_fields_set <= set(SECTIONS)
    assert Config.load() == Config()
    (tmp_path / "ctxkit.toml").write_text("# mine\n")
    assert_error(cli("config", "init"), "ctxkit.toml exists", "--force")
    assert (tmp_path / "ctxkit.toml").read_text() == "# mine\n"
    assert cli("config", "init", "--force", "--json").json == {"file": "ctxkit.toml"}
    assert (tmp_path / "ctxkit.toml").read_text() == text
    assert_error(cli("config", "init", "no/such/folder/ctxkit.toml"), "cannot be written")


def test_the_file_to_begin_with_is_true() -> None:
    """With every comment sign of an option taken away it gives the defaults, and has each option of the models."""
    lines = starting_file().splitlines()
    names = {option.key[-1] for option in all_options()}
    active = [line[2:] if line[2:].partition(" =")[0] in names else line for line in lines]
    import tomlkit  # noqa: PLC0415

    values = tomlkit.parse("\n".join(active)).unwrap()
    assert Config.model_validate(values) == Config()
    expected = {f"{name}.{each}" for name, model in SECTIONS.items() for each in model.model_fields}
    expected |= set(Config.model_fields) - set(SECTIONS)
    assert {option.name for option in all_options()} == expected - {"llm.api_key"}
    assert all(option.description for option in all_options())


def test_the_documentation_has_every_option() -> None:
    """Each with its default, its limits and what it means, as the models have them."""
    page = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if re.match(r"\| `[a-z_]+(\.[a-z_]+)?` \|", line)]
    assert rows == [
        f"| `{option.name}` | `{option.default}` | {option.limits or '-'} | {option.description} |"
        for option in all_options()
    ]


def test_show_tells_each_value_and_its_origin(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for a program, and no key in either."""
    (tmp_path / "ctxkit.toml").write_text(
        'store = "data"\n[memory]\nrecent_k = 3\nstm_capacity = 0\n[llm]\nsince = 2026-01-02\n'
    )
    monkeypatch.setenv("CTXKIT_LLM__API_KEY", KEY)
    monkeypatch.setenv("CTXKIT_VECTOR_STORE__HEADERS", f'["{KEY}"]')
    shown = cli("config", "show", "--set", "memory.ltm_hits_k=2")
    assert shown.code == 0
    lines = {" ".join(line.split()) for line in shown.out.splitlines()}
    assert {
        "memory.ltm_hits_k --set 2",
        "memory.recent_k ctxkit.toml, line 3 3",
        'llm.api_key CTXKIT_LLM__API_KEY "(hidden)"',
        "Store: data",
        "1 value left out; `ctxkit config check` says why.",
    } <= lines
    told = cli("config", "show", "--json")
    assert KEY not in shown.out + told.out
    assert told.json["options"]["memory.recent_k"] == {
        "value": 3,
        "origin": {"layer": "file", "name": "ctxkit.toml", "line": 3},
    }
    assert told.json["options"]["llm.since"]["value"] == "2026-01-02"
    assert told.json["options"]["memory.chunk_size"]["origin"]["layer"] == "default"
    assert (told.json["store"], len(told.json["problems"])) == (str(tmp_path / "data"), 1)


def test_check_names_all_and_fix_mends_the_file(cli: Cli, tmp_path: Path) -> None:
    """Values, components, their options and conflicts at once; the mended file has nothing wrong."""
    path = tmp_path / "ctxkit.toml"
    path.write_text(BROKEN)
    found = cli("config", "check", "--json")
    assert found.code == 1
    assert [(each["level"], each["origin"]["line"]) for each in found.json["findings"]] == [
        ("problem", 3),
        ("problem", 6),
        ("problem", 11),
        ("warning", 4),
    ]
    text = cli("config", "check")
    assert (text.code, "line 6: vector_store.provider" in text.out, "did you mean 'exact'?" in text.out) == (
        1,
        True,
        True,
    )
    mended = cli("config", "check", "--fix")
    assert mended.code == 0
    assert "ctxkit.toml.bak" in mended.out
    assert (tmp_path / "ctxkit.toml.bak").read_text() == BROKEN
    assert path.read_text() == BROKEN.replace("-5", "8000").replace("= 100", "= 12000").replace(
        "exat", "exact"
    ).replace("widht", "# widht")
    assert cli("config", "check", "--strict").code == 0
    assert cli("config", "check", "--fix", "--json").json["backup"] is None


def test_a_warning_counts_under_strict_only(cli: Cli, tmp_path: Path) -> None:
    """A budget below the capacity works, so it stops a pipeline only where that is wanted."""
    (tmp_path / "ctxkit.toml").write_text("[memory]\nprompt_token_budget = 100\n")
    assert cli("config", "check").code == 0
    assert cli("config", "check", "--strict").code == 1


def test_what_is_not_in_the_file_is_not_mended(cli: Cli, tmp_path: Path) -> None:
    """A wrong variable is named; the file stays as it is."""
    (tmp_path / "ctxkit.toml").write_text("[memory]\nrecent_k = 3\n")
    outcome = cli("config", "check", "--fix", "--set", "memory.recent_k=0")
    assert (outcome.code, "--set: memory.recent_k must be at least 1 (is 0)" in outcome.out) == (1, True)
    assert [each.name for each in tmp_path.iterdir()] == ["ctxkit.toml"]


def test_what_mending_leaves_is_told(cli: Cli, tmp_path: Path) -> None:
    """A name that was put right may have a value that is not."""
    (tmp_path / "ctxkit.toml").write_text("[memory]\nrecnt_k = 0\n")
    first = cli("config", "check", "--fix")
    assert (first.code, "line 2: memory.recent_k must be at least 1 (is 0)" in first.out) == (1, True)
    assert cli("config", "check", "--fix").code == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["ctxkit.toml", "ctxkit.toml.bak", "ctxkit.toml.bak1"]


def test_commands_work_with_the_configuration(cli: Cli, tmp_path: Path) -> None:
    """Store, budget and components of the file hold for every command; a wrong value stops it with its place."""
    path = tmp_path / "ctxkit.toml"
    path.write_text('store = "data"\n[memory]\nprompt_token_budget = 9000\n[embedder]\nprovider = "none"\n')
    (tmp_path / "note.txt").write_text("The dinghy is moored at the old pier.\n")
    assert cli("ingest", "note.txt").code == 0
    assert (tmp_path / "data").is_dir()
    assert cli("stats", "--json").json["embedder"] == "none"
    assert cli("context", "dinghy", "--json").json["budget"] == 9000
    assert cli("context", "dinghy", "--json", "--set", "memory.prompt_token_budget=8000").json["budget"] == 8000
    path.rename(tmp_path / "other.toml")
    assert cli("context", "dinghy", "--json", "--config", "other.toml").json["budget"] == 9000
    assert cli("--config", "other.toml", "context", "dinghy", "--json").json["budget"] == 9000
    path.write_text("[memory]\nprompt_token_budget = 0\n")
    assert_error(cli("stats"), "ctxkit.toml, line 2: memory.prompt_token_budget must be at least 1 (is 0)")


def test_settings_give_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other commands build upon this."""
    monkeypatch.chdir(tmp_path)
    assert Settings(assignments=("memory.recent_k=2",)).config().memory.recent_k == 2


@pytest.mark.parametrize(("shell", "word"), [("bash", "COMPREPLY"), ("zsh", "#compdef ctxkit"), ("fish", "complete")])
def test_the_script_for_a_shell_is_printed(shell: str, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be kept wherever a shell reads its completions."""
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    printed = CliRunner().invoke(app, ["--show-completion", shell], prog_name="ctxkit")
    assert printed.exit_code == 0, printed.output
    assert word in printed.output


def test_bash_completes_the_name_of_a_command(tmp_path: Path) -> None:
    """A real bash, with the real script, completes what somebody begins to type."""
    shown = subprocess.run(
        [sys.executable, "-m", "ctxkit", "--show-completion", "bash"],
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    program = tmp_path / "ctxkit"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ctxkit "$@"\n')
    program.chmod(0o755)
    script = f"""{shown.stdout}
COMP_WORDS=(ctxkit config ch); COMP_CWORD=2; _ctxkit_completion {program}; echo "${{COMPREPLY[@]}}"
COMP_WORDS=(ctxkit ups); COMP_CWORD=1; _ctxkit_completion {program}; echo "[${{COMPREPLY[@]}}]"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)  # noqa: S607
    assert done.stdout.splitlines() == ["check", "[]"]


def test_what_a_component_keeps_secret_is_not_shown(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own types, by the names in a table, and by a password in an address, installed or not."""
    path = tmp_path / "ctxkit.toml"
    path.write_text('[vector_store]\nprovider = "chroma"\nhost = "localhost"\n[vector_store.headers]\nX-Mine = "P1"\n')
    shown = cli("config", "show").out + cli("config", "show", "--json").out
    assert shown.count("(hidden)") == 2
    assert "P1" not in shown + repr(Config.load())
    path.write_text('[vector_store]\nprovider = "none-such"\naddress = "postgresql://ana:P2@db/app"\n')
    assert "P2" not in cli("config", "show", "--json").out
    path.write_text('[vector_store]\nprovider = "none-such"\n[vector_store.headers]\nAuthorization = "P3"\n')
    assert_error(cli("stats"), "vector_store.headers holds a key", "it was not used")
    path.write_text('[vector_store]\nprovider = "none-such"\n')
    monkeypatch.setenv("CTXKIT_VECTOR_STORE__HEADERS", '{"Authorization": "P4"}')
    assert Config.load().vector_store.options() == {"headers": {"Authorization": "P4"}}
    assert "P4" not in cli("config", "show", "--json").out + repr(Config.load())


def test_a_user_without_a_home_is_served(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number."""

    def nobody(_number: int) -> object:
        raise KeyError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert cli("config", "show").code == 0

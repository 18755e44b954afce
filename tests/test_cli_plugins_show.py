"""`ctxkit plugins show` and `trace`, and what `list` says beside names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cli_support import Cli, assert_error, make_cli

from ctxkit.cli import plain
from ctxkit.cli.plugin_show import options
from ctxkit.plugins import known

PLUGIN = '''
import json
from enum import Enum
from typing import Literal
from pydantic import Field, SecretStr
from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendConfig, BackendSpec, EmbedderCapabilities, LLMCapabilities


class Size(Enum):
    small = "small"
    large = "large"


class Config(BackendConfig):
    """What can be set."""

    key: SecretStr
    size: Size = Size.small
    parts: list[int] = Field(default=[1], min_length=1, max_length=9)
    ratio: float | None = Field(default=None, gt=0, lt=1, description="how much of it")
    mode: Literal["fast", "exact"] = "fast"


class Strange(BackendConfig):
    what: object = Field(default=json.dumps)
    call: type = int


def spec(name, capabilities, **changes):
    values = dict(name=name, factory="cli_test_show:Factory", config="cli_test_show:Config", summary="shown only",
                  capabilities=capabilities)
    return BackendSpec(**{**values, **changes})


@hookimpl
def ctxkit_embedders():
    return [spec("shown", EmbedderCapabilities(dimension=8)), spec("both", EmbedderCapabilities()),
            spec("empty", EmbedderCapabilities(), config="ctxkit.interfaces:BackendConfig"),
            spec("lacking", EmbedderCapabilities(), config="cli_test_nowhere:C", requires=("cli_test_nowhere",)),
            spec("strange", EmbedderCapabilities(), config="cli_test_show:Strange")]


@hookimpl
def ctxkit_llms():
    return [spec("both", LLMCapabilities())]
'''


@pytest.fixture(name="cli")
def _cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in an empty folder, with the plugin above loaded."""
    (tmp_path / "cli_test_show.py").write_text(PLUGIN)
    for name in ("cli_test_show", "cli_test_raises"):
        monkeypatch.delitem(sys.modules, name, raising=False)  # of another test, from another folder
    run = make_cli(tmp_path, monkeypatch, capsys)
    return lambda *arguments: run("-p", "cli_test_show.py", *arguments)


def test_what_a_path_adds(cli: Cli) -> None:
    """A store that is durable with a path is not taken for one that keeps nothing; the list says where that stands."""
    described = cli("plugins", "show", "exact", "--json").json
    assert (described["capabilities"]["persistent"], described["capabilities_with_path"]["persistent"]) == (False, True)
    without, added = cli("plugins", "show", "exact").out.split("With a path\n")
    assert "Capabilities, without a path" in without
    assert "multi-writer" in added.split("Options")[0]
    assert "exact" not in added.split("Options")[0], "only what is different is told again"
    assert "With a path" not in cli("plugins", "show", "shown").out
    assert "`ctxkit plugins show NAME` tells what a path adds" in " ".join(cli("plugins", "list").out.split())


def test_options_are_shown_with_type_default_and_limits(cli: Cli) -> None:
    """Each option of a configuration is one row: name, type, default, limits and description."""
    described = cli("plugins", "show", "shown", "--json").json
    rows = {each.pop("name"): each for each in described["options"]}
    assert rows == {
        "key": {"type": "password", "required": True, "default": None, "limits": "", "description": ""},
        "size": {
            "type": '"small" or "large"',
            "required": False,
            "default": "small",
            "limits": "",
            "description": "",
        },
        "parts": {
            "type": "list of integer",
            "required": False,
            "default": [1],
            "limits": "at least 1 items, at most 9 items",
            "description": "",
        },
        "ratio": {
            "type": "number or none",
            "required": False,
            "default": None,
            "limits": "> 0, < 1",
            "description": "how much of it",
        },
        "mode": {"type": '"fast" or "exact"', "required": False, "default": "fast", "limits": "", "description": ""},
    }
    assert described["schema"]["properties"].keys() == rows.keys()
    text = cli("plugins", "show", "shown").out
    for words in ("required", "> 0, < 1", "how much of it", "What can be set.", "cli_test_show:Config", "dimension"):
        assert words in text


def test_where_a_component_came_from(cli: Cli) -> None:
    """Distribution, entry point, class and capabilities of an installed component are named."""
    described = cli("plugins", "show", "exact", "--json").json
    assert described["plugin"]["distribution"] == "ctxkit-core"
    assert described["factory"] == "ctxkit.defaults.exact:ExactStore"
    assert described["capabilities"]["metrics"] == ["cosine", "dot", "l2"]
    text = cli("plugins", "show", "vector-store:ctxkit-core:exact").out
    for words in ("core = ctxkit.defaults.hooks", "ctxkit-core:exact", "busy_timeout", ">= 0, <= 86400"):
        assert words in text


@pytest.mark.parametrize("name", ["llm:both", "embedder:both", "embedder:cli_test_show:both"])
def test_kind_and_distribution_pick_one(cli: Cli, name: str) -> None:
    """A name that two kinds share is picked by its kind, with or without the distribution."""
    described = cli("plugins", "show", name, "--json").json
    assert (described["kind"], described["name"]) == (name.partition(":")[0], "both")


@pytest.mark.parametrize("name", ["both", "cli_test_show:both"])
def test_a_name_of_two_kinds_is_refused(cli: Cli, name: str) -> None:
    """A name that two kinds share is an error that names the forms which work."""
    assert_error(cli("plugins", "show", name), f"embedder:{name}, llm:{name}")


def test_a_component_that_cannot_be_configured_is_still_shown(cli: Cli) -> None:
    """Where the configuration cannot be imported, or has no schema, everything else is shown with the reason."""
    lacking = cli("plugins", "show", "lacking")
    assert lacking.code == 0
    assert "cli_test_nowhere: pip install cli_test_nowhere" in lacking.out
    assert "cannot be read: " in lacking.out
    strange = cli("plugins", "show", "strange", "--json").json
    assert strange["schema"] is None
    assert strange["schema_error"]
    assert "none" in cli("plugins", "show", "empty").out.partition("Options")[2]


def test_names_that_nothing_has(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown name comes with what there is; one of the project's own with its install line."""
    monkeypatch.setattr(known, "_DISTRIBUTIONS", {("vector_store", "quagga"): "ctxkit-quagga"})
    assert_error(cli("plugins", "show", "nowhere"), "exact")
    assert_error(cli("plugins", "show", "exakt"), "did you mean 'exact'?")
    assert_error(cli("plugins", "show", "quagga"), "Fix: pip install ctxkit-quagga")
    assert_error(cli("plugins", "show", "qaugga"), "did you mean 'quagga'? pip install ctxkit-quagga")
    assert_error(cli("plugins", "show", "acme-nowhere:exact"), "acme-nowhere:exact")
    for name in ("ctxkit-core", "core", "Ctxkit_Core"):
        assert_error(cli("plugins", "show", name), "is a plugin, not a component", "ask for what it provides: vector_")


def test_a_component_of_a_blocked_plugin(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A component whose plugin is blocked says which variable does it."""
    monkeypatch.setenv("CTXKIT_DISABLE_PLUGINS", "ctxkit-faiss")
    assert_error(cli("plugins", "show", "faiss"), "CTXKIT_DISABLE_PLUGINS lists it")


def test_trace(cli: Cli) -> None:
    """Imports and hook calls stand in order, those of a named plugin last."""
    calls = cli("plugins", "trace", "--json").json["calls"]
    mine = [each for each in calls if each["plugin"] == "cli_test_show"]
    assert [each["hook"] for each in mine] == ["import", "ctxkit_embedders", "ctxkit_llms"]
    assert mine[-1]["returned"] == ["llm:both"]
    *installed, last = [each["plugin"] for each in calls if each["hook"] == "import"]
    assert "ctxkit-core" in installed
    assert (installed, last) == (sorted(installed), "cli_test_show")
    assert all(each["ms"] >= 0 and each["error"] is None for each in calls)
    lines = cli("plugins", "trace").out.splitlines()
    assert any("ctxkit_embedders" in line for line in lines)
    assert lines[-1].startswith(f"{len(calls)} calls, ")


def test_trace_shows_a_failure_of_the_commands_hook(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trace asks for commands too, and says which call raised what."""
    (tmp_path / "cli_test_raises.py").write_text(
        "from ctxkit.hookspecs import hookimpl\n\n@hookimpl\ndef ctxkit_commands():\n    raise RuntimeError('mute')\n"
    )
    outcome = cli("-p", "cli_test_raises.py", "plugins", "trace")
    assert "raised RuntimeError: mute" in outcome.out
    assert outcome.err.count("Warning: ") == 1
    monkeypatch.setenv("CTXKIT_STRICT_PLUGINS", "1")
    assert cli("-p", "cli_test_raises.py", "plugins", "trace").code == 1


def test_list_says_load_time_and_state(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each plugin is listed with version, entry point, state and load time; a blocked one has no load time."""
    monkeypatch.setenv("CTXKIT_DISABLE_PLUGINS", "ctxkit-faiss")
    outcome = cli("plugins", "list")
    plugins = outcome.out.partition("\nPlugins\n")[2].splitlines()
    assert plugins[0].split()[:4] == ["cli_test_show", "cli_test_show", "loaded", plugins[0].split()[3]]
    assert " ms" in plugins[0]
    (faiss,) = [line for line in plugins if line.split()[:1] == ["ctxkit-faiss"]]
    assert faiss.split() == ["ctxkit-faiss", "0.1.0", "faiss", "blocked"]
    assert "1 blocked" in outcome.out.splitlines()[-1]


def test_tables_fit_narrow_terminals(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The last column wraps, a line end begins a new line, control characters are harmless, no rows are nothing."""
    monkeypatch.setenv("COLUMNS", "20")
    plain.table([["name", "word " * 12 + "\nlater"], ["x", ""]])
    plain.table([])
    plain.paragraph("\x1b[31mred")
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 40
    assert lines[-3:-1] == ["        later", "  x"]
    assert "\x1b" not in lines[-1]


@pytest.mark.parametrize(("variable", "coloured"), [("COLUMNS", True), ("NO_COLOR", False)])
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, variable: str, *, coloured: bool
) -> None:
    """Codes are printed to a terminal only, and not under NO_COLOR."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, "80")
    assert plain.styled("x", "red") == "x"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert (plain.styled("x", "red") != "x") is coloured


def test_schema_without_properties() -> None:
    """A schema that lists nothing has no options; a property without a type takes anything."""
    assert options({}) == []
    assert options({"properties": {"x": {}, "y": {"const": 1}}})[0]["type"] == "anything"


def test_ambiguous_heavy_and_required_in_one_listing(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two components of one name are marked in the list and when shown; a heavy import is named."""
    monkeypatch.delitem(sys.modules, "usearch", raising=False)
    (tmp_path / "usearch.py").write_text("")
    twin = PLUGIN.replace("import json\n", "import json\nimport usearch\n", 1)
    (tmp_path / "cli_test_twin.py").write_text(twin)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "cli_test_twin", raising=False)
    listed = cli("-p", "cli_test_twin.py", "plugins", "list").out
    assert "ask for cli_test_twin:shown: another distribution has the same name" in " ".join(listed.split())
    assert "importing usearch, which is heavy" in " ".join(listed.split())
    shown = cli("-p", "cli_test_twin.py", "plugins", "show", "cli_test_twin:shown").out
    assert "use the full name" in shown
    del sys.modules["usearch"], sys.modules["cli_test_twin"]

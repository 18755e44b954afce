"""The command line and plugins: what is listed, what fails, and the commands they add."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_support import Cli, assert_error, make_cli

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


@pytest.fixture(name="cli")
def _cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in an empty folder."""
    return make_cli(tmp_path, monkeypatch, capsys)


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
    """An empty section reads "none"."""
    monkeypatch.setenv("CTXKIT_PLUGINS", "ctxkit-core")
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

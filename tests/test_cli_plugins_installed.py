"""Commands that an installed distribution adds, and options that cost nothing unless they are given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from wheel_support import Environment, make_wheel

GREETER = """
import typer
from ctxkit.hookspecs import hookimpl

app = typer.Typer()


@app.command()
def greet(name: str = typer.Option("you", "--name")) -> None:
    '''Say hello.'''
    typer.echo(f"hello {name}")


@hookimpl
def ctxkit_commands():
    return [("greet", app)]
"""
MUTE = """
from ctxkit.hookspecs import hookimpl


@hookimpl
def ctxkit_commands():
    raise RuntimeError("mute")
"""
WRONG = """
from ctxkit.hookspecs import hookimpl


@hookimpl
def ctxkit_commands():
    return [("wrong", "not an application")]
"""
LISTED = """
import json, sys
from ctxkit.cli import run
code = run(["plugins", "list", "--json"])
heavy = sorted({"numpy", "pydantic"} & sys.modules.keys())
print(json.dumps([code, heavy]), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Three distributions that add commands, one of them well."""
    folder = tmp_path_factory.mktemp("commands")
    made = Environment(folder / "env")
    wheels = [
        make_wheel(
            folder,
            f"acme-{name}",
            {f"acme_{name}/__init__.py": source, f"acme_{name}/py.typed": ""},
            entry_points=[f"{name} = acme_{name}"],
        )
        for name, source in (("greeter", GREETER), ("mute", MUTE), ("wrong", WRONG))
    ]
    made.install(*wheels)
    return made


def test_an_installed_command_is_in_the_help_and_runs(environment: Environment) -> None:
    """A distribution's sub-command stands in `ctxkit --help`, explains itself and works."""
    allow = {"CTXKIT_PLUGINS": "acme-greeter"}
    shown = environment.ctxkit("--help", **allow)
    assert (shown.code, shown.warnings) == (0, [])
    assert "greet" in shown.out
    assert "Say hello." in shown.out
    assert "--name" in environment.ctxkit("greet", "--help", **allow).out
    assert environment.ctxkit("greet", "--name", "Ada", **allow).out == "hello Ada\n"
    assert environment.ctxkit("greet", **allow).out == "hello you\n"


@pytest.mark.parametrize(("name", "says"), [("mute", "RuntimeError: mute"), ("wrong", "typer.Typer")])
def test_a_broken_command_costs_one_warning(environment: Environment, name: str, says: str) -> None:
    """Help, the other plugin's command and our own commands work; one warning names the plugin, cause and fix."""
    allow = {"CTXKIT_PLUGINS": f"acme-greeter,acme-{name}"}
    for arguments, expected in ((["--help"], "greet"), (["greet"], "hello you")):
        ran = environment.ctxkit(*arguments, **allow)
        assert ran.code == 0, ran.err
        assert expected in ran.out
        [warning] = ran.warnings
        assert f"the plugin {name!r} of acme-{name} 1.0 adds no commands" in warning
        assert says in warning
        assert "Fix: " in warning
    listed = environment.ctxkit("plugins", "list", "--json", **allow)
    assert (listed.code, listed.warnings) == (0, [])
    denied = environment.ctxkit("--help", CTXKIT_PLUGINS="acme-greeter", CTXKIT_DISABLE_PLUGINS=f"acme-{name}")
    assert denied.warnings == []


def test_a_command_plugin_is_checked_and_traced(environment: Environment) -> None:
    """The check says which commands there are, the trace when they were asked for."""
    checked = environment.ctxkit("plugins", "check", "acme-greeter", "--json")
    assert checked.code == 0, checked.out
    assert {"name": "commands", "found": "greet"}.items() <= next(
        each.items() for each in checked.json["checks"] if each["name"] == "commands"
    )
    assert environment.ctxkit("plugins", "check", "acme-mute").code == 1
    calls = environment.ctxkit("plugins", "trace", "--json", CTXKIT_PLUGINS="acme-greeter").json["calls"]
    assert [(each["plugin"], each["hook"], each["returned"]) for each in calls][-1] == (
        "acme-greeter",
        "ctxkit_commands",
        ["greet"],
    )


def test_a_listing_imports_neither_numpy_nor_pydantic(environment: Environment) -> None:
    """The listing stays quick because of what it does not import, with every plugin of the project installed."""
    ran = environment.run("-c", LISTED, CTXKIT_DISABLE_PLUGINS="acme-mute,acme-wrong")
    assert json.loads(ran.err.splitlines()[-1]) == [0, []]
    assert {"exact", "faiss", "static"} <= {each["name"] for each in ran.json["components"]}


def test_options_that_are_given_are_converted(environment: Environment, tmp_path: Path) -> None:
    """Options work before and after the command, repeated ones add up, wrong ones are refused."""
    (tmp_path / "quick_one.py").write_text(MUTE)
    (tmp_path / "quick_two.py").write_text(GREETER)
    ran = environment.ctxkit(
        "-p", str(tmp_path / "quick_one.py"), "plugins", "list", "-p", str(tmp_path / "quick_two.py"), "--json"
    )
    assert {"quick_one", "quick_two"} <= {each["distribution"] for each in ran.json["plugins"]}
    assert environment.ctxkit("plugins", "list", "--nonsense").code == 2
    assert environment.ctxkit("plugins", "show").code == 2
    assert environment.ctxkit("--version").out.startswith("ctxkit ")

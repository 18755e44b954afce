"""Plugins without a distribution, sub-commands from plugins, and the registry of the process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
import typer

import ctxkit.plugins as facade
from ctxkit.errors import PluginError, PluginLoadError
from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec, TokenizerCapabilities
from ctxkit.plugins import PluginRegistry, get_registry
from ctxkit.plugins import registry as module

Install = Callable[..., Path]
Discover = Callable[..., PluginRegistry]
Complaints = Callable[[], list[str]]
HOOK = "\n@hookimpl\ndef ctxkit_tokenizers(): return [tokenizer({!r})]\n"


class ByHand:
    """An object with hooks, and with a property that must not run."""

    @property
    def costly(self) -> str:
        """Fail, as a property that opens a connection might."""
        raise OSError("a property of the plugin was read")

    @hookimpl
    def ctxkit_tokenizers(self) -> list[BackendSpec]:
        """Announce one tokenizer."""
        capabilities = TokenizerCapabilities(exact=False)
        return [BackendSpec(name="hand", factory="a:A", config="a:C", summary="by hand", capabilities=capabilities)]


def test_register_object() -> None:
    """An object with hook implementations becomes a plugin of the given name."""
    registry = PluginRegistry()
    record = registry.register(ByHand(), name="mine")
    assert (record.distribution, record.version, record.status) == ("mine", "", "loaded")
    assert registry.find("tokenizer", "mine:hand").qualified_name == "mine:hand"
    assert PluginRegistry().plugins == []


def test_register_default_name() -> None:
    """Without a name, an object is called like its class."""
    assert PluginRegistry().register(ByHand()).distribution == "ByHand"


def test_register_twice() -> None:
    """A name that is taken is refused, however it is spelled."""
    registry = PluginRegistry()
    registry.register(ByHand(), name="my-plugin")
    with pytest.raises(PluginError, match="already"):
        registry.register(ByHand(), name="My_Plugin")
    assert len(registry.plugins) == 1


@pytest.mark.parametrize("plugin", [None, object(), "text", json])
def test_register_what_is_no_plugin(plugin: object, complaints: Complaints) -> None:
    """What has no hooks is refused with an error, not a warning: it was asked for by name."""
    registry = PluginRegistry()
    with pytest.raises(PluginLoadError, match="implements no hook"):
        registry.register(plugin, name="nothing")
    assert registry.plugins == []
    assert complaints() == []


def test_load_file(write: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file outside sys.path loads, and its components are made from the module named like it."""
    path = write("acme_file", HOOK.format("filed"))
    elsewhere = path.rename(tmp_path / path.name)
    monkeypatch.chdir(tmp_path)
    registry = PluginRegistry()
    record = registry.load_path(elsewhere.name)
    assert (record.distribution, record.value) == ("acme_file", "acme_file.py")
    assert registry.create_tokenizer("acme_file:filed").count("abc") == 3
    # A second registry takes the module that is there.
    assert PluginRegistry().load_path(str(elsewhere)).status == "loaded"


def test_load_module(write: Install) -> None:
    """A module on sys.path loads by its name."""
    write("acme_module", HOOK.format("moduled"))
    registry = PluginRegistry()
    registry.load_path("acme_module")
    assert registry.create_tokenizer("moduled").count("a") == 1


@pytest.mark.parametrize(
    ("name", "source", "cause"),
    [
        ("acme_bad", "1 / 0", ZeroDivisionError),
        ("acme_bad", "def broken(:", SyntaxError),
        ("acme_bad", "raise SystemExit", SystemExit),
    ],
)
def test_load_bad_file(
    write: Install,
    tmp_path: Path,
    name: str,
    source: str,
    cause: type[BaseException],
) -> None:
    """A file that fails raises its cause and leaves nothing behind."""
    path = write(name, source).rename(tmp_path / f"{name}.py")
    registry = PluginRegistry()
    with pytest.raises(PluginLoadError, match="Fix: correct") as caught:
        registry.load_path(str(path))
    assert type(caught.value.__cause__) is cause
    assert name not in sys.modules
    assert registry.plugins == []


@pytest.mark.parametrize("name", ["json", "acme_handmade"])
def test_load_file_of_a_taken_name(write: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A file that would hide a module is refused, and the module stays."""
    monkeypatch.setitem(sys.modules, "acme_handmade", ModuleType("acme_handmade"))
    path = write(name, HOOK.format("x")).rename(tmp_path / f"{name}.py")
    before = sys.modules[name]
    with pytest.raises(PluginLoadError, match=r"would hide the module .* Fix: give the file a name"):
        PluginRegistry().load_path(str(path))
    assert sys.modules[name] is before


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("absent.py", r"there is no file absent\.py\. Fix: give a Python file, or a module without `\.py`\."),
        ("acme_absent", r"No module named 'acme_absent'\. Fix: install 'acme_absent', or name its file, as in folder/"),
        ("acme_gone.part", r"No module named 'acme_gone'\. Fix: install 'acme_gone', or name its file"),
        ("folder/acme", r"'folder/acme' is neither .* Fix: give folder/file\.py or package\.module\."),
        ("folder/there", r"'folder/there' is neither .* Fix: did you mean folder/there\.py\?"),
        ("folder", r"it implements no hook of ctxkit\. Fix: correct folder\."),
        ("", r"'' is neither"),
        (".", r"'\.' is neither"),
        ("-x", r"'-x' is neither"),
        ("a" * 5000 + ".py", "there is no file aaa"),
        ("-" * 5000, "is neither a Python file"),
        ("needs.py", r"No module named 'acme_is_not_there'\. Fix: install the module 'acme_is_not_there', or correct"),
    ],
)
def test_load_absent(target: str, says: str, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not there, or can be no plugin, is one load error with one fix."""
    monkeypatch.chdir(site)
    (site / "folder").mkdir()
    (site / "folder" / "there.py").write_text("")
    (site / "needs.py").write_text("import acme_is_not_there")
    with pytest.raises(PluginLoadError, match=says) as caught:
        PluginRegistry().load_path(target)
    assert str(caught.value).count("Fix: ") == 1


def test_interrupted_import(write: Install, complaints: Complaints) -> None:
    """Ctrl-C stops a plugin that does not finish, and says which one it was."""
    write("acme_slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        PluginRegistry().load_path("acme_slow")
    assert complaints() == ["interrupted while loading the plugin 'acme_slow'. Fix: correct acme_slow."]


COMMAND = "\nimport typer\n@hookimpl\ndef ctxkit_commands(): return [({!r}, typer.Typer())]\n"


def test_commands(install: Install, discover: Discover) -> None:
    """Plugins add sub-commands, in the order of their names."""
    install("acme-one", COMMAND.format("zoom") + HOOK.format("one"))
    install("acme-two", COMMAND.format("audit"))
    commands = discover().commands()
    assert [(command.name, command.plugin.distribution) for command in commands] == [
        ("audit", "acme-two"),
        ("zoom", "acme-one"),
    ]
    assert all(isinstance(command.app, typer.Typer) for command in commands)


@pytest.mark.parametrize("body", ["raise OSError('no')", "return [('name', 5)]", "return ['x']", "return", "exit()"])
def test_bad_command_hook(install: Install, discover: Discover, complaints: Complaints, body: str) -> None:
    """A command hook that fails costs its plugin the commands and one warning, not the components."""
    install("acme-one", f"from sys import exit{HOOK.format('one')}@hookimpl\ndef ctxkit_commands(): {body}")
    install("acme-two", COMMAND.format("audit"))
    registry = discover()
    assert complaints() == []
    assert [[command.name for command in registry.commands()] for _ in range(2)] == [["audit"], ["audit"]]
    [message] = complaints()
    assert "'acme-one' of acme-one 1.0 adds no commands: ctxkit_commands: " in message
    assert "Fix: " in message
    assert registry.plugins[0].error is not None
    assert registry.create_tokenizer("one").count("a") == 1


def test_bad_command_hook_strict(install: Install, discover: Discover) -> None:
    """Under the strict switch a failing command hook is an error with its cause."""
    install("acme-one", "@hookimpl\ndef ctxkit_commands(): raise OSError('no')")
    with pytest.raises(PluginLoadError, match="ctxkit_commands") as caught:
        discover(CTXKIT_STRICT_PLUGINS="yes").commands()
    assert isinstance(caught.value.__cause__, OSError)


def test_interrupted_command_hook(install: Install, discover: Discover) -> None:
    """Ctrl-C in a command hook stops the program."""
    install("acme-one", "@hookimpl\ndef ctxkit_commands(): raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        discover().commands()


def test_registry_of_the_process(install: Install, monkeypatch: pytest.MonkeyPatch, complaints: Complaints) -> None:
    """The process's registry is discovered once, whoever asks first and from however many threads."""
    monkeypatch.setattr(module, "_shared", [])
    monkeypatch.setenv("CTXKIT_PLUGINS", "acme-broken")
    install("acme-broken", "import time; time.sleep(0.05); 1 / 0")
    with ThreadPoolExecutor(8) as pool:
        registries = list(pool.map(lambda _: get_registry(), range(16)))
    assert {id(registry) for registry in registries} == {id(get_registry())}
    assert len([message for message in complaints() if "acme-broken" in message]) == 1


def test_facade() -> None:
    """What the package exports is pinned, and exists."""
    assert facade.__all__ == [
        "KINDS",
        "Command",
        "Component",
        "PluginRecord",
        "PluginRegistry",
        "get_registry",
        "install_line",
    ]
    assert all(hasattr(facade, name) for name in facade.__all__)

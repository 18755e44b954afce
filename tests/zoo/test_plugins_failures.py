"""Every way in which a plugin can be broken costs exactly that plugin."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from ctxkit.errors import PluginError, PluginLoadError
from ctxkit.plugins import PluginRecord, PluginRegistry, failures

Install = Callable[..., Path]
Discover = Callable[..., PluginRegistry]
Complaints = Callable[[], list[str]]


class Broken(NamedTuple):
    """A plugin's source, the type of exception it fails with, and what the message must say."""

    source: str
    cause: str
    says: str
    status: str = "failed"


HOOK = "\n@hookimpl\ndef ctxkit_tokenizers():\n    "
ZOO = {
    "import error": Broken("raise ImportError('no luck')", "ImportError", "no luck"),
    "missing module": Broken("import acme_is_not_there", "ModuleNotFoundError", "install the module 'acme_is_not_"),
    "syntax error": Broken("def broken(:\n", "SyntaxError", "acme_broken.py, line"),
    "any exception": Broken("1 / 0", "ZeroDivisionError", "division by zero"),
    "sys.exit at import": Broken("import sys; sys.exit(3)", "SystemExit", "SystemExit: 3"),
    "panic of a native module": Broken(
        "class PanicException(BaseException): pass\nraise PanicException('Rust')", "PanicException", "Rust"
    ),
    "asks for the registry at import": Broken(
        "from ctxkit.plugins import get_registry\nget_registry()", "PluginError", "being discovered"
    ),
    "misspelled hook": Broken(
        "@hookimpl\ndef ctxkit_tokenizer(): return []",
        "PluginValidationError",
        "no hook ctxkit_tokenizer; did you mean ctxkit_tokenizers?",
    ),
    "unknown hook": Broken("@hookimpl\ndef qqq(): return []", "PluginValidationError", "there is no hook qqq."),
    "unknown argument": Broken(
        "@hookimpl\ndef ctxkit_tokenizers(registry): return []", "PluginValidationError", "registry"
    ),
    "keyword argument": Broken("@hookimpl\ndef ctxkit_tokenizers(*, a): return []", "TypeError", "keyword-only"),
    "wrapper": Broken(
        "@hookimpl(wrapper=True)\ndef ctxkit_tokenizers(): return (yield)", "PluginValidationError", "is a wrapper"
    ),
    "coroutine": Broken(
        "@hookimpl\nasync def ctxkit_tokenizers(): return []", "PluginValidationError", "is a coroutine"
    ),
    "unmarked hook": Broken("def ctxkit_tokenizers(): return []", "PluginValidationError", "is not marked with"),
    "no hook": Broken("", "PluginValidationError", "implements no hook"),
    "hook raises": Broken(f"{HOOK}raise RuntimeError('in\\nhook')", "RuntimeError", "in hook"),
    "hook exits": Broken(f"{HOOK}raise SystemExit", "SystemExit", "SystemExit"),
    "generator raises half-way": Broken(
        f"{HOOK}yield tokenizer('early')\n    raise OSError('half-way')", "OSError", "half-way"
    ),
    "endless generator": Broken(
        "import itertools" + HOOK + "return (tokenizer(f't{n}') for n in itertools.count())",
        "PluginValidationError",
        "more than 1000",
    ),
    "returns None": Broken(f"{HOOK}tokenizer('forgotten')", "PluginValidationError", "it returned None"),
    "returns one specification": Broken(f"{HOOK}return tokenizer('x')", "PluginValidationError", "must return a list"),
    "returns a string": Broken(f"{HOOK}return 'x'", "PluginValidationError", "type str"),
    "returns no specification": Broken(f"{HOOK}return [object()]", "PluginValidationError", "must return BackendSpecs"),
    "returns one name twice": Broken(
        f"{HOOK}return [tokenizer('x'), tokenizer('x')]", "PluginValidationError", "two components named 'x'"
    ),
    "invalid specification": Broken(f"{HOOK}return [tokenizer('NO GOOD')]", "InvalidValueError", "BackendSpec.name"),
    "capabilities of another kind": Broken(
        f"{HOOK}return [tokenizer('x', capabilities=EmbedderCapabilities())]",
        "PluginValidationError",
        "must be TokenizerCapabilities",
    ),
    "future specification": Broken(
        f"{HOOK}return [tokenizer('x', spec_version=2)]", "IncompatibleSpecError", "spec_version 2", "incompatible"
    ),
    "impossible specification": Broken(
        f"{HOOK}return [tokenizer('x', spec_version=0)]", "IncompatibleSpecError", "spec_version 0", "incompatible"
    ),
    "long message": Broken("raise ValueError('x' * 9000)", "ValueError", "xxx..."),
    "message that fails": Broken(
        "class Mute(Exception):\n    def __str__(self): raise KeyError\nraise Mute", "Mute", "acme_broken.Mute"
    ),
}


@pytest.fixture(params=list(ZOO.values()), ids=list(ZOO))
def broken(request: pytest.FixtureRequest, good: Install, install: Install) -> Broken:
    """One broken distribution between two healthy ones."""
    good("acme-alpha", "alpha")
    good("acme-zulu", "zulu")
    chosen: Broken = request.param
    install("acme-broken", chosen.source, entry_point="broken")
    return chosen


def test_the_others_work(broken: Broken, discover: Discover) -> None:
    """A broken plugin is recorded with its reason, and the plugins around it are made and used."""
    registry = discover()
    assert [(plugin.distribution, plugin.status) for plugin in registry.plugins] == [
        ("acme-alpha", "loaded"),
        ("acme-broken", broken.status),
        ("acme-zulu", "loaded"),
    ]
    assert [component.name for component in registry.components()] == ["alpha", "zulu"]
    assert registry.create_tokenizer("alpha").count("abc") == 3
    assert registry.create_tokenizer("zulu", {"width": 2}).count("abc") == 6


def test_one_warning(broken: Broken, discover: Discover, complaints: Complaints) -> None:
    """A broken plugin costs one warning in one line: distribution, entry point, cause and fix."""
    registry = discover()
    registry.components()
    [message] = complaints()
    assert "plugin 'broken' of acme-broken 1.0" in message
    assert broken.says in message
    assert "Fix: " in message
    assert "CTXKIT_DISABLE_PLUGINS=acme-broken" in message
    assert "\n" not in message
    assert len(message) < 800


@pytest.mark.parametrize("name", ["broken", "acme-broken", "Acme_Broken:anything"])
def test_asking_raises_the_cause(broken: Broken, discover: Discover, complaints: Complaints, name: str) -> None:
    """Asking a broken plugin for a component raises its own exception as the cause, and warns no second time."""
    registry = discover()
    with pytest.raises(PluginLoadError) as caught:
        registry.find("tokenizer", name)
    assert type(caught.value.__cause__).__name__ == broken.cause
    assert str(caught.value) == complaints()[0]
    assert not registry.is_available("tokenizer", name)
    assert len(complaints()) == 1


def test_several_failures_share_a_line(install: Install, discover: Discover, complaints: Complaints) -> None:
    """Every command prints what discovery logs: of several plugins only the names, and where the causes stand."""
    for name in ("acme-one", "acme-two"):
        install(name, "raise OSError('gone')")
    discover()
    assert complaints() == ["2 plugins do not load: acme-one, acme-two. Fix: `ctxkit plugins list` tells why."]


def test_a_failure_says_where_and_a_misspelt_module_what_there_is(
    install: Install, discover: Discover, complaints: Complaints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line of the plugin's own code helps its author; what is not in the distribution no reinstall brings back."""
    install("acme-raiser", "\nraise RuntimeError('licence server unreachable')")
    discover()
    assert re.search(r"unreachable \(.*acme_raiser\.py, line \d+\)\. Fix: .*or tell its authors", complaints()[0])
    record = PluginRecord("acme-misspelt", "1.0", "x", "acme_mispelt", cause=ModuleNotFoundError(name="acme_mispelt"))
    monkeypatch.setattr(failures, "modules_of", {"acme-misspelt": ["acme_misspelt"]}.get)
    assert "has no module 'acme_mispelt', but acme_misspelt" in failures.load_fix(record)


def test_strict(broken: Broken, discover: Discover, complaints: Complaints) -> None:
    """CTXKIT_STRICT_PLUGINS=1 turns the warning into an error with the same cause."""
    with pytest.raises(PluginLoadError, match="acme-broken") as caught:
        discover(CTXKIT_STRICT_PLUGINS="1")
    assert type(caught.value.__cause__).__name__ == broken.cause
    assert complaints() == []


@pytest.mark.usefixtures("broken")
def test_disabled(discover: Discover, complaints: Complaints) -> None:
    """A broken plugin on the deny list is never imported, so it cannot fail, strict or not."""
    registry = discover(CTXKIT_STRICT_PLUGINS="1", CTXKIT_DISABLE_PLUGINS="broken")
    assert registry.plugins[1].error == "CTXKIT_DISABLE_PLUGINS lists it"
    assert [plugin.status for plugin in registry.plugins] == ["loaded", "blocked", "loaded"]
    assert complaints() == []


def test_keyboard_interrupt_stops_discovery(install: Install, discover: Discover) -> None:
    """A user who presses Ctrl-C while plugins load means the program, not the plugin."""
    install("acme-broken", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        discover()


def test_a_component_announced_before_the_failure(install: Install, discover: Discover) -> None:
    """What a plugin announced before it failed is known by name, and unusable."""
    install("acme-broken", f"{HOOK}yield tokenizer('early')\n    raise OSError('half-way')")
    registry = discover()
    assert registry.plugins[0].components == ("tokenizer:early",)
    assert registry.components() == []
    with pytest.raises(PluginLoadError) as caught:
        registry.create_tokenizer("early")
    assert isinstance(caught.value.__cause__, OSError)


def test_prints_at_import(
    install: Install, discover: Discover, complaints: Complaints, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plugin that prints is rude but works."""
    install("acme-loud", f"print('hello'){HOOK}return [tokenizer('loud')]")
    assert discover().create_tokenizer("loud").count("ab") == 2
    assert capsys.readouterr().out == "hello\n"
    assert complaints() == []


def test_optional_hook_of_the_future(install: Install, discover: Discover) -> None:
    """A hook marked optional may be unknown: a plugin can serve several versions of ctxkit."""
    future = "\n@hookimpl(optionalhook=True)\ndef ctxkit_rerankers(): return []\n"
    install("acme-new", f"{future}{HOOK}return [tokenizer('new')]")
    assert discover().is_available("tokenizer", "new")


def test_lazy_facade_is_not_touched(install: Install, discover: Discover) -> None:
    """Reading a plugin's hooks does not pull the heavy names that its facade loads on demand."""
    lazy = "\ndef __dir__(): return ['Heavy', 'ctxkit_tokenizers']\ndef __getattr__(name): raise SystemExit(name)\n"
    install("acme-lazy", f"{HOOK}return [tokenizer('lazy')]\n{lazy}")
    assert discover().is_available("tokenizer", "lazy")


def test_malformed_entry_points(good: Install, discover: Discover, complaints: Complaints) -> None:
    """Files that cannot be parsed cost their own distribution, and only if they are about ctxkit."""
    good("acme-alpha", "alpha")
    (good("acme-broken", "x") / "entry_points.txt").write_text("[ctxkit]\nno equals sign\n", encoding="utf-8")
    (good("acme-stranger", "y") / "entry_points.txt").write_text("[pytest11]\nno equals sign\n", encoding="utf-8")
    (good("acme-binary", "z") / "entry_points.txt").write_bytes(b"[ctxkit]\n\xff\xfe = x\n")
    registry = discover()
    assert [(plugin.distribution, plugin.status) for plugin in registry.plugins] == [
        ("acme-alpha", "loaded"),
        ("acme-broken", "failed"),
    ]
    assert len(complaints()) == 1


def test_missing_metadata(good: Install, discover: Discover) -> None:
    """The remains of broken uninstalls, and METADATA that is no text, are all found, without a name."""
    for name in ("acme-alpha", "acme-beta"):
        (good(name, name) / "METADATA").unlink()
    (good("acme-gamma", "acme-gamma") / "METADATA").write_bytes(b"\xff\xfe")
    registry = discover()
    assert [plugin.distribution for plugin in registry.plugins] == ["unknown"] * 3
    assert [each.name for each in registry.components("tokenizer")] == ["acme-alpha", "acme-beta", "acme-gamma"]


def test_uninstalled_code(good: Install, discover: Discover, site: Path, complaints: Complaints) -> None:
    """An entry point whose module is gone says how to get it back."""
    good("acme-gone", "gone")
    (site / "acme_gone.py").unlink()
    with pytest.raises(PluginError):
        discover().find("tokenizer", "acme-gone")
    assert "Fix: pip install --force-reinstall acme-gone" in complaints()[0]

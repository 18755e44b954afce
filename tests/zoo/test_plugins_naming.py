"""Which plugins are found and permitted, and which component a name means."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ctxkit.errors import AmbiguousPluginError, ConfigError, PluginLoadError, PluginNotFoundError
from ctxkit.interfaces import Kind
from ctxkit.plugins import KINDS, PluginRegistry, install_line
from ctxkit.plugins.installing import pip_install

Install = Callable[..., Path]
Discover = Callable[..., PluginRegistry]


def statuses(registry: PluginRegistry) -> dict[str, str]:
    """Return the status of each distribution."""
    return {plugin.distribution: plugin.status for plugin in registry.plugins}


@pytest.mark.parametrize(
    ("environ", "loaded"),
    [
        ({}, {"acme-one", "acme-two", "ctxkit-core"}),
        ({"CTXKIT_PLUGINS": ""}, {"acme-one", "acme-two", "ctxkit-core"}),
        ({"CTXKIT_PLUGINS": "acme-one"}, {"acme-one", "ctxkit-core"}),
        ({"CTXKIT_PLUGINS": " Acme_Two , other"}, {"acme-two", "ctxkit-core"}),
        ({"CTXKIT_PLUGINS": "core"}, {"ctxkit-core"}),
        ({"CTXKIT_DISABLE_PLUGINS": "one"}, {"acme-two", "ctxkit-core"}),
        ({"CTXKIT_DISABLE_PLUGINS": "acme.one,core,ctxkit-core"}, {"acme-two", "ctxkit-core"}),
        ({"CTXKIT_PLUGINS": "one,two", "CTXKIT_DISABLE_PLUGINS": "two"}, {"acme-one", "ctxkit-core"}),
    ],
)
def test_allow_and_deny(good: Install, discover: Discover, environ: dict[str, str], loaded: set[str]) -> None:
    """Both lists take entry point and distribution names in any spelling; the core's own always loads."""
    good("acme-one", "one", entry_point="one")
    good("acme-two", "two", entry_point="two")
    good("ctxkit-core", "basic", entry_point="core")
    found = statuses(discover(**environ))
    assert {name for name, status in found.items() if status == "loaded"} == loaded
    assert {name for name, status in found.items() if status == "blocked"} == set(found) - loaded


def test_somebody_elses_core_is_not_privileged(good: Install, discover: Discover) -> None:
    """Only the core's own distribution may pass the lists by calling its entry point `core`."""
    good("acme-core", "sly", entry_point="core")
    assert statuses(discover(CTXKIT_DISABLE_PLUGINS="acme-core")) == {"acme-core": "blocked"}


def test_blocked_is_never_imported(install: Install, discover: Discover, tmp_path: Path) -> None:
    """A blocked plugin runs no code, and asking for it names the variable to change."""
    install("acme-one", f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    registry = discover(CTXKIT_DISABLE_PLUGINS="acme-one")
    assert not (tmp_path / "ran").exists()
    with pytest.raises(PluginNotFoundError, match=r"lists it\. Fix: take it out of CTXKIT_DISABLE_PLUGINS\."):
        registry.find("tokenizer", "acme-one")
    with pytest.raises(PluginNotFoundError, match="CTXKIT_PLUGINS does not list it"):
        discover(CTXKIT_PLUGINS="other").find("tokenizer", "acme-one")


def test_a_permitted_name_that_nobody_has(good: Install, discover: Discover, caplog: pytest.LogCaptureFixture) -> None:
    """A slip in the allow list is said once, with what was meant; where failures are errors, it is one."""
    good("acme-one", "one")
    discover(CTXKIT_PLUGINS="acme-one")
    assert not caplog.records
    discover(CTXKIT_PLUGINS="acme-onne, acme-one")
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith(
        "CTXKIT_PLUGINS lists 'acme-onne', but no installed plugin is called that. Fix: did you mean"
    )
    assert "'acme-one'?" in line
    with pytest.raises(PluginNotFoundError, match="lists 'acme-onne'"):
        discover(CTXKIT_PLUGINS="acme-onne", CTXKIT_STRICT_PLUGINS="1")


@pytest.mark.parametrize("switch", ["maybe", "2"])
def test_strict_switch_is_checked(discover: Discover, switch: str) -> None:
    """A strict switch that is neither on nor off is refused rather than guessed."""
    with pytest.raises(ConfigError, match="CTXKIT_STRICT_PLUGINS"):
        discover(CTXKIT_STRICT_PLUGINS=switch)


@pytest.mark.parametrize("switch", ["", "0", "off", "False", "no"])
def test_strict_off(install: Install, discover: Discover, switch: str) -> None:
    """The usual ways to say no leave strictness off."""
    install("acme-broken", "1 / 0")
    assert statuses(discover(CTXKIT_STRICT_PLUGINS=switch)) == {"acme-broken": "failed"}


def test_environment_of_the_process(good: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument the process's environment decides, and sys.path is searched."""
    good("acme-one", "one")
    good("acme-two", "two")
    monkeypatch.setenv("CTXKIT_PLUGINS", "acme-one")
    found = statuses(PluginRegistry.discover())
    assert (found["acme-one"], found["acme-two"]) == ("loaded", "blocked")


def test_two_distributions_one_entry_point_name(good: Install, discover: Discover) -> None:
    """Distributions that chose the same entry-point name both load."""
    good("acme-one", "one", entry_point="same")
    good("acme-two", "two", entry_point="same")
    registry = discover()
    assert statuses(registry) == {"acme-one": "loaded", "acme-two": "loaded"}
    assert registry.create_tokenizer("one").count("a") == registry.create_tokenizer("two").count("a") == 1


def test_two_components_one_name(good: Install, discover: Discover) -> None:
    """A shared name is an error only when it is asked for bare, and the error lists what to ask for."""
    good("acme-one", "same")
    good("acme-two", "same")
    good("acme-three", "other")
    registry = discover()
    assert [each.qualified_name for each in registry.components()] == [
        "acme-three:other",
        "acme-one:same",
        "acme-two:same",
    ]
    assert registry.find("tokenizer", "other").name == "other"
    with pytest.raises(AmbiguousPluginError, match="acme-one:same, acme-two:same"):
        registry.find("tokenizer", "same")
    assert not registry.is_available("tokenizer", "same")
    assert registry.find("tokenizer", "acme-two:same").plugin.distribution == "acme-two"
    assert registry.create_tokenizer("Acme_One:same").count("ab") == 2


def test_one_name_two_kinds(install: Install, discover: Discover) -> None:
    """Kinds have separate names: an embedder and a tokenizer may share one."""
    embedder = "[tokenizer('same', capabilities=EmbedderCapabilities())]"
    install(
        "acme-one",
        f"@hookimpl\ndef ctxkit_tokenizers(): return [tokenizer('same')]\n"
        f"@hookimpl\ndef ctxkit_embedders(): return {embedder}",
    )
    registry = discover()
    assert [component.kind for component in registry.components()] == ["embedder", "tokenizer"]
    assert [component.kind for component in registry.components("embedder")] == ["embedder"]
    assert registry.find("embedder", "same").kind == "embedder"


def test_distribution_found_twice(good: Install, discover: Discover, tmp_path: Path) -> None:
    """An editable install beside a stale dist-info is one distribution: the first on the path."""
    good("acme-one", "one", version="2.0")
    good("Acme.One", "one", version="1.0", folder=tmp_path / "stale")
    registry = discover(tmp_path / "stale")
    assert [(plugin.distribution, plugin.version) for plugin in registry.plugins] == [("acme-one", "2.0")]
    assert registry.find("tokenizer", "one").name == "one"


@pytest.mark.parametrize(
    ("kind", "name", "says"),
    [
        ("tokenizer", "alhpa", "there is alpha, beta. Fix: did you mean 'alpha'?"),
        ("tokenizer", "acme-one:alhpa", "did you mean 'alpha'?"),
        ("tokenizer", "tiktoken", f"Fix: {pip_install('ctxkit-tiktoken')}"),
        ("vector_store", "faiss", f"there is none. Fix: {pip_install('ctxkit-faiss')}"),
        ("vector_store", "ctxkit-faiss:faiss", f"Fix: {pip_install('ctxkit-faiss')}"),
        ("vector_store", "fiass", f"did you mean 'faiss'? {pip_install('ctxkit-faiss')}"),
        ("embedder", "sentence_transformers", f"Fix: {pip_install('ctxkit-sentence-transformers')}"),
        ("tokenizer", "qqqqq", "ctxkit plugins list"),
        ("vectorstore", "faiss", "use one of vector_store, embedder, tokenizer, llm"),
    ],
)
def test_unknown_name(good: Install, discover: Discover, kind: Kind, name: str, says: str) -> None:
    """An unknown name is answered with what there is, what was probably meant, and how to install it."""
    good("acme-one", "alpha")
    good("acme-two", "beta")
    registry = discover()
    with pytest.raises(PluginNotFoundError) as caught:
        registry.find(kind, name)
    assert says in str(caught.value)
    assert repr(name) in str(caught.value) or kind not in KINDS
    assert not registry.is_available(kind, name)


def test_install_line() -> None:
    """The project's own components are known by kind and name."""
    assert install_line("llm", "openai") == pip_install("ctxkit-openai")
    assert install_line("tokenizer", "openai") is None


def test_healthy_name_wins_over_a_failed_plugin(good: Install, install: Install, discover: Discover) -> None:
    """A name that works is served even when a failed plugin could also have meant it."""
    good("acme-one", "fast")
    install("ctxkit-fast", "1 / 0")
    registry = discover()
    assert registry.find("tokenizer", "fast").plugin.distribution == "acme-one"
    with pytest.raises(PluginLoadError):
        registry.find("tokenizer", "ctxkit-fast:fast")
    with pytest.raises(PluginLoadError):
        registry.find("embedder", "fast")


def test_listing(good: Install, install: Install, discover: Discover) -> None:
    """`ctxkit plugins list --json` finds everything it prints in one JSON-ready value."""
    good("acme-one", "alpha", changes=", requires=('acme_absent',), install_hint='pip install absent'")
    install("acme-two", "1 / 0", entry_point="two")
    listed = json.loads(json.dumps(discover(CTXKIT_DISABLE_PLUGINS="acme-three").as_dict()))
    first, second = listed["plugins"]
    assert first["load_ms"] > 0
    assert {key: first[key] for key in ("distribution", "version", "entry_point", "value", "status", "error")} == {
        "distribution": "acme-one",
        "version": "1.0",
        "entry_point": "acme-one",
        "value": "acme_one",
        "status": "loaded",
        "error": None,
    }
    assert first["components"] == ["tokenizer:alpha"]
    assert (second["status"], second["error"]) == ("failed", "ZeroDivisionError: division by zero")
    assert listed["components"] == [
        {
            "kind": "tokenizer",
            "name": "alpha",
            "qualified_name": "acme-one:alpha",
            "distribution": "acme-one",
            "version": "1.0",
            "summary": "characters",
            "requires": ["acme_absent"],
            "missing": ["acme_absent"],
            "ambiguous": False,
            "install_hint": "pip install absent",
            "capabilities": {"exact": True, "encodes": False},
        }
    ]

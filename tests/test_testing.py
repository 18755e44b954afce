"""What plugin authors get for their own tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import components
import pytest

import ctxkit.testing as facade
from ctxkit import ContextManager, VectorStoreConfig
from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import MissingDependencyError, PluginError, PluginLoadError, PluginNotFoundError
from ctxkit.interfaces import (
    BackendConfig,
    Capabilities,
    CollectionSpec,
    EmbedderCapabilities,
    InvalidValueError,
    LLMCapabilities,
    Tokenizer,
    VectorStore,
)
from ctxkit.plugins import get_registry
from ctxkit.plugins import registry as registry_module
from ctxkit.testing import temporary_registry

SUITE = """
import ctxkit.defaults.hooks

pytest_plugins = ["ctxkit.testing.fixtures"]


def test_first(ctxkit_registry):
    assert ctxkit_registry.is_available("vector_store", "exact")
    ctxkit_registry.register(ctxkit.defaults.hooks, name="more")


def test_second(ctxkit_registry):
    assert [each.distribution for each in ctxkit_registry.plugins] == ["ctxkit-core"]
"""


class Letters(Tokenizer):
    """One token a character."""

    name = "letters"
    exact = True
    concatenation_bound = 0

    def __init__(self, config: BackendConfig) -> None:
        self.config = config

    def count(self, text: str) -> int:
        """The length."""
        return len(text)

    def truncate(self, text: str, max_tokens: int, side: Literal["left", "right"] = "right") -> str:
        """Cut characters."""
        return text[:max_tokens] if side == "right" else text[-max_tokens:]


def test_a_class_of_the_module_is_registered_under_a_name() -> None:
    """A component class works by name, bare and qualified, as if a distribution had announced it."""
    with temporary_registry() as registry:
        component = registry.add("tokenizer", "letters", Letters)
        assert component.qualified_name == "testing-tokenizer-letters:letters"
        assert registry.create_tokenizer("letters").count("abc") == 3
        assert registry.find("tokenizer", component.qualified_name) == component


def test_a_class_defined_inside_a_test_is_registered() -> None:
    """Classes that no module exports work until the registry ends, two of one name side by side."""

    def make(factor: int) -> type[Letters]:
        class Local(Letters):
            def count(self, text: str) -> int:
                return factor * len(text)

        return Local

    before = set(sys.modules)
    with temporary_registry() as registry:
        registry.add("tokenizer", "double", make(2))
        registry.add("tokenizer", "triple", make(3))
        assert registry.create_tokenizer("double").count("ab") == 4
        assert registry.create_tokenizer("triple").count("ab") == 6
    assert set(sys.modules) == before


def test_the_process_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shared registry does not see what a test adds, and the test sees nothing of the environment."""
    shared = get_registry().as_dict()
    monkeypatch.setenv("CTXKIT_DISABLE_PLUGINS", "core")
    monkeypatch.setenv("CTXKIT_STRICT_PLUGINS", "nonsense")
    with temporary_registry() as registry:
        registry.add("tokenizer", "letters", Letters)
        assert [each.name for each in registry.components("embedder")] == []
    assert get_registry().as_dict() == shared
    with pytest.raises(PluginNotFoundError):
        get_registry().find("tokenizer", "letters")


def test_without_the_core() -> None:
    """A registry can be empty but for what it is given."""
    with temporary_registry(SimpleNamespace(ctxkit_embedders=components.ctxkit_embedders), core=False) as registry:
        assert {each.name for each in registry.components()} == {each.name for each in components.ctxkit_embedders()}


def test_a_plugin_that_fails_raises() -> None:
    """A test that names a plugin means that one, so its failure is an error and not a warning."""
    with pytest.raises(PluginLoadError, match="implements no hook"), temporary_registry(SimpleNamespace()):
        pass  # pragma: no cover - never entered


def test_capabilities() -> None:
    """Capabilities come from the argument, else from the configuration, else from the kind; a store must have some."""
    given = Capabilities(metrics=frozenset({"dot"}), exact=True)
    with temporary_registry() as registry:
        component = registry.add("vector_store", "given", ExactStore, ExactConfig, capabilities=given)
        assert component.spec.capabilities is given
        found = registry.add("vector_store", "configured", ExactStore, ExactConfig).spec.capabilities
        assert found == ExactConfig().capabilities()
        words = registry.add("embedder", "words", components.WordEmbedder, components.WordsConfig)
        assert words.spec.capabilities == EmbedderCapabilities()
        with pytest.raises(PluginError, match="nothing says"):
            registry.add("vector_store", "silent", ExactStore)


def test_a_configuration_that_needs_an_option() -> None:
    """A required option leaves the kind's own capabilities to be assumed."""

    class Needs(BackendConfig):
        key: str

    with temporary_registry() as registry:
        component = registry.add("tokenizer", "keyed", Letters, Needs)
        assert registry.make_config("tokenizer", "keyed", {"key": "x"}).model_dump() == {"key": "x"}
        assert component.spec.capabilities.model_dump() == {"exact": False, "encodes": False}


def test_refusals() -> None:
    """What the registry refuses of a plugin, it refuses of a test."""
    with temporary_registry() as registry:
        with pytest.raises(InvalidValueError, match="name"):
            registry.add("tokenizer", "NO GOOD", Letters)
        with pytest.raises(PluginLoadError, match="TokenizerCapabilities"):
            registry.add("tokenizer", "wrong", Letters, capabilities=LLMCapabilities())
        registry.add("tokenizer", "needy", Letters, requires=("module_that_is_not_there",))
        with pytest.raises(MissingDependencyError):
            registry.create_tokenizer("needy")


def test_a_memory_on_a_temporary_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manager works on a registry of one test, with the author's store under it, and discovers no other plugin."""
    monkeypatch.setattr(registry_module, "_shared", [])
    opened: list[str] = []

    class Recording(ExactStore):
        @classmethod
        def open(cls, spec: CollectionSpec, config: BackendConfig) -> VectorStore:  # type: ignore[override]
            opened.append(spec.name)
            return super().open(spec, config)

    with temporary_registry() as registry:
        registry.add("vector_store", "recording", Recording, ExactConfig)
        configuration = components.config().model_copy(update={"vector_store": VectorStoreConfig(provider="recording")})
        registry.register(SimpleNamespace(ctxkit_embedders=components.ctxkit_embedders), name="words")
        with ContextManager(configuration, path=tmp_path / "store", registry=registry) as memory:
            memory.observe("The cellar is cold.", "Noted.")
            assert "cellar" in str(memory.build_context("Is the cellar cold?"))
    assert opened
    assert registry_module._shared == []


def test_fixture(tmp_path: Path) -> None:
    """A suite that asks for the fixtures gets a fresh registry a test; a suite that does not has none of them."""
    (tmp_path / "test_asks.py").write_text(SUITE)
    (tmp_path / "test_silent.py").write_text("def test_none(ctxkit_registry): pass\n")
    environ = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    outputs = [
        subprocess.run([*run, name], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False).stdout
        for name in ("test_asks.py", "test_silent.py")
    ]
    assert "2 passed" in outputs[0]
    assert "fixture 'ctxkit_registry' not found" in outputs[1]


def test_facade() -> None:
    """What the package exports is pinned, and exists."""
    assert facade.__all__ == ["TemporaryRegistry", "temporary_registry"]
    assert all(hasattr(facade, name) for name in facade.__all__)

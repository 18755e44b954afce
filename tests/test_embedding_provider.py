"""EmbeddingProvider: embeddings by the name of a model, compared, and a list of the models that there are."""

from __future__ import annotations

import logging
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from ctxkit.cache import CachedEmbedder
from ctxkit.errors import ConfigError, PluginNotFoundError
from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec, EmbedderCapabilities
from ctxkit.interfaces.models import EmbeddingModel
from ctxkit.llm.embeddings import EmbeddingProvider
from ctxkit.plugins import PluginRegistry
from ctxkit.plugins.installing import pip_install

MODELS = [
    EmbeddingModel(
        name="short",
        dimension=64,
        size_mb=5.7,
        speed="very fast",
        quality="fair",
        on_this_machine=True,
        description="x",
    )
]


def listing() -> list[EmbeddingModel]:
    """Return a plugin's catalogue."""
    return MODELS


class Announces:
    """A plugin that offers the static embedder under another name, with a catalogue."""

    def __init__(self, models: str) -> None:
        self.models = models

    @hookimpl
    def ctxkit_embedders(self) -> list[BackendSpec]:
        """Announce it."""
        return [
            BackendSpec(
                name="listed",
                factory="ctxkit_static.embedder:StaticEmbedder",
                config="ctxkit_static.config:StaticConfig",
                capabilities=EmbedderCapabilities(dimension=384),
                summary="listed",
                models=self.models,
            )
        ]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> PluginRegistry:
    """A registry whose only plugin lists one model."""
    module = types.ModuleType("catalogue_of_a_test")
    module.__dict__["listing"] = listing
    monkeypatch.setitem(sys.modules, "catalogue_of_a_test", module)
    made = PluginRegistry()
    made.register(Announces("catalogue_of_a_test:listing"), name="announces")
    return made


def test_texts_become_vectors() -> None:
    """One text gives a vector, several give rows, each what the embedder itself makes."""
    with EmbeddingProvider("static") as provider:
        rows = provider.embed(["a boat", "a ship"])
        assert rows.shape == (2, 384) == (2, provider.get_dimension())
        assert rows.dtype == np.float32
        assert np.array_equal(provider.embed("a boat"), rows[0])
        assert np.array_equal(provider.embed_single("a boat"), rows[0])
        assert np.array_equal(provider.embed_query("a boat"), provider.embedder.embed_query("a boat"))


def test_similarities_are_cosines() -> None:
    """Scale does not matter, zero has no similarity, opposite is -1, and many agree with one by one."""
    provider = EmbeddingProvider("static")
    rows = np.array([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    expected = [1.0, 0.0, -1.0, 0.0, np.sqrt(0.5)]
    assert provider.batch_similarity(np.array([5.0, 0.0]), rows) == pytest.approx(expected)
    assert [provider.similarity(np.array([5.0, 0.0]), row) for row in rows] == pytest.approx(expected)
    assert provider.batch_similarity(np.zeros(2), rows).tolist() == [0.0] * 5
    assert provider.batch_similarity(np.ones(2), np.zeros((0, 2))).shape == (0,)


def test_models_are_listed_from_the_plugins(registry: PluginRegistry) -> None:
    """A catalogue names the embedder of each model, and a listed name finds it."""
    provider = EmbeddingProvider("short", registry=registry, dimension=64)
    assert provider.provider == "listed"
    assert provider.list_available_models() == {
        "short": {
            "provider": "listed",
            "dimension": 64,
            "size_mb": 5.7,
            "speed": "very fast",
            "quality": "fair",
            "on_this_machine": True,
            "description": "x",
        }
    }
    assert provider.get_model_info()["size_mb"] == 5.7
    assert provider.embed("x").shape == (64,)
    provider.close()
    provider.close()


def test_nobody_knows_an_unknown_model(registry: PluginRegistry) -> None:
    """Making one of a model that cannot be had is fine; embedding says what to install, information is None."""
    provider = EmbeddingProvider("paraphrase-MiniLM-L3-v2", registry=registry)
    assert provider.provider == "sentence-transformers"
    assert provider.get_model_info()["size_mb"] is None
    with pytest.raises(PluginNotFoundError, match=re.escape(pip_install("ctxkit-sentence-transformers"))):
        provider.embed("x")
    provider.close()
    with pytest.raises(ConfigError, match="no_such"):
        EmbeddingProvider("listed", registry=registry, no_such=1).embed("x")


def test_a_folder_keeps_what_was_embedded(tmp_path: Path) -> None:
    """With a cache the second provider looks up what the first embedded."""
    with EmbeddingProvider("static", cache=tmp_path) as first:
        vector = first.embed_single("a boat")
    with EmbeddingProvider("static", cache=tmp_path) as second:
        assert np.array_equal(second.embed_single("a boat"), vector)
        assert isinstance(second.embedder, CachedEmbedder)
        assert (second.embedder.hits, second.embedder.misses) == (1, 0)


def test_a_catalogue_that_fails_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    """A plugin whose list cannot be imported is left out with a warning."""
    registry = PluginRegistry()
    registry.register(Announces("no_such_module_anywhere:listing"), name="announces")
    with caplog.at_level(logging.WARNING, logger="ctxkit"):
        assert EmbeddingProvider("x", registry=registry).list_available_models() == {}
    assert "cannot be listed" in caplog.text


def test_the_model_of_the_package_is_listed() -> None:
    """The embedder that needs nothing stands in the list, as on this machine, and by that name it is made."""
    with EmbeddingProvider("static") as provider:
        listed = provider.list_available_models()["static"]
        assert (listed["provider"], listed["size_mb"], listed["on_this_machine"]) == ("static", 5.7, True)
        assert listed["dimension"] == provider.get_dimension()
        assert provider.get_model_info() == listed

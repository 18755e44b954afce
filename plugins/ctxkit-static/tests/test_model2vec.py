"""Models of model2vec, made and saved by the library itself: its vectors, at unit length, from a folder."""

from __future__ import annotations

from pathlib import Path

import ctxkit_static
import numpy as np
import pytest
from ctxkit_static.harness import save_as_model2vec
from ctxkit_static.model2vec_config import Model2VecConfig
from ctxkit_static.model2vec_embedder import Model2VecEmbedder

from ctxkit.errors import EmbedderError
from ctxkit.llm.embeddings import EmbeddingProvider
from ctxkit.plugins import PluginRegistry

pytestmark = pytest.mark.needs_model2vec

TEXTS = ["The boat is moored at the berth.", "naïve café", "word " * 40]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that the library saved."""
    made = tmp_path_factory.mktemp("model")
    save_as_model2vec(made)
    return made


@pytest.fixture
def embedder(folder: Path) -> Model2VecEmbedder:
    """An embedder of it."""
    return Model2VecEmbedder(Model2VecConfig(model=str(folder)))


def test_vectors_are_the_library_s_own(embedder: Model2VecEmbedder, folder: Path) -> None:
    """What the library makes of a text, at unit length; length and fingerprint are known before it is loaded."""
    from model2vec import StaticModel  # noqa: PLC0415

    assert (embedder.dimension, embedder.fingerprint[:10]) == (64, "model2vec-")
    expected = StaticModel.from_pretrained(folder, normalize=True).encode(TEXTS)
    assert np.allclose(embedder.embed_documents(TEXTS), expected, atol=1e-5)


def test_shared_and_weighted_vocabularies(embedder: Model2VecEmbedder, tmp_path: Path) -> None:
    """A model whose tokens share vectors, each with a weight, is read as the library reads it, and is another model."""
    from model2vec import StaticModel  # noqa: PLC0415

    whole = embedder._loaded()
    rng = np.random.default_rng(1)
    mapping = rng.integers(0, 500, len(whole.tokens))
    weights = rng.uniform(0.5, 2, len(whole.tokens)).astype(np.float32)
    shared = StaticModel(whole.embedding[:500], whole.tokenizer, weights=weights, token_mapping=mapping)
    shared.save_pretrained(tmp_path)
    with Model2VecEmbedder(Model2VecConfig(model=str(tmp_path))) as other:
        expected = StaticModel.from_pretrained(tmp_path, normalize=True).encode(TEXTS)
        assert np.allclose(other.embed_documents(TEXTS), expected, atol=1e-5)
        assert other.fingerprint != embedder.fingerprint


def test_every_word_of_a_long_text_counts(embedder: Model2VecEmbedder) -> None:
    """Nothing is cut off, and what the model does not know has a direction too."""
    cold, music = "the weather in the mountains was cold ", "violin concert orchestra music "
    vector = embedder.embed_query(cold * 2_000 + music * 2_000)
    assert vector @ embedder.embed_query(cold + music) > 0.9999
    rows = embedder.embed_documents(["", "\ud800", "東京"])
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_the_reason_is_said(folder: Path, tmp_path: Path) -> None:
    """No network, a folder that is none, no model in it, and damage are told apart, each with a way out."""
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (damaged / name).write_bytes((folder / name).read_bytes())
    (damaged / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:100_000])
    (tmp_path / "empty").mkdir()
    for model, reason in (
        ("potion-no-such-model", "network"),
        ("./nowhere", "name"),
        (str(tmp_path / "empty"), "name"),
        (str(damaged), "disk"),
    ):
        config = Model2VecConfig(model=model, cache_folder=tmp_path / "cache", offline=True)
        with Model2VecEmbedder(config) as made, pytest.raises(EmbedderError, match=rf"\({reason}\)") as caught:
            made.embed_query("x")
        assert "'static'" in str(caught.value.fix)
    (damaged / "model.safetensors").write_bytes(b"\x05\0\0\0\0\0\0\0{")
    with pytest.raises(EmbedderError, match=r"\(disk\)"):
        _ = Model2VecEmbedder(Model2VecConfig(model=str(damaged))).dimension


def test_what_is_no_text_and_a_closed_one_are_refused(embedder: Model2VecEmbedder) -> None:
    """As by every embedder."""
    with pytest.raises(EmbedderError, match="not one NoneType"):
        embedder.embed_documents(None)  # type: ignore[arg-type]  # that is the point
    embedder.close()
    embedder.close()
    with pytest.raises(EmbedderError, match="closed"):
        embedder.embed_query("x")


def test_models_are_listed_and_found_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The library's own models stand in the list with what a choice needs, and their names lead to this embedder."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    registry = PluginRegistry()
    registry.register(ctxkit_static)
    with EmbeddingProvider("potion-multilingual-128M", registry=registry, offline=True) as provider:
        assert provider.provider == "model2vec"
        assert provider.get_model_info()["dimension"] == 256
        assert "101 languages" in provider.get_model_info()["description"]
        with pytest.raises(EmbedderError, match=r"potion-multilingual-128M' \(network\)"):
            provider.embed("x")

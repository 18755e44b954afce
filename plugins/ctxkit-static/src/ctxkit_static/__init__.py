"""The embedder that needs nothing: a static model inside the wheel, no download, no GPU, no torch."""

from __future__ import annotations

from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec, EmbedderCapabilities


@hookimpl
def ctxkit_embedders() -> list[BackendSpec]:
    """Announce the model of the package and those of model2vec; nothing heavy is imported until one is made."""
    return [
        BackendSpec(
            name="static",
            factory="ctxkit_static.embedder:StaticEmbedder",
            config="ctxkit_static.config:StaticConfig",
            capabilities=EmbedderCapabilities(dimension=384, normalized=True, offline=True, truncates=False),
            summary="static model distilled from all-MiniLM-L6-v2, inside the wheel",
            requires=("numpy", "tokenizers"),
            install_hint="pip install ctxkit-static",
            models="ctxkit_static.listing:shipped_model",
        ),
        BackendSpec(
            name="model2vec",
            factory="ctxkit_static.model2vec_embedder:Model2VecEmbedder",
            config="ctxkit_static.model2vec_config:Model2VecConfig",
            capabilities=EmbedderCapabilities(normalized=True, offline=False, truncates=False),
            summary="static models of model2vec by name or folder, some of them multilingual",
            requires=("huggingface_hub", "model2vec", "numpy", "tokenizers"),
            install_hint="pip install 'ctxkit-static[model2vec]'",
            harness="ctxkit_static.harness:Model2VecHarness",
            models="ctxkit_static.listing:models_of_model2vec",
        ),
    ]

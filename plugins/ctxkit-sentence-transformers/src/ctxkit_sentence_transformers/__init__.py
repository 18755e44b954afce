"""sentence-transformers for ctxkit: announces the embedder; importing this imports neither torch nor the library."""

from __future__ import annotations

from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec, EmbedderCapabilities


@hookimpl
def ctxkit_embedders() -> list[BackendSpec]:
    """Announce the embedder."""
    return [
        BackendSpec(
            name="sentence-transformers",
            factory="ctxkit_sentence_transformers.embedder:SentenceTransformersEmbedder",
            config="ctxkit_sentence_transformers.config:SentenceTransformersConfig",
            capabilities=EmbedderCapabilities(
                dimension=384, normalized=True, offline=False, costs=True, truncates=True
            ),
            summary="any sentence-transformers model, by name or folder, on torch or ONNX",
            requires=("huggingface_hub", "numpy", "sentence_transformers", "torch"),
            install_hint="pip install ctxkit-sentence-transformers",
            harness="ctxkit_sentence_transformers.harness:SentenceTransformersHarness",
            models="ctxkit_sentence_transformers.listing:usual_models",
        )
    ]

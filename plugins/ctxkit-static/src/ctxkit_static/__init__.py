"""The embedder that needs nothing: a static model inside the wheel, no download, no GPU, no torch."""

from __future__ import annotations

from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec, EmbedderCapabilities


@hookimpl
def ctxkit_embedders() -> list[BackendSpec]:
    """Announce the static embedder; nothing heavy is imported until it is made."""
    return [
        BackendSpec(
            name="static",
            factory="ctxkit_static.embedder:StaticEmbedder",
            config="ctxkit_static.config:StaticConfig",
            capabilities=EmbedderCapabilities(dimension=384, normalized=True, offline=True, truncates=False),
            summary="static model distilled from all-MiniLM-L6-v2, inside the wheel",
            requires=("numpy", "tokenizers"),
            install_hint="pip install ctxkit-static",
        )
    ]

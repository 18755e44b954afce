"""Chroma for ctxkit: announces the vector store `chroma`; importing this imports no chromadb."""

from __future__ import annotations

from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec
from ctxkit_chroma.capabilities import chroma_capabilities


@hookimpl
def ctxkit_vector_stores() -> list[BackendSpec]:
    """Announce the Chroma store."""
    return [
        BackendSpec(
            name="chroma",
            factory="ctxkit_chroma.store:ChromaStore",
            config="ctxkit_chroma.config:ChromaConfig",
            capabilities=chroma_capabilities("memory"),
            summary="Chroma: embedded with a path, in memory without one, or a server",
            requires=("chromadb",),
            install_hint="pip install ctxkit-chroma",
            harness="ctxkit_chroma.harness:ChromaHarness",
        )
    ]

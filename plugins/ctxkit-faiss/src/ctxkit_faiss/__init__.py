"""FAISS for ctxkit: announces the vector store `faiss`; importing this imports no FAISS."""

from __future__ import annotations

from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec
from ctxkit.local import local_capabilities


@hookimpl
def ctxkit_vector_stores() -> list[BackendSpec]:
    """Announce the FAISS store."""
    return [
        BackendSpec(
            name="faiss",
            factory="ctxkit_faiss.store:FaissStore",
            config="ctxkit_faiss.config:FaissConfig",
            capabilities=local_capabilities(durable=False),
            summary="FAISS Flat or HNSW, durable with a path",
            requires=("faiss",),
            install_hint="pip install ctxkit-faiss",
            harness="ctxkit_faiss.harness:FaissHarness",
        )
    ]

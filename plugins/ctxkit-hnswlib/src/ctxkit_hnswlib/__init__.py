"""hnswlib for ctxkit: announces the vector store `hnswlib`; importing this imports no hnswlib."""

from __future__ import annotations

from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec
from ctxkit.local import local_capabilities


@hookimpl
def ctxkit_vector_stores() -> list[BackendSpec]:
    """Announce the hnswlib store."""
    return [
        BackendSpec(
            name="hnswlib",
            factory="ctxkit_hnswlib.store:HnswlibStore",
            config="ctxkit_hnswlib.config:HnswlibConfig",
            capabilities=local_capabilities(durable=False).model_copy(update={"exact": False}),
            summary="hnswlib HNSW: approximate search, durable with a path",
            requires=("hnswlib",),
            install_hint="pip install ctxkit-hnswlib",
            harness="ctxkit_hnswlib.harness:HnswlibHarness",
        )
    ]

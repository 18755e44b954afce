"""PostgreSQL for ctxkit: announces the vector store `pgvector`; importing this imports no psycopg."""

from __future__ import annotations

from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec
from ctxkit_pgvector.capabilities import pgvector_capabilities


@hookimpl
def ctxkit_vector_stores() -> list[BackendSpec]:
    """Announce the PostgreSQL store."""
    return [
        BackendSpec(
            name="pgvector",
            factory="ctxkit_pgvector.store:PgvectorStore",
            async_factory="ctxkit_pgvector.async_store:AsyncPgvectorStore",
            config="ctxkit_pgvector.config:PgvectorConfig",
            capabilities=pgvector_capabilities("hnsw"),
            summary="PostgreSQL with pgvector: HNSW or exact, transactions, many writers on many machines",
            requires=("psycopg", "psycopg_pool"),
            install_hint="pip install ctxkit-pgvector",
            harness="ctxkit_pgvector.harness:PgvectorHarness",
        )
    ]

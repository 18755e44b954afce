"""What the store can do; apart from everything heavy, because the announcement needs it."""

from __future__ import annotations

from typing import Literal, TypeAlias

from ctxkit.interfaces import Capabilities

Index: TypeAlias = Literal["hnsw", "none"]


def pgvector_capabilities(index: Index) -> Capabilities:
    """Return what is declared with this index.

    PostgreSQL's checksums of pages are the server's to switch on and tell nothing of a replaced file, so
    detects_corruption is not declared.
    """
    return Capabilities(
        metrics=frozenset({"cosine", "dot", "l2"}),
        exact=index == "none",
        persistent=True,
        crash_safe=True,
        optional_vectors=True,
        text_search="bm25",
        ordered_scan=True,
        concurrency="multi-writer",
        native_async=True,
    )

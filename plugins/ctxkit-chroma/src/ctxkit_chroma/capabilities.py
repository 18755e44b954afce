"""What Chroma can do in each of its three modes; apart from everything heavy, because the announcement needs it."""

from __future__ import annotations

from typing import Literal, TypeAlias

from ctxkit.interfaces import Capabilities

Mode: TypeAlias = Literal["embedded", "memory", "server"]
MAX_BATCH = 5461  # records that Chroma writes in one transaction


def chroma_capabilities(mode: Mode) -> Capabilities:
    """Return what is declared in a mode; what Chroma cannot give is absent.

    Chroma checks no stored byte and syncs no write at the moment it acknowledges one, so neither crash_safe nor
    detects_corruption; it keeps no record without a vector. An index of words can follow one process, not a server's
    other clients.
    """
    return Capabilities(
        metrics=frozenset({"cosine", "dot", "l2"}),
        exact=False,
        persistent=mode != "memory",
        text_search=None if mode == "server" else "bm25",
        ordered_scan=True,
        concurrency="multi-writer" if mode == "server" else "single-process",
        max_batch=MAX_BATCH,
    )

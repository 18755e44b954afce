"""What the local engine can do: what its plugins announce, so it is kept apart from everything heavy."""

from __future__ import annotations

from ctxkit.interfaces import Capabilities


def local_capabilities(*, durable: bool) -> Capabilities:
    """Return what the engine can do, with a directory (`durable`) or in memory."""
    return Capabilities(
        metrics=frozenset({"cosine", "dot", "l2"}),
        exact=True,
        persistent=durable,
        crash_safe=durable,
        detects_corruption=durable,
        optional_vectors=True,
        text_search="bm25",
        ordered_scan=True,
        concurrency="multi-writer" if durable else "single-process",
    )

"""The configurations of FAISS that are worth a conformance run of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from ctxkit.local.harness import LocalHarness

# FAISS searches from the first record on; as users have it, few records are searched by the engine's own brute force.
_ALWAYS: Final = {"exact_below": 0, "index_build": "inline"}


class FaissHarness(LocalHarness):
    """Each kind of index, in use from the first record on."""

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "Flat": {"index_type": "Flat", **_ALWAYS},
        "HNSW": {"index_type": "HNSW", **_ALWAYS},
    }

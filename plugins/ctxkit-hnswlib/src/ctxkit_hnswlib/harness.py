"""The configurations of hnswlib that are worth a conformance run of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ctxkit.local.harness import LocalHarness


class HnswlibHarness(LocalHarness):
    """As users have it, and with the graph in use from the first record on."""

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "": {},
        "graph": {"exact_below": 0, "index_build": "inline"},
    }

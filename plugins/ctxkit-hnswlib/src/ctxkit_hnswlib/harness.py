"""The configurations of hnswlib that are worth a conformance run of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ctxkit.local.harness import LocalHarness


class HnswlibHarness(LocalHarness):
    """The graph in use from the first record on; as users have it, few records are searched by brute force."""

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"graph": {"exact_below": 0, "index_build": "inline"}}

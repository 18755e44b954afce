"""The parts of a benchmark, in the order in which they are measured."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from ctxkit_conformance.bench.figures import Figure
    from ctxkit_conformance.bench.stage import Stage

# Later parts change what is stored; `ingest` and `pause` come before there is an index.
PARTS: Final = {
    "ingest": "durable writes in batches",
    "pause": "queries while the index is made in the background",
    "query": "single queries, and recall",
    "batch": "256 queries at once",
    "threads": "queries from 8 threads",
    "text": "text search",
    "filter": "filtered queries",
    "memory": "private memory",
    "reopen": "opening what was closed",
    "upsert": "one durable upsert",
    "delta": "opening with fresh rows beside the index",
}


def measure(part: str, stage: Stage) -> Iterable[Figure]:
    """Measure one part."""
    module = importlib.import_module(f"{__name__}.{part}")
    function = cast("Callable[[Stage], Iterable[Figure]]", module.measure)
    return function(stage)

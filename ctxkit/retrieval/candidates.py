"""One memory that may enter a prompt, with every score it was given on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from ctxkit.records import Metadata


@dataclass(slots=True)
class Candidate:
    """A memory under consideration; each stage fills in its own score.

    `thread` and `position` say where the memory stands in its conversation or document; memories of one thread
    with neighbouring positions are neighbours. `dense` is the similarity of the vectors and `lexical` the BM25
    score, None where that search did not return the memory. `fused`, `neighbor`, `recency` and `importance` are
    what the stages add, `final` is their sum.
    """

    id: str
    text: str
    metadata: Metadata = field(default_factory=dict)
    thread: str | None = None
    position: int = 0
    timestamp: float | None = None
    dense: float | None = None
    lexical: float | None = None
    fused: float = 0.0
    neighbor: float = 0.0
    recency: float = 0.0
    importance: float = 0.0
    final: float = 0.0

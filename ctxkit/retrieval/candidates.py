"""One memory that may enter a prompt, with every score it was given on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ctxkit.records import MetadataValue


@dataclass(slots=True)
class Candidate:
    """A memory under consideration.

    `thread` and `position` say where the memory stands in its conversation or document; memories of one thread
    with neighbouring positions are neighbours, and an `exchange` is two messages at one position; of one that was never
    answered, `unanswered` is the first. `dense` is the similarity of the vectors and `lexical` the BM25 score, None
    where that search did not return the memory. `stages` maps each stage to what it adds to all candidates, of which
    this is the one in `row`; `final` is their sum.
    """

    id: str
    text: str
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    thread: str | None = None
    position: int = 0
    exchange: bool = False
    timestamp: float | None = None
    unanswered: str | None = None
    dense: float | None = None
    lexical: float | None = None
    stages: Mapping[str, Sequence[float]] = field(default_factory=dict)
    row: int = 0
    final: float = 0.0

    @property
    def scores(self) -> dict[str, float]:
        """What each stage adds."""
        return {name: added[self.row] for name, added in self.stages.items()}

    @property
    def speaker(self) -> str | None:
        """Who said it, as far as the metadata tell."""
        named = self.metadata.get("speaker")
        return named if isinstance(named, str) and named else None

"""The account of one prompt: each candidate, its scores, its price, and what became of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ctxkit.retrieval import STAGES, Candidate


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One thing that was considered for a prompt.

    `part` is where it would stand: "recent", "memory" or "summary". The `text` of a kept row stands in the prompt as it
    is; for a newest turn that was cut, it is what was left of it. `dense` and `lexical` are the scores of the two
    searches (None where that search did not return it). `fused` to `importance` are what the stages of retrieval add,
    `others` what stages of one's own add; `final` is the sum. `tokens` is what it costs in the prompt. `reason` says
    why it was kept or dropped. `timestamp` is in seconds since the epoch, `source` names the document that a memory is
    from.
    """

    id: str
    part: str
    text: str
    tokens: int
    kept: bool
    reason: str
    dense: float | None = None
    lexical: float | None = None
    fused: float = 0.0
    neighbor: float = 0.0
    asking: float = 0.0
    speaker: float = 0.0
    date: float = 0.0
    recency: float = 0.0
    importance: float = 0.0
    others: dict[str, float] = field(default_factory=dict)
    final: float = 0.0
    timestamp: float | None = None
    source: str | None = None

    @classmethod
    def of(cls, candidate: Candidate, *, text: str, tokens: int, kept: bool, reason: str) -> LedgerRow:
        """Return the row of a candidate of the search; `text` is what is shown of it, or all of it."""
        source = candidate.metadata.get("source_id")
        others = dict(candidate.scores)
        known = {name: others.pop(name) for name in STAGES if name in others}
        return cls(
            id=candidate.id,
            part="memory",
            text=text,
            tokens=tokens,
            kept=kept,
            reason=reason,
            dense=candidate.dense,
            lexical=candidate.lexical,
            **known,
            others=others,
            final=candidate.final,
            timestamp=candidate.timestamp,
            source=source if isinstance(source, str) else None,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the row as plain JSON values."""
        return asdict(self)

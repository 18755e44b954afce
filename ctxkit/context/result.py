"""What building a context gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ctxkit.context.ledger import LedgerRow


@dataclass(frozen=True, slots=True)
class ContextResult:
    """A rendered context with its account.

    `tokens` is the configured tokenizer's count of `text`, never above `budget`. `parts` maps each section
    ("summary", "memory", "recent", "question") to its tokens. `ledger` has a row for everything considered.
    """

    text: str
    question: str
    tokens: int
    budget: int
    parts: dict[str, int] = field(default_factory=dict)
    ledger: tuple[LedgerRow, ...] = ()

    def kept(self, part: str) -> list[LedgerRow]:
        """Return the rows of one part that stand in the text, in the order in which they were chosen."""
        return [row for row in self.ledger if row.kept and row.part == part]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {
            "question": self.question,
            "text": self.text,
            "tokens": self.tokens,
            "budget": self.budget,
            "parts": self.parts,
            "ledger": [row.as_dict() for row in self.ledger],
        }

    def __str__(self) -> str:
        return self.text

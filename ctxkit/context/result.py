"""What building a context gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ctxkit.context.ledger import LedgerRow


@dataclass(frozen=True, slots=True)
class ContextResult:
    """A rendered context with its account.

    `tokens` is the configured tokenizer's count of `text`, never above `budget`. `parts` maps each section
    ("summary", "memory", "recent", "question") to its tokens, `sections` to its text. `ledger` has a row for everything
    considered, and is written when it is first read. `stable_prefix_tokens` is how many tokens at the beginning are, at
    least, those of the context that the same manager built before. `chat` makes the messages.
    """

    text: str
    question: str
    tokens: int
    budget: int
    parts: dict[str, int] = field(default_factory=dict)
    ledger: Sequence[LedgerRow] = ()
    sections: dict[str, str] = field(default_factory=dict)
    stable_prefix_tokens: int = 0
    chat: Callable[[], tuple[dict[str, Any], ...]] = field(default=tuple, repr=False, compare=False)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The same as a chat, in the form that OpenAI takes; made when it is asked for, and the caller's own."""
        return list(self.chat())

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
            "stable_prefix_tokens": self.stable_prefix_tokens,
            "messages": self.messages,
            "ledger": [row.as_dict() for row in self.ledger],
        }

    def __str__(self) -> str:
        return self.text

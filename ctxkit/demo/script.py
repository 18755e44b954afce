"""The conversation and the questions of the demonstration, read from the package, and how an answer is judged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any

BUDGET = 1500
MEMORY: Mapping[str, int] = {"stm_capacity": 8000, "recent_k": 3, "ltm_hits_k": 12}


@dataclass(frozen=True, slots=True)
class ScriptTurn:
    """One exchange of the conversation."""

    turn_id: str
    session_id: str
    timestamp: datetime
    user: str
    assistant: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question with what its answer rests on; the package's docstring says what the fields mean."""

    id: str
    question: str
    answer: str
    kind: str
    evidence: tuple[str, ...]
    needle: tuple[str, ...]
    superseded: tuple[str, ...]
    show: bool

    def needles_in(self, text: str) -> tuple[str, ...]:
        """Return the pieces of evidence that stand in a text word for word."""
        return tuple(needle for needle in self.needle if needle in text)

    def is_answered_by(self, context: str) -> bool:
        """Whether a context holds the evidence: every piece for a question of kind "multi", else any one."""
        found = self.needles_in(context)
        return len(found) == len(self.needle) if self.kind == "multi" else bool(found)


def load_turns() -> list[ScriptTurn]:
    """Return the conversation, oldest turn first."""
    return [
        ScriptTurn(**{**row, "timestamp": datetime.fromisoformat(row["timestamp"])})
        for row in _rows("conversation.jsonl")
    ]


def load_questions() -> list[Question]:
    """Return the questions in the order of the file."""
    listed = ("evidence", "needle", "superseded")
    return [Question(**{**row, **{key: tuple(row[key]) for key in listed}}) for row in _rows("questions.jsonl")]


def _rows(name: str) -> list[dict[str, Any]]:
    text = resources.files("ctxkit.demo").joinpath(name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line]


# Asked about the project's own documentation, which every installation carries.
DOCUMENTATION_QUESTION = Question(
    id="d01",
    question="What does StoreLockedError mean?",
    answer="Another process holds the store.",
    kind="fact",
    evidence=(),
    needle=("another process holds the store",),
    superseded=(),
    show=True,
)

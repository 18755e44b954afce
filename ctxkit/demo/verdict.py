"""What the demonstration shows: for each question whether the evidence came back, and where it had been."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ctxkit.demo.probes import Probe, line_of
from ctxkit.demo.recall import Answer, Recalled, Seen
from ctxkit.demo.remember import Remembered
from ctxkit.demo.script import Question, ScriptTurn


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer, judged.

    `found` are the pieces of evidence in the context, `answered` is whether they suffice, `evicted` whether every
    turn that holds evidence had left the short-term view. `outdated` names turns in the context with a value that
    was corrected later. `expected` is what was looked for, `left_view` those of the pieces found that stand in no
    turn of the short-term view.
    """

    id: str
    answer: Answer
    expected: tuple[str, ...]
    found: tuple[str, ...]
    answered: bool
    evicted: bool = False
    left_view: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    kind: str = ""
    short_answer: str = ""
    turn_of: Mapping[str, ScriptTurn] | None = None

    def is_evidence(self, seen: Seen) -> bool:
        """Whether a thing in the context holds a piece of the evidence."""
        return any(piece in seen.text for piece in self.expected)

    def origin(self, seen: Seen) -> str:
        """Return where a thing came from: its turn and day, or its document."""
        turn = (self.turn_of or {}).get(seen.id.partition("/")[0])
        if turn is not None:
            return f"{turn.turn_id} {turn.timestamp:%Y-%m-%d}"
        return seen.source or "memory"

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as plain JSON values."""
        hits = [{"origin": self.origin(hit), "evidence": self.is_evidence(hit), **asdict(hit)} for hit in self.hits]
        return {
            "id": self.id,
            "question": self.answer.question,
            "answer": self.short_answer,
            "kind": self.kind,
            "evidence_found": self.answered,
            "evidence": list(self.found),
            "evicted": self.evicted,
            "outdated": list(self.outdated),
            "tokens": self.answer.tokens,
            "budget": self.answer.budget,
            "parts": self.answer.parts,
            "considered": self.answer.considered,
            "hits": hits,
            "context": self.answer.text,
        }

    @property
    def hits(self) -> tuple[Seen, ...]:
        """The memories in the context, best first."""
        return tuple(sorted(self.answer.memories, key=lambda hit: -hit.score))


def judge(question: Question, answer: Answer, remembered: Remembered) -> Verdict:
    """Judge an answer about the conversation or the documentation."""
    evicted = remembered.evicted
    old = {record for record, turn in remembered.turn_of.items() if turn.turn_id in question.superseded}
    shown = (seen for seen in (*answer.recent, *answer.memories) if seen.id.partition("/")[0] in old)
    return Verdict(
        id=question.id,
        answer=answer,
        expected=question.needle,
        found=question.needles_in(answer.text),
        answered=question.is_answered_by(answer.text),
        evicted=bool(question.evidence) and all(turn in evicted for turn in question.evidence),
        left_view=tuple(piece for piece in question.needles_in(answer.text) if _has_left(piece, remembered)),
        outdated=tuple(remembered.turn_of[seen.id.partition("/")[0]].turn_id for seen in shown),
        kind=question.kind,
        short_answer=question.answer,
        turn_of=remembered.turn_of,
    )


def _has_left(piece: str, remembered: Remembered) -> bool:
    holders = [record for record, turn in remembered.turn_of.items() if piece in turn.user or piece in turn.assistant]
    return bool(holders) and not remembered.in_view.intersection(holders)


def judge_probe(number: int, probe: Probe | None, answer: Answer) -> Verdict:
    """Judge an answer about somebody's files; a question of their own has no expected sentence."""
    expected = (probe.expected,) if probe else ()
    found = tuple(piece for piece in expected if piece in answer.text)
    return Verdict(f"f{number:02}", answer, expected, found, answered=bool(found), kind="probe" if probe else "own")


def conversation_as_dict(remembered: Remembered, recalled: Recalled) -> dict[str, Any]:
    """Return the figures of the first half as plain JSON values."""
    return {
        "turns": remembered.turns,
        "tokens": remembered.tokens,
        "capacity": remembered.capacity,
        "in_view": len(remembered.in_view),
        "in_view_tokens": remembered.view_tokens,
        "evicted": len(remembered.evicted),
        "view_restored": set(recalled.view) == set(remembered.in_view),
        "documents": remembered.documentation.files,
        "document_chunks": remembered.documentation.chunks,
        "vector_store": remembered.stats["vector_store"],
        "embedder": remembered.stats["embedder"],
        "tokenizer": remembered.stats["tokenizer"],
        "fallbacks": remembered.stats["fallbacks"],
        "store_records": remembered.stats["store"]["records"],
        "store_bytes": remembered.stats["store"]["bytes_on_disk"],
    }


def tally(verdicts: Sequence[Verdict], budget: int) -> dict[str, int]:
    """Return how many questions were answered, and the same for those whose evidence had left the view."""
    return {
        "found": sum(verdict.answered for verdict in verdicts),
        "asked": len(verdicts),
        "budget": budget,
        "evicted": sum(verdict.evicted for verdict in verdicts),
        "found_evicted": sum(verdict.answered and verdict.evicted for verdict in verdicts),
    }


def place_of(seen: Seen) -> str:
    """Return file and line of a memory that was cut from a file."""
    if seen.source is None:
        return "memory"
    line = line_of(seen.source, seen.text)
    return seen.source if line is None else f"{seen.source}:{line}"

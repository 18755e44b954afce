"""What is being put together: every piece under consideration, and in the end what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from ctxkit.context.ledger import LedgerRow
from ctxkit.context.render import Headings
from ctxkit.interfaces import Tokenizer
from ctxkit.memory import Turn
from ctxkit.memory.entries import HEAD
from ctxkit.records import Record
from ctxkit.retrieval import Candidate

NO_ROOM = "does not fit what is left of the budget"
BEHIND = "older than a recent turn that does not fit"
TAKEN_BACK = "left out again: the whole counted more than its pieces"
_RECENT = "shown among the recent turns"
_RECENT_CUT = "the newest turn, shown cut among the recent turns"
_MEMORY = "shown among the memories"
_PARTS = "parts of it are shown among the memories"
_TWIN = "the same text as "


@dataclass(slots=True)
class Piece:
    """A piece under consideration: the text that would be shown, what it costs, and what became of it so far."""

    text: str
    tokens: int
    kept: bool
    reason: str


@dataclass(slots=True)
class Draft:
    """Everything under consideration and what was decided; `recent` is oldest first, the others best first.

    A later decision may undo what an earlier one relied on, so the ledger looks at how things ended.
    """

    recent: Sequence[Turn]
    candidates: Sequence[Candidate]
    summaries: Sequence[Record]
    hits: int
    turns: dict[str, Piece] = field(default_factory=dict)
    memories: dict[str, Piece] = field(default_factory=dict)
    notes: dict[str, Piece] = field(default_factory=dict)
    headings: Headings = field(default_factory=Headings)

    def kept_turns(self) -> list[str]:
        """Return the texts of the recent turns that are in, oldest first."""
        pieces = (self.turns.get(turn.id) for turn in self.recent)
        return [piece.text for piece in pieces if piece is not None and piece.kept]

    def kept_memories(self) -> list[Candidate]:
        """Return the memories that are in, best first, each with the text that is shown."""
        pieces = ((each, self.memories.get(each.id)) for each in self.candidates)
        return [
            each if piece.text == each.text else replace(each, text=piece.text)
            for each, piece in pieces
            if piece is not None and piece.kept
        ]

    def kept_notes(self) -> list[str]:
        """Return the summaries that are in, oldest first."""
        return [piece.text for piece in reversed(self.notes.values()) if piece.kept]

    def among_recent(self, candidate: Candidate) -> str | None:
        """Say how a candidate stands among the recent turns, None when it does not."""
        turn = self.turns.get(candidate.id)
        if turn is not None and turn.kept:
            return _RECENT if candidate.text in turn.text else _RECENT_CUT
        whole = self.turns.get(str(candidate.metadata.get(HEAD)))
        return _RECENT if whole is not None and whole.kept and candidate.text in whole.text else None

    def is_recent(self, candidate: Candidate) -> bool:
        """Whether a candidate is a recent turn or a part of one."""
        return candidate.id in self.turns or candidate.metadata.get(HEAD) in self.turns

    def among_memories(self, turn: Turn, kept: Sequence[Candidate]) -> str | None:
        """Say how a turn stands among the memories, None when it does not."""
        if any(candidate.id == turn.id for candidate in kept):
            return _MEMORY
        return _PARTS if any(candidate.metadata.get(HEAD) == turn.id for candidate in kept) else None

    def twin(self, candidate: Candidate, kept: Sequence[Candidate]) -> str | None:
        """Name the memory that says the same as a candidate, None when there is none."""
        found = next((other.id for other in kept if other.text == candidate.text), None)
        return None if found is None else f"{_TWIN}{found}"

    def better_ones(self) -> str:
        """Say that enough memories were better."""
        return f"ltm_hits_k ({self.hits}) better ones were kept"

    def give_back(self) -> None:
        """Take out what matters least: summaries, then memories, then recent turns, what was chosen last first."""
        for pieces in (self.notes, self.memories, self.turns):
            for piece in reversed(pieces.values()):
                if piece.kept:
                    piece.kept, piece.reason = False, TAKEN_BACK
                    return

    def ledger(self, tokenizer: Tokenizer) -> Iterator[LedgerRow]:
        """Yield one row for everything considered, with a reason that is true of how it ended."""
        kept = self.kept_memories()
        for turn in reversed(self.recent):
            piece = self.turns[turn.id]
            text = piece.text if piece.kept else turn.text
            tokens = piece.tokens if piece.kept else tokenizer.count(f"{turn.text}\n")
            reason = self._why_turn(turn, piece, kept)
            yield LedgerRow(turn.id, "recent", text, tokens, piece.kept, reason, timestamp=turn.timestamp)
        for candidate in self.candidates:
            piece = self.memories[candidate.id]
            reason = self._why_memory(candidate, piece, kept)
            text = piece.text if piece.kept else candidate.text
            yield LedgerRow.of(candidate, text=text, tokens=piece.tokens, kept=piece.kept, reason=reason)
        for record_id, piece in self.notes.items():
            yield LedgerRow(record_id, "summary", piece.text, piece.tokens, piece.kept, piece.reason)

    def _why_turn(self, turn: Turn, piece: Piece, kept: Sequence[Candidate]) -> str:
        if piece.kept or piece.reason == TAKEN_BACK:
            return piece.reason
        now = self.among_memories(turn, kept)
        return now or _past(piece.reason)

    def _why_memory(self, candidate: Candidate, piece: Piece, kept: Sequence[Candidate]) -> str:
        if piece.kept or piece.reason == TAKEN_BACK:
            return piece.reason
        now = self.among_recent(candidate) or self.twin(candidate, kept)
        if now is None and piece.reason == self.better_ones() and len(kept) < self.hits:
            return f"ltm_hits_k ({self.hits}) better ones were chosen, and some of them left out again"
        return now or _past(piece.reason)


def _past(reason: str) -> str:
    """Return a reason as it reads when what showed the text instead was left out again."""
    if reason in (_RECENT, _RECENT_CUT, _MEMORY, _PARTS):
        return f"{reason.replace('shown', 'chosen')}, and left out again there"
    return f"{reason}, which was left out again" if reason.startswith(_TWIN) else reason

"""What is being put together: every piece under consideration, and in the end what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ctxkit.context.ledger import LedgerRow
from ctxkit.context.render import Headings, memory_line
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

    A later decision may undo what an earlier one relied on, so the ledger looks at how things ended. The candidates
    behind the first `read` came after `hits` better ones, so nothing depends on them: what they cost, and what else is
    to be said of them, is found out for the ledger. `turns_then` are the recent turns that were in at that point.
    """

    recent: Sequence[Turn]
    candidates: Sequence[Candidate]
    summaries: Sequence[Record]
    hits: int
    turns: dict[str, Piece] = field(default_factory=dict)
    memories: dict[str, Piece] = field(default_factory=dict)
    notes: dict[str, Piece] = field(default_factory=dict)
    headings: Headings = field(default_factory=Headings)
    read: int = 0
    turns_then: Mapping[str, Piece] = field(default_factory=dict)

    @property
    def considered(self) -> int:
        """How many pieces there are."""
        return len(self.recent) + len(self.candidates) + len(self.notes)

    def kept_turns(self) -> list[tuple[Turn, str]]:
        """Return the recent turns that are in, oldest first, each with the text that is shown."""
        pieces = ((turn, self.turns.get(turn.id)) for turn in self.recent)
        return [(turn, piece.text) for turn, piece in pieces if piece is not None and piece.kept]

    def kept_memories(self) -> list[Candidate]:
        """Return the memories that are in, best first, each with the text that is shown."""
        pieces = ((each, self.memories[each.id]) for each in self.candidates[: self.read])
        return [
            each if piece.text == each.text else replace(each, text=piece.text) for each, piece in pieces if piece.kept
        ]

    def kept_notes(self) -> list[str]:
        """Return the summaries that are in, oldest first."""
        return [piece.text for piece in reversed(self.notes.values()) if piece.kept]

    def among_recent(self, candidate: Candidate, turns: Mapping[str, Piece] | None = None) -> str | None:
        """Say how a candidate stands among the recent turns, None when it does not."""
        turns = self.turns if turns is None else turns
        turn = turns.get(candidate.id)
        if turn is not None and turn.kept:
            return _RECENT if candidate.text in turn.text else _RECENT_CUT
        whole = turns.get(str(candidate.metadata.get(HEAD)))
        return _RECENT if whole is not None and whole.kept and candidate.text in whole.text else None

    def is_recent(self, candidate: Candidate) -> bool:
        """Whether a candidate is a recent turn or a part of one."""
        return candidate.id in self.turns or candidate.metadata.get(HEAD) in self.turns

    def among_memories(self, turn: Turn, kept: Sequence[Candidate]) -> str | None:
        """Say how a turn stands among the memories, None when it does not."""
        if any(candidate.id == turn.id for candidate in kept):
            return _MEMORY
        return _PARTS if any(candidate.metadata.get(HEAD) == turn.id for candidate in kept) else None

    def twin(self, candidate: Candidate, kept: Mapping[str, str]) -> str | None:
        """Name the memory that says the same as a candidate, None when there is none; `kept` is text to id."""
        found = kept.get(candidate.text)
        return None if found is None else f"{_TWIN}{found}"

    def enough(self, read: int) -> None:
        """Note that the first `read` candidates were looked at, and that all others, if any, came after `hits`."""
        self.read = read
        self.turns_then = {name: replace(piece) for name, piece in self.turns.items() if piece.kept}

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
        shown = _ids_of_texts(kept)
        for candidate, piece in self._pieces(tokenizer):
            reason = self._why_memory(candidate, piece, shown, room=len(kept) < self.hits)
            text = piece.text if piece.kept else candidate.text
            yield LedgerRow.of(candidate, text=text, tokens=piece.tokens, kept=piece.kept, reason=reason)
        for record_id, piece in self.notes.items():
            yield LedgerRow(record_id, "summary", piece.text, piece.tokens, piece.kept, piece.reason)

    def _pieces(self, tokenizer: Tokenizer) -> Iterator[tuple[Candidate, Piece]]:
        """Yield each candidate with what became of it, also those that came too late to be looked at."""
        chosen = []
        for candidate in self.candidates[: self.read]:
            piece = self.memories[candidate.id]
            if piece.kept or piece.reason == TAKEN_BACK:
                chosen.append(candidate)
            yield candidate, piece
        shown = _ids_of_texts(chosen)
        for candidate in self.candidates[self.read :]:
            reason = self.among_recent(candidate, self.turns_then) or self.twin(candidate, shown)
            price = tokenizer.count(memory_line(candidate))
            yield candidate, Piece(candidate.text, price, kept=False, reason=reason or self._better_ones())

    def _better_ones(self) -> str:
        return f"ltm_hits_k ({self.hits}) better ones were kept"

    def _why_turn(self, turn: Turn, piece: Piece, kept: Sequence[Candidate]) -> str:
        if piece.kept or piece.reason == TAKEN_BACK:
            return piece.reason
        now = self.among_memories(turn, kept)
        return now or _past(piece.reason)

    def _why_memory(self, candidate: Candidate, piece: Piece, shown: Mapping[str, str], *, room: bool) -> str:
        if piece.kept or piece.reason == TAKEN_BACK:
            return piece.reason
        now = self.among_recent(candidate) or self.twin(candidate, shown)
        if now is None and room and piece.reason == self._better_ones():
            return f"ltm_hits_k ({self.hits}) better ones were chosen, and some of them left out again"
        return now or _past(piece.reason)


def _ids_of_texts(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Return the id of the first candidate with each text."""
    return {candidate.text: candidate.id for candidate in reversed(candidates)}


def _past(reason: str) -> str:
    """Return a reason as it reads when what showed the text instead was left out again."""
    if reason in (_RECENT, _RECENT_CUT, _MEMORY, _PARTS):
        return f"{reason.replace('shown', 'chosen')}, and left out again there"
    return f"{reason}, which was left out again" if reason.startswith(_TWIN) else reason

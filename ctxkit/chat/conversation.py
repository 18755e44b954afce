"""A conversation: a question, its context, the answer, and the turn in memory, whatever happens in between."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias

from typing_extensions import Self

from ctxkit.chat.answering import Answerer, choose
from ctxkit.chat.interrupts import stoppable
from ctxkit.chat.journal import NO_NOTE, Begun, Journal
from ctxkit.context import ContextResult
from ctxkit.context.render import CUT
from ctxkit.errors import CtxkitError, InvalidRecordError
from ctxkit.interfaces import Completion
from ctxkit.manager import ContextManager
from ctxkit.memory import Entry
from ctxkit.memory.entries import KIND, TURN
from ctxkit.memory.erasing import ErasureReport

State: TypeAlias = Literal["whole", "cut", "failed"]
MARK: Final = "answer"  # in the metadata of a turn whose answer is not all that the model would have said


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a question.

    `state` is "whole", "cut" where the user stopped the answer, or "failed", and then `error` says why. `answer` is
    what came, `memory_id` names the turn in memory, `context` is what was sent (None where not even that could be
    made), `by` is who answered and `completion` what a model that answered said beside it.
    """

    question: str
    answer: str
    state: State
    memory_id: str
    by: str
    context: ContextResult | None = None
    error: CtxkitError | None = None
    completion: Completion | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the context's text and ledger as plain JSON values."""
        context, error, done = self.context, self.error, self.completion
        return {
            "question": self.question,
            "answer": self.answer,
            "state": self.state,
            "memory_id": self.memory_id,
            "by": self.by,
            "context": context and {"tokens": context.tokens, "budget": context.budget, "parts": context.parts},
            "error": error and error.as_dict(),
            "usage": done.usage.model_dump() if done else None,
            "finish_reason": done.finish_reason if done else None,
        }


@dataclass(frozen=True, slots=True)
class Session:
    """A session of the store: how many turns it has, and when the newest was observed (seconds since the epoch)."""

    id: str
    turns: int
    newest: float


class Conversation:
    """Asks with the context of a memory, and remembers each turn.

    A turn is in memory when `ask` returns, also where the answer was stopped or never came; until then it stands in a
    journal, which the next conversation on the store takes in if this process is killed: `recovered` counts such turns.
    Of the stand-in's answers only the question is remembered: what it quotes is in memory already.
    """

    def __init__(self, manager: ContextManager, answerer: Answerer) -> None:
        self.manager = manager
        self.answerer = answerer
        self.last: Reply | None = None
        self.session: str | None = manager.get_stats()["session_id"]
        self._journal = Journal(manager.path)
        self.recovered = self._take_in()

    def ask(self, question: str, show: Callable[[str], object]) -> Reply:
        """Answer a question and remember the turn; `show` is called with each piece of the answer as it comes.

        A first SIGINT stops the answer. Whatever the model or the search does ends up in the reply. Raises StoreError
        when the turn cannot be stored.
        """
        begun = Begun(uuid.uuid4().hex, question, self.session, time.time())
        pieces: list[str] = []
        state: State = "failed"
        context: ContextResult | None = None
        error: CtxkitError | None = None
        note = NO_NOTE
        with stoppable() as settle:
            try:
                note = self._journal.note(begun)
                context = self.manager.build(question)
                with closing(self.answerer.pieces(context)) as answer:
                    for piece in answer:
                        pieces.append(piece)
                        note.add(piece if self.answerer.is_model else "")
                        show(piece)
                settle()
                state = "whole"
            except KeyboardInterrupt:
                state = "cut"
            except CtxkitError as exc:
                error = exc
            finally:
                settle()
                memory_id = self._remember(begun, "".join(pieces), state, note.close)
        self.last = Reply(
            question,
            "".join(pieces),
            state,
            memory_id,
            self.answerer.name,
            context=context,
            error=error,
            completion=self.answerer.completion if state == "whole" else None,
        )
        return self.last

    def sessions(self) -> list[Session]:
        """Return the sessions of the store that have turns, the one used last first."""
        with self._within(None):
            turns = self.manager.list_memories({KIND: TURN, "session_id": {"$exists": True}})
        moments: dict[str, list[float]] = {}
        for turn in turns:
            moments.setdefault(str(turn.metadata["session_id"]), []).append(turn.timestamp or 0.0)
        found = [Session(name, len(each), max(each)) for name, each in moments.items()]
        return sorted(found, key=lambda session: (-session.newest, session.id))

    def switch(self, session_id: str | None) -> None:
        """Go on in another session, None: in none, with all of them in view. What was sent before is let go."""
        self.manager.set_session(session_id)
        self.session = session_id
        self.last = None

    def questions(self) -> list[str]:
        """Return what was asked in the turns in view, oldest first: memory is the only place where that is kept."""
        return [turn.user_input for turn in self.manager.short_term_memory.turns if turn.user_input]

    def find(self, memory_id: str) -> Entry | None:
        """Return a memory by its id, or the newest turn in view for "last"; None where there is none."""
        if memory_id != "last":
            return self.manager.get_memory(memory_id)
        turns = self.manager.short_term_memory.turns
        return self.manager.get_memory(turns[-1].id) if turns else None

    def erase(self, memory_id: str) -> ErasureReport:
        """Erase a memory for good, unbroken by SIGINT; what was sent last is let go, because it may quote it."""
        with stoppable() as settle:
            settle()
            self.last = None
            return self.manager.erase(memory_id)

    def close(self) -> None:
        """Release the model's connections and the journal; the manager is the caller's."""
        self.answerer.close()
        self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _remember(self, begun: Begun, answer: str, state: State, noted: Callable[..., None]) -> str:
        """Store a turn and return its id; the note of it stays where that fails."""
        stored = False
        try:
            memory_id = self._observe(begun, answer if self.answerer.is_model else "", state)
            stored = True
        finally:
            noted(stored=stored)
        return memory_id

    def _observe(self, begun: Begun, answer: str, state: State) -> str:
        kept = f"{answer}{CUT}" if answer and state != "whole" else answer
        mark = {} if state == "whole" else {MARK: state}
        return self.manager.observe(
            begun.question, kept, turn_id=begun.turn_id, timestamp=begun.timestamp, metadata=mark
        )

    def _take_in(self) -> int:
        """Store the turns of chats that were killed, each in its own session; return how many there were."""
        found = self._journal.left_behind()
        for turn in found:
            # Refused is a turn that was stored whole before its process was killed.
            with self._within(turn.begun.session_id), suppress(InvalidRecordError):
                self._observe(turn.begun, turn.answer, "cut")
            turn.settled()
        return len(found)

    @contextmanager
    def _within(self, session_id: str | None) -> Iterator[None]:
        """Have the manager in another session for as long as the block takes."""
        self.manager.set_session(session_id)
        try:
            yield
        finally:
            self.manager.set_session(self.session)


def open_conversation(manager: ContextManager) -> Conversation:
    """Return a conversation on a memory, with whom its configuration has answer; see `choose` for errors."""
    return Conversation(manager, choose(manager.config, manager.long_term_memory.vault.source.registry))

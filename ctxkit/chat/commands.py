"""The commands of a conversation: a line that begins with a slash, and what came of it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TypeAlias

from ctxkit.chat.conversation import Conversation, Reply, Session
from ctxkit.context import ContextResult
from ctxkit.errors import CtxkitError
from ctxkit.memory import Entry
from ctxkit.memory.erasing import ErasureReport

SIGN: Final = "/"
EVERYTHING: Final = "*"
_HITS = 5

Confirm: TypeAlias = Callable[[Entry], bool]
"""Asks whether a memory is to be erased for good."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command came to; each kind is a class of its own."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Sent(Outcome):
    """What was sent for the last answer, or would be for a question."""

    context: ContextResult

    def as_dict(self) -> dict[str, Any]:
        """Return the context with its ledger."""
        return self.context.as_dict()


@dataclass(frozen=True, slots=True)
class Found(Outcome):
    """The memories that fit a text best, each with its score, best first."""

    text: str
    hits: list[tuple[Entry, float]]

    def as_dict(self) -> dict[str, Any]:
        """Return the hits with their scores."""
        return {"text": self.text, "hits": [{"score": score, **asdict(entry)} for entry, score in self.hits]}


@dataclass(frozen=True, slots=True)
class Forgotten(Outcome):
    """What was erased, or None where the answer was no."""

    memory_id: str
    report: ErasureReport | None


@dataclass(frozen=True, slots=True)
class Figures(Outcome):
    """Figures of the memory, and who answers."""

    by: str
    memory: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sessions(Outcome):
    """The session in view (None: all of them), and those that have turns."""

    current: str | None
    sessions: list[Session] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Help(Outcome):
    """What commands there are."""

    commands: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Leave(Outcome):
    """The conversation ends."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command: how it is typed, what it does, and how it is done."""

    usage: str
    summary: str
    run: Callable[[Conversation, str, Confirm], Outcome]


def is_command(line: str) -> bool:
    """Whether a line is a command; a doubled slash begins a question that begins with one."""
    return line.startswith(SIGN) and not line.startswith(2 * SIGN)


def perform(line: str, conversation: Conversation, confirm: Confirm) -> Outcome:
    """Do what a line says; `confirm` is asked before anything is erased. Raises CtxkitError for what cannot be done."""
    name, _, argument = line.removeprefix(SIGN).partition(" ")
    command = COMMANDS.get(name.lower())
    if command is None:
        close = difflib.get_close_matches(name.lower(), COMMANDS, n=1)
        meant = f"did you mean {SIGN}{close[0]}? " if close else ""
        raise CtxkitError(
            f"there is no command {SIGN}{name}.",
            fix=f"{meant}{SIGN}help lists them; {2 * SIGN} begins a question that begins with {SIGN}.",
        )
    return command.run(conversation, argument.strip(), confirm)


def _context(conversation: Conversation, question: str, _confirm: Confirm) -> Outcome:
    if question:
        return Sent(conversation.manager.build(question))
    last: Reply | None = conversation.last
    if last is None or last.context is None:
        raise CtxkitError("nothing was sent yet.", fix="ask something first, or give the question: /context QUESTION.")
    return Sent(last.context)


def _search(conversation: Conversation, text: str, _confirm: Confirm) -> Outcome:
    if not text:
        raise CtxkitError("there is nothing to look for.", fix="/search TEXT")
    return Found(text, conversation.manager.long_term_memory.search(text, _HITS))


def _forget(conversation: Conversation, argument: str, confirm: Confirm) -> Outcome:
    memory_id, _, sure = argument.partition(" ")
    if not memory_id:
        raise CtxkitError("nothing says what to forget.", fix="/forget last, or /forget ID, which /search TEXT shows.")
    entry = conversation.find(memory_id)
    if entry is None:
        raise CtxkitError(
            f"there is no memory {memory_id} in this session.", fix="/search TEXT shows memories with their ids."
        )
    agreed = sure.strip() == "yes" or confirm(entry)
    return Forgotten(entry.id, conversation.erase(entry.id) if agreed else None)


def _stats(conversation: Conversation, _argument: str, _confirm: Confirm) -> Outcome:
    return Figures(conversation.answerer.name, conversation.manager.get_stats())


def _session(conversation: Conversation, argument: str, _confirm: Confirm) -> Outcome:
    if not argument:
        return Sessions(conversation.session, conversation.sessions())
    conversation.switch(None if argument == EVERYTHING else argument)
    return Sessions(conversation.session)


def _help(_conversation: Conversation, _argument: str, _confirm: Confirm) -> Outcome:
    return Help([(command.usage, command.summary) for command in COMMANDS.values()])


def _quit(_conversation: Conversation, _argument: str, _confirm: Confirm) -> Outcome:
    return Leave()


COMMANDS: Final[Mapping[str, Command]] = {
    "context": Command("/context [QUESTION]", "What was sent for the last answer, or would be, and why.", _context),
    "search": Command("/search TEXT", "The memories that fit a text best, with their ids.", _search),
    "forget": Command("/forget ID|last [yes]", "Erase a memory for good; asks before it does.", _forget),
    "stats": Command("/stats", "What the memory holds, and who answers.", _stats),
    "session": Command("/session [ID|*]", "List the sessions, or go on in another; * is all of them.", _session),
    "help": Command("/help", "This list.", _help),
    "quit": Command("/quit", "Leave; Ctrl-D does so too.", _quit),
}

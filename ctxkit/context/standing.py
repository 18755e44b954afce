"""What stands in a context whatever is asked: recent turns with their messages, and summaries of what is older."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ctxkit.context.chat import Chat
from ctxkit.memory import Turn, Vault
from ctxkit.memory.chats import stored_chats
from ctxkit.memory.entries import FRONTIER, KIND, LEVEL, SUMMARY, THREAD
from ctxkit.memory.summaries import LEVELS
from ctxkit.memory.views import View
from ctxkit.records import Record

_SUMMARIES = 8


@dataclass(frozen=True, slots=True)
class Standing:
    """Recent turns, oldest first, the messages of those that were observed with them, and summaries, newest first."""

    recent: Sequence[Turn]
    chats: Mapping[str, Chat]
    summaries: Sequence[Record]


def standing_of(vault: Vault, view: View, recent: int) -> Standing:
    """Return what stands in every context of a view, with at most so many recent turns, as the store says now."""
    view.short_term.refresh()
    turns = view.short_term.get_recent_turns(recent)
    return Standing(turns, stored_chats(vault, [turn.id for turn in turns]), _summaries(vault, view.short_term.thread))


def _summaries(vault: Vault, thread: str) -> list[Record]:
    """Return the summaries that no higher one stands for, newest first, at most so many of each level."""
    standing: list[Record] = []
    frontier = -1
    for level in reversed(LEVELS):
        where = {THREAD: thread, KIND: SUMMARY, LEVEL: level, FRONTIER: {"$gt": frontier}}
        found = list(vault.store.scan(where, order_by=FRONTIER, descending=True, limit=_SUMMARIES))
        # A level stands for all that is below it, up to its newest summary's last turn.
        frontier = max([frontier, *(int(record.metadata[FRONTIER]) for record in found)])
        standing = [*found, *standing]
    return standing

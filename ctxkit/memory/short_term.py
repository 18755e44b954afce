"""Short-term memory: the newest turns of one conversation, a view of the durable store."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from ctxkit.interfaces import Tokenizer
from ctxkit.memory.entries import (
    FRONTIER,
    KIND,
    SEQ,
    SUMMARY,
    THREAD,
    TURN,
    Turn,
    turn_from_record,
)
from ctxkit.memory.vault import Vault

_LOOK_BACK = 8


class ShortTermMemory:
    """The newest turns of one conversation, up to `max_tokens`, oldest first.

    Turns that leave the view stay in the store. The newest turn never leaves, however long it is. The view
    continues where it stopped when the store is opened again, and shows what other processes add.
    """

    def __init__(self, vault: Vault, tokenizer: Tokenizer, *, thread: str, max_tokens: int) -> None:
        self._vault = vault
        self._tokenizer = tokenizer
        self._thread = thread
        self._lock = threading.RLock()
        self._turns: list[Turn] = []
        self._last = -1
        self._frontier = -1
        self.max_tokens = max_tokens
        self.reload()

    @property
    def thread(self) -> str:
        """The name of the conversation that is shown."""
        return self._thread

    @property
    def turns(self) -> list[Turn]:
        """The turns in view, oldest first."""
        with self._lock:
            return list(self._turns)

    @property
    def current_tokens(self) -> int:
        """How many tokens the turns in view have together."""
        with self._lock:
            return sum(turn.tokens for turn in self._turns)

    def get_recent_turns(self, count: int) -> list[Turn]:
        """Return the newest `count` turns in view, oldest first."""
        return self.turns[-count:] if count > 0 else []

    def reload(self) -> None:
        """Read the view anew: the turns after the last one that a summary stands for."""
        with self._lock:
            newest = self._vault.store.scan(
                {THREAD: self._thread, KIND: SUMMARY, FRONTIER: {"$exists": True}},
                order_by=FRONTIER,
                descending=True,
                limit=1,
            )
            self._frontier = max((int(record.metadata[FRONTIER]) for record in newest), default=-1)
            self._turns = []
            self._last = self._frontier
            self.refresh()

    def refresh(self) -> None:
        """Take in turns that other processes wrote since."""
        with self._lock:
            known = {turn.id for turn in self._turns}
            # A little back from the last known position: writers of one conversation may overtake each other.
            since = max(self._last - _LOOK_BACK, self._frontier + 1)
            where = {THREAD: self._thread, KIND: TURN, SEQ: {"$gte": since}}
            for record in self._vault.store.scan(where, order_by=SEQ):
                if record.id not in known:
                    self._add(turn_from_record(record, self._tokenizer.count(record.text)))

    def append(self, turn: Turn) -> None:
        """Show a turn that was just stored; one that left the view before, and is observed again, stays out."""
        with self._lock:
            if turn.position > self._frontier and all(turn.id != known.id for known in self._turns):
                self._add(turn)

    @property
    def over_capacity(self) -> bool:
        """Whether the view holds more than it should and has more than one turn."""
        with self._lock:
            return len(self._turns) > 1 and self.current_tokens > self.max_tokens

    def oldest(self, tokens: int) -> list[Turn]:
        """Return the oldest turns, at least so many tokens of them, but never the newest turn."""
        with self._lock:
            leaving: list[Turn] = []
            size = 0
            for turn in self._turns[:-1]:
                if size >= tokens:
                    break
                leaving.append(turn)
                size += turn.tokens
            return leaving

    def drop(self, turns: Sequence[Turn]) -> None:
        """Take turns out of the view; in the store they stay."""
        with self._lock:
            gone = {turn.id for turn in turns}
            self._frontier = max([self._frontier, *(turn.position for turn in turns)])
            self._turns = [turn for turn in self._turns if turn.id not in gone]

    def _add(self, turn: Turn) -> None:
        self._last = max(self._last, turn.position)
        self._vault.saw_position(self._thread, turn.position)
        self._turns.append(turn)
        self._turns.sort(key=lambda each: (each.position, each.timestamp, each.id))

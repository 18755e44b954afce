"""Short-term memory: the newest turns of one conversation, a view of the durable store."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from ctxkit.interfaces import Tokenizer
from ctxkit.memory.entries import (
    FRONTIER,
    KIND,
    ORDER,
    SUMMARY,
    THREAD,
    TURN,
    Turn,
    turn_from_record,
)
from ctxkit.memory.forks import renew_after_fork
from ctxkit.memory.opening import open_tokenizer
from ctxkit.memory.validity import unexpired
from ctxkit.memory.vault import Vault
from ctxkit.records import Record


class ShortTermMemory:
    """The newest turns of one conversation, up to `max_tokens`, oldest first.

    The view is what the store says: the turns after the last one that a summary stands for. So it continues where it
    stopped when the store is opened again, shows what other processes add, and forgets what they delete. Turns that
    leave the view stay in the store. The newest turn never leaves, however long it is.
    """

    def __init__(self, vault: Vault, tokenizer: Tokenizer, *, thread: str, max_tokens: int) -> None:
        self._vault = vault
        self._tokenizer = tokenizer
        self._thread = thread
        self._turns: list[Turn] = []
        self._frontier = 0
        self.max_tokens = max_tokens
        self.renew()
        renew_after_fork(self)
        self.refresh()

    def renew(self) -> None:
        """Make the lock anew, in a forked child."""
        self._lock = threading.RLock()

    @property
    def vault(self) -> Vault:
        """Where the turns are."""
        return self._vault

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
        return sum(turn.tokens for turn in self.turns)

    @property
    def newest_order(self) -> int:
        """The order of the newest turn that this view knows of, in view or not."""
        with self._lock:
            return max(self._frontier, self._turns[-1].order if self._turns else 0)

    @property
    def over_capacity(self) -> bool:
        """Whether the view holds more than it should and has more than one turn."""
        with self._lock:
            return len(self._turns) > 1 and self.current_tokens > self.max_tokens

    def ids_in_view(self) -> set[str]:
        """Return the ids of the turns in view, as the store says now."""
        self.refresh()
        return {turn.id for turn in self.turns}

    def get_recent_turns(self, count: int) -> list[Turn]:
        """Return the newest `count` turns in view, oldest first."""
        return self.turns[-count:] if count > 0 else []

    def refresh(self) -> None:
        """Look at the store again: turns may have come or gone, by this process or another."""
        with self._lock:
            self._frontier = max(self._frontier, self._stored_frontier())
            known = {turn.id: turn for turn in self._turns}
            where = {THREAD: self._thread, KIND: TURN, ORDER: {"$gt": self._frontier}, **unexpired()}
            records = self._vault.store.scan(where, order_by=ORDER)
            self._turns = [known.get(record.id) or self._turn(record) for record in records]

    def add(self, turn: Turn) -> None:
        """Show a turn that was just stored, without a look at the store."""
        with self._lock:
            if turn.order > self.newest_order:
                self._turns.append(turn)
            elif turn.order > self._frontier and all(turn.id != known.id for known in self._turns):
                self._turns = sorted([*self._turns, turn], key=lambda each: each.order)

    def oldest(self, tokens: int) -> list[Turn]:
        """Return the oldest turns, at least so many tokens of them, but never the newest turn."""
        leaving: list[Turn] = []
        size = 0
        for turn in self.turns[:-1]:
            if size >= tokens:
                break
            leaving.append(turn)
            size += turn.tokens
        return leaving

    def drop(self, turns: Sequence[Turn]) -> None:
        """Take the oldest turns out of the view; in the store they stay."""
        with self._lock:
            self._frontier = max([self._frontier, *(turn.order for turn in turns)])
            self._turns = [turn for turn in self._turns if turn.order > self._frontier]

    def __getstate__(self) -> dict[str, Any]:
        return {"vault": self._vault, "thread": self._thread, "max_tokens": self.max_tokens}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vault: Vault = state["vault"]
        tokenizer = open_tokenizer(vault.source.config, vault.source.registry)
        self.__init__(  # type: ignore[misc]  # as it was made, in the process that reads the pickle
            vault, tokenizer, thread=state["thread"], max_tokens=state["max_tokens"]
        )

    def _turn(self, record: Record) -> Turn:
        return turn_from_record(record, self._tokenizer.count(record.text))

    def _stored_frontier(self) -> int:
        where = {THREAD: self._thread, KIND: SUMMARY, FRONTIER: {"$gt": self._frontier}}
        newest = self._vault.store.scan(where, order_by=FRONTIER, descending=True, limit=1)
        return max((int(record.metadata[FRONTIER]) for record in newest), default=0)

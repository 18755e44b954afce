"""Where the next turn stands: its position in its thread, and its order among all turns."""

from __future__ import annotations

import time

from ctxkit.interfaces import VectorStore
from ctxkit.memory.entries import SEQ, THREAD


class Places:
    """Gives out positions and orders; used by one thread at a time.

    A thread's last position is looked up only where somebody else may have written since it was: where nobody has, the
    store's number of writes is that of then and one more for each call of `wrote`.
    """

    def __init__(self, store: VectorStore) -> None:
        self._store = store
        self._free: dict[str, int] = {}
        self._order = 0
        self._writes: int | None = -1  # None: the store has no such number
        self._sure: set[str] = set()

    def next_position(self, thread: str) -> int:
        """Return the next free position of a thread, after everything that any process has written in it so far."""
        free = self._free.get(thread, 0)
        if not self._is_sure(thread):
            where = {THREAD: thread, SEQ: {"$gte": free}}
            newest = self._store.scan(where, order_by=SEQ, descending=True, limit=1)
            free = max((int(record.metadata[SEQ]) + 1 for record in newest), default=free)
            self._sure.add(thread)
        self._free[thread] = free + 1
        return free

    def next_order(self, after: int = 0) -> int:
        """Return a number above `after` and all that were given before: microseconds since the epoch, or one more."""
        self._order = max(self._order + 1, after + 1, time.time_ns() // 1000)
        return self._order

    def wrote(self) -> None:
        """Note a write of one's own, which makes the store's number of writes at least one more."""
        if self._writes is not None:
            self._writes += 1

    def _is_sure(self, thread: str) -> bool:
        """Whether nobody else has written since the thread's last position was looked up."""
        if self._writes is None:
            return False
        found = self._store.version()
        if found != self._writes:
            self._writes = found
            self._sure.clear()
        return thread in self._sure

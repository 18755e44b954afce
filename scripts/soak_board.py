"""Memory that all processes of a soak run share: what they are to do, how far they are, and what they counted.

It outlives any of them, so nothing that a killed worker has counted is lost.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Sequence
from typing import Final

import numpy as np

# What the run asks of everybody: work; let the writers wait; let the readers judge as well; come to an end.
WORK, PAUSE, JUDGE, STOP = range(4)
# What a worker says of itself.
BUSY, WAITING = range(2)

KINDS: Final = (
    "upsert, one",
    "upsert, batch",
    "delete, ids",
    "delete, filter",
    "get",
    "scan",
    "count",
    "query",
    "query, filter",
    "text query",
    "open",
    "fork",
    "flush",
    "optimize",
    "health",
    "backup",
    "busy",
    "records checked",
    "answers checked",
    "recovered",
    "by an index",
    "near found",
    "near wanted",
    "failures",
)
_COLUMN: Final = {kind: column for column, kind in enumerate(KINDS)}
_MODE, _EPOCH, _HEAD = 0, 1, 2
_PHASE, _EPOCH_SEEN, _HEARTBEAT, _OWN = 0, 1, 2, 3


class Board:
    """Integers in memory that is shared with every process forked later; each worker writes in its own row."""

    def __init__(self, workers: Sequence[str]) -> None:
        self.workers = tuple(workers)
        width = _OWN + len(KINDS)
        cells: np.ndarray[tuple[int], np.dtype[np.int64]] = np.frombuffer(
            mmap.mmap(-1, 8 * (_HEAD + width * len(workers))), dtype=np.int64
        )
        self._head = cells[:_HEAD]
        self._rows = cells[_HEAD:].reshape(len(workers), width)

    @property
    def mode(self) -> int:
        """What is asked for now."""
        return int(self._head[_MODE])

    @property
    def epoch(self) -> int:
        """How often something was asked for."""
        return int(self._head[_EPOCH])

    def ask(self, mode: int) -> None:
        """Ask everybody for something else."""
        self._head[_MODE] = mode
        self._head[_EPOCH] += 1

    def say(self, worker: int, phase: int, epoch: int) -> None:
        """Let a worker say what it does, and that it has heard what was asked."""
        self._rows[worker, _EPOCH_SEEN] = epoch
        self._rows[worker, _PHASE] = phase
        self.beat(worker)

    def beat(self, worker: int) -> None:
        """Show that a worker is alive."""
        self._rows[worker, _HEARTBEAT] = time.monotonic_ns()

    def waits(self, worker: int) -> bool:
        """Whether a worker has done what was asked for last."""
        return bool(self._rows[worker, _PHASE] == WAITING and self._rows[worker, _EPOCH_SEEN] == self.epoch)

    def silent_for(self, worker: int) -> float:
        """Return the seconds since a worker showed that it is alive."""
        return (time.monotonic_ns() - int(self._rows[worker, _HEARTBEAT])) / 1e9

    def count(self, worker: int, kind: str, number: int = 1) -> None:
        """Add to what a worker has counted."""
        self._rows[worker, _OWN + _COLUMN[kind]] += number

    def totals(self) -> dict[str, int]:
        """Return what all have counted."""
        sums = self._rows[:, _OWN:].sum(axis=0)
        return {kind: int(total) for kind, total in zip(KINDS, sums, strict=True)}

"""A lock with two sides: many who only read, or one who may change things."""

from __future__ import annotations

import threading
from types import TracebackType


class Gate:
    """Many threads may be inside `shared` together, or one inside `alone`; that one may enter either side again.

    Turns are fair: who wants to be alone waits for those inside, not for those who come later; and when it leaves,
    all who wait to share go first. Inside `shared` a thread must not enter again: somebody may be waiting for it.
    """

    __slots__ = ("_turns", "alone", "shared")

    def __init__(self) -> None:
        self._turns = _Turns()
        self.shared = _Shared(self._turns)
        self.alone = _Alone(self._turns)

    @property
    def wanted(self) -> bool:
        """Whether somebody waits to be alone."""
        return self._turns.suitors > 0


class _Turns:
    """Who is inside and who waits; `changed` guards all of it."""

    __slots__ = ("admitted", "changed", "depth", "holder", "inside", "suitors", "waiting")

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.Lock())
        self.inside = self.waiting = self.admitted = 0  # those who share; `admitted` may enter before any suitor
        self.suitors = 0  # those who wait to be alone
        self.holder: int | None = None
        self.depth = 0

    def wait_to_share(self) -> None:
        self.waiting += 1
        try:
            while self.holder is not None or (self.suitors and not self.admitted):
                self.changed.wait()
        finally:
            self.waiting -= 1
            self.admitted = max(0, self.admitted - 1)
            # Should the wait have been interrupted, others may have been waiting for this one.
            self.changed.notify_all()

    def wait_to_be_alone(self) -> None:
        self.suitors += 1
        try:
            while self.holder is not None or self.inside or self.admitted:
                self.changed.wait()
        finally:
            self.suitors -= 1
            self.changed.notify_all()

    def leave(self) -> None:
        with self.changed:
            if self.holder is None:
                self.inside -= 1
                if not self.inside and self.suitors:
                    self.changed.notify_all()
                return
            self.depth -= 1
            if not self.depth:
                self.holder = None
                self.admitted = self.waiting
                if self.waiting or self.suitors:
                    self.changed.notify_all()


class _Side:
    """One side of a gate as a context manager; an interrupt while it is being entered leaves the gate as it was."""

    __slots__ = ("_turns",)

    def __init__(self, turns: _Turns) -> None:
        self._turns = turns

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turns.leave()


class _Shared(_Side):
    __slots__ = ()

    def __enter__(self) -> None:
        turns, entered = self._turns, False
        try:
            with turns.changed:
                if turns.holder is not None and turns.holder == threading.get_ident():
                    turns.depth += 1
                else:
                    if turns.holder is not None or turns.suitors:
                        turns.wait_to_share()
                    turns.inside += 1
                entered = True
        except BaseException:
            if entered:
                turns.leave()
            raise


class _Alone(_Side):
    __slots__ = ()

    def __enter__(self) -> None:
        turns, me, entered = self._turns, threading.get_ident(), False
        try:
            with turns.changed:
                if turns.holder == me:
                    turns.depth += 1
                else:
                    turns.wait_to_be_alone()
                    turns.holder, turns.depth = me, 1
                entered = True
        except BaseException:
            if entered:
                turns.leave()
            raise

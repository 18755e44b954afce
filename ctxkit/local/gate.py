"""A lock with two sides: many who only read, or one who may change things."""

from __future__ import annotations

import threading
from types import TracebackType


class Gate:
    """Many threads may be inside `shared` together, or one inside `alone`; that one may enter either side again.

    Each look at `shared` or `alone` gives a context manager that is good for once. Turns are fair: who wants to be
    alone waits for those inside, not for those who come later; and when it leaves, all who wait to share go first. An
    interrupt may leave a thread inside, in a generator that nobody has closed yet: `forget` takes it out.
    """

    __slots__ = ("_turns",)

    def __init__(self) -> None:
        self._turns = _Turns()

    @property
    def shared(self) -> Pass:
        """Enter together with others that share."""
        return _Share(self._turns)

    @property
    def alone(self) -> Pass:
        """Enter alone; what this thread shares is given up."""
        return _Hold(self._turns)

    @property
    def wanted(self) -> bool:
        """Whether somebody waits to be alone."""
        return self._turns.suitors > 0

    def forget(self) -> None:
        """Take this thread out of both sides, whatever it was in."""
        self._turns.forget(threading.get_ident())


class _Turns:
    """Who is inside and who waits; `lock` guards all of it."""

    __slots__ = ("admitted", "changed", "holds", "lock", "shares", "suitors", "waiting")

    def __init__(self) -> None:
        # Entered by itself, because no interrupt can come between a plain lock and the block that releases it.
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.shares: set[Pass] = set()
        self.holds: set[Pass] = set()  # all of one thread
        self.waiting = self.admitted = 0  # those who wait to share, and how many of them go before any suitor
        self.suitors = 0  # those who wait to be alone

    def holder(self) -> int | None:
        return next((each.thread for each in self.holds), None)

    def wait_to_share(self) -> None:
        self.waiting += 1
        try:
            while self.holds or (self.suitors and not self.admitted):
                self.changed.wait()
        finally:
            self.waiting -= 1
            self.admitted = max(0, self.admitted - 1)
            # Should the wait have been interrupted, others may have been waiting for this one.
            self.changed.notify_all()

    def wait_to_be_alone(self) -> None:
        self.suitors += 1
        try:
            while self.holds or self.shares or self.admitted:
                self.changed.wait()
        finally:
            self.suitors -= 1
            self.changed.notify_all()

    def leave(self, one: Pass) -> None:
        with self.lock:
            if one in self.shares:
                self.shares.discard(one)
                if not self.shares and self.suitors:
                    self.changed.notify_all()
            elif one in self.holds:
                self.holds.discard(one)
                self.let_in()

    def forget(self, thread: int) -> None:
        with self.lock:
            self.shares = {each for each in self.shares if each.thread != thread}
            self.holds = {each for each in self.holds if each.thread != thread}
            self.let_in()

    def let_in(self) -> None:
        if not self.holds:
            self.admitted = self.waiting
            if self.waiting or self.suitors:
                self.changed.notify_all()


class Pass:
    """One entry through a gate; an interrupt while it is being used to enter leaves the gate as it was."""

    __slots__ = ("_turns", "thread")

    def __init__(self, turns: _Turns) -> None:
        self._turns = turns
        self.thread = 0

    def __enter__(self) -> None:
        self.thread = threading.get_ident()
        try:
            with self._turns.lock:
                self._enter(self._turns)
        except BaseException:
            self._turns.leave(self)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turns.leave(self)

    def _enter(self, turns: _Turns) -> None:
        raise NotImplementedError


class _Share(Pass):
    __slots__ = ()

    def _enter(self, turns: _Turns) -> None:
        if (turns.holds and turns.holder() != self.thread) or (turns.suitors and not turns.holds):
            turns.wait_to_share()
        turns.shares.add(self)


class _Hold(Pass):
    __slots__ = ()

    def _enter(self, turns: _Turns) -> None:
        # Only an interrupt can have left shares of this thread behind.
        if turns.shares and turns.holder() != self.thread:
            turns.shares = {each for each in turns.shares if each.thread != self.thread}
        if turns.holder() != self.thread:
            turns.wait_to_be_alone()
        turns.holds.add(self)

"""The gate lets readers in together, a holder in alone, and starves nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from ctxkit.local.gate import Gate

PATIENCE = 30.0


def started(*calls: Callable[[], object]) -> list[threading.Thread]:
    """Start a thread for each call."""
    threads = [threading.Thread(target=call, daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    return threads


def ended(threads: list[threading.Thread]) -> bool:
    """Wait for threads; whether all have ended."""
    for thread in threads:
        thread.join(PATIENCE)
    return not any(thread.is_alive() for thread in threads)


def test_readers_are_inside_together() -> None:
    """Three threads that wait for each other inside the shared side all get there."""
    gate, together = Gate(), threading.Barrier(3)

    def read() -> None:
        with gate.shared:
            together.wait(PATIENCE)

    assert ended(started(read, read, read))
    assert not together.broken


def test_a_holder_is_alone() -> None:
    """Nothing that several threads do inside the lonely side, or beside readers, is interleaved."""
    gate, inside = Gate(), []
    seen: list[list[str]] = []

    def hold() -> None:
        for _ in range(200):
            with gate.alone:
                inside.append("holder")
                seen.append(list(inside))
                inside.pop()

    def read() -> None:
        for _ in range(200):
            with gate.shared:
                seen.append([name for name in list(inside) if name == "holder"] + ["reader"])

    assert ended(started(hold, hold, read, read))
    assert len(seen) == 800
    assert {tuple(names) for names in seen} == {("holder",), ("reader",)}


def test_the_holder_may_enter_again() -> None:
    """The thread that is alone may enter both sides, and the gate is free only when it has left all."""
    gate = Gate()
    with gate.alone, gate.alone, gate.shared:
        pass
    with gate.alone:
        with gate.shared:
            pass
        others = started(gate.shared.__enter__)
        others[0].join(0.1)
        assert others[0].is_alive(), "another thread came in while the gate was held"
    assert ended(others)


def test_nobody_starves() -> None:
    """Threads that share all the time do not keep one out that wants to be alone, nor the other way round."""
    gate, stop = Gate(), threading.Event()

    def busy(side: str) -> None:
        while not stop.is_set():
            with getattr(gate, side):
                pass

    for side, other in (("shared", gate.alone), ("alone", gate.shared)):
        stop.clear()
        threads = started(*[lambda side=side: busy(side)] * 3)

        def visit(other: object = other) -> None:
            for _ in range(50):
                with other:  # type: ignore[attr-defined]
                    pass

        try:
            assert ended(started(visit)), f"threads that go on entering {side} keep the other side out"
        finally:
            stop.set()
        assert ended(threads)


@pytest.mark.parametrize(("held", "wanted"), [("alone", "shared"), ("alone", "alone"), ("shared", "alone")])
def test_an_interrupted_wait_leaves_no_trace(held: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gives up waiting blocks nobody."""
    gate = Gate()
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with getattr(gate, held):
            inside.set()
            leave.wait(PATIENCE)

    holder = started(hold)
    assert inside.wait(PATIENCE)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Condition, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt), getattr(gate, wanted):
            pass
    if held == "shared":
        another = gate.shared
        assert ended(started(another.__enter__)), "readers wait for one that has given up"
        another.__exit__(None, None, None)
    leave.set()
    assert ended(holder)
    with gate.alone, gate.shared:
        pass


@pytest.mark.parametrize("side", ["shared", "alone"])
def test_who_was_interrupted_inside_gets_out(side: str) -> None:
    """A generator that an interrupt has left half way keeps nobody out for good, whenever it is closed."""
    gate = Gate()

    def half_way() -> Iterator[None]:
        with getattr(gate, side):
            yield

    left = half_way()
    next(left)
    with gate.alone:  # this thread itself never waits for what it has left behind
        pass
    gate.forget()
    inside = threading.Event()

    def hold() -> None:
        with gate.alone:
            inside.set()

    assert ended(started(hold))
    assert inside.is_set()
    del left  # which closes it now, and means nothing any more
    with gate.shared:
        pass
    assert ended(started(hold))

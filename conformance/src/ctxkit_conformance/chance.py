"""Random tries: seeded, reduced to the shortest failure within bounded time, and judged for what they showed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final

import hypothesis
from hypothesis.internal.conjecture import engine
from hypothesis.reporting import with_reporter
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from ctxkit_conformance.effort import Effort

# Without the phase "explain", which names lines of the suite instead of what is wrong.
_PHASES: Final = tuple(phase for phase in hypothesis.Phase if phase is not hypothesis.Phase.explain)
_SHRINKING: Final = 15.0  # seconds for making a failure shorter; what was found by then is shown


@contextmanager
def brief_shrinking(seconds: float = _SHRINKING) -> Iterator[None]:
    """Bound the time that a failure is made shorter in; whether there is one does not depend on it.

    Of two that are nested, the shorter bound holds.
    """
    before = engine.MAX_SHRINKING_SECONDS
    engine.MAX_SHRINKING_SECONDS = min(before, seconds)  # type: ignore[assignment]
    try:
        # Hypothesis would say that it took five minutes.
        with with_reporter(_silent):
            yield
    finally:
        engine.MAX_SHRINKING_SECONDS = before


class Tally:
    """Counts the tries that could have shown a fault, so that a check which tries nothing fails."""

    def __init__(self) -> None:
        self.tries = 0
        self.telling = 0

    def add(self, *, telling: bool) -> None:
        """Count a try."""
        self.tries += 1
        self.telling += telling

    def check(self, share: float) -> None:
        """Fail when too few of the tries could have shown anything."""
        assert self.tries, "nothing was tried"
        assert self.telling >= share * self.tries, (
            f"only {self.telling} of {self.tries} tries could have shown a fault: the check itself is too weak here"
        )


def tries(effort: Effort, few: int, **arguments: Any) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Return a decorator: the function is tried with `few` values (more when thorough) of each strategy."""

    def decorate(function: Callable[..., None]) -> Callable[[], None]:
        settings = effort.settings(few, report_multiple_bugs=False, phases=_PHASES)
        tried = hypothesis.seed(effort.seed)(settings(hypothesis.given(**arguments)(function)))

        @wraps(function)
        def run() -> None:
            with brief_shrinking():
                tried()

        return run

    return decorate


def try_sequences(effort: Effort, few: int, steps: int, machine: Callable[[], RuleBasedStateMachine]) -> None:
    """Run `few` sequences of up to `steps` steps, more when thorough; `machine` makes a new one for each."""

    def factory() -> RuleBasedStateMachine:
        return machine()

    settings = effort.settings(few, stateful_step_count=steps, report_multiple_bugs=False, phases=_PHASES)
    with brief_shrinking():
        run_state_machine_as_test(hypothesis.seed(effort.seed)(factory), settings=settings)  # type: ignore[arg-type]


def _silent(_message: object) -> None:
    """Say nothing."""

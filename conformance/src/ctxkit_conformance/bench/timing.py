"""Ways of doing the same, timed in turns, so that whatever else the machine does falls on each of them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

Call = Callable[[int], object]
_SCHEDULER: Final = Path("/proc/thread-self/schedstat")


@dataclass(frozen=True)
class Turns:
    """Seconds: `times[w][r]` are those of the calls of way `w` in round `r`; all ways get the same questions."""

    times: Sequence[Sequence[Sequence[float]]]

    def ratios(self, way: int = 0, other: int = 1) -> list[float]:
        """Of each round, the median of one way by that of another."""
        pairs = zip(self.times[way], self.times[other], strict=True)
        return [statistics.median(mine) / statistics.median(theirs) for mine, theirs in pairs]

    def ratio(self, way: int = 0, other: int = 1) -> float:
        """The median of the rounds' ratios."""
        return statistics.median(self.ratios(way, other))

    def spread(self, way: int = 0, other: int = 1) -> tuple[float, float]:
        """The quartiles of the rounds' ratios."""
        return quartiles(self.ratios(way, other))

    def median(self, way: int) -> float:
        """The median of all calls of one way, in seconds."""
        return statistics.median([each for times in self.times[way] for each in times])


def in_turns(ways: Sequence[Call], *, rounds: int, calls: int, warm_up: int = 1) -> Turns:
    """Time `calls` calls of each way in every round; a call is given a number that is new in each round.

    Within a round one way goes on for all its calls, so that it finds the processor's caches as it would in use; which
    begins changes from round to round. The first `warm_up` rounds are thrown away.
    """
    gc.collect()
    kept: list[list[list[float]]] = [[] for _ in ways]
    for turn in range(warm_up + rounds):
        numbers = range(turn * calls, (turn + 1) * calls)
        for place in range(len(ways)):
            way = (place + turn) % len(ways)
            times = [timed(ways[way], number) for number in numbers]
            if turn >= warm_up:
                kept[way].append(times)
    return Turns(kept)


def timed(call: Call, number: int) -> float:
    """Return the seconds that one call takes."""
    begin = time.perf_counter()
    call(number)
    return time.perf_counter() - begin


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the lower and the upper quartile."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def waited_for_a_core() -> float:
    """Return the seconds that this thread has been ready to run without a core; 0 where the system does not say."""
    with suppress(OSError, ValueError, IndexError):
        return int(_SCHEDULER.read_text(encoding="ascii").split()[1]) / 1e9
    return 0.0

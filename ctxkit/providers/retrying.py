"""How often and how long a call is tried again: bounded in number and in time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

from ctxkit.providers.failures import Failure

_FIRST: Final = 0.5  # seconds before the second try where the provider does not say
_LONGEST: Final = 8.0  # seconds that such a pause grows to
_LATER: Final = 0.03  # share of an asked-for wait that is added, so that all who wait do not come back at once
_LATER_AT_MOST: Final = 1.0  # seconds


class Attempts:
    """The tries of one call: at most `retries` after the first, none begun later than `seconds` after it.

    A pause is what the provider asked for, or else 0.5 s, doubled each time up to 8 s, less a random part of up to
    half ("equal jitter": Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    """

    def __init__(
        self,
        retries: int,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._left = retries
        self._deadline = clock() + seconds
        self._backoff = _FIRST
        self._clock = clock
        self._chance = chance

    def pause(self, failure: Failure) -> float | None:
        """Return how many seconds to wait before the next try; None where there is none.

        A wait that would end after the deadline is not begun.
        """
        if not failure.passing or self._left <= 0:
            return None
        if failure.wait is not None:
            pause = failure.wait + min(failure.wait * _LATER * self._chance(), _LATER_AT_MOST)
        else:
            pause = self._backoff * (1 - self._chance() / 2)
            self._backoff = min(self._backoff * 2, _LONGEST)
        if self._clock() + pause > self._deadline:
            return None
        self._left -= 1
        return pause

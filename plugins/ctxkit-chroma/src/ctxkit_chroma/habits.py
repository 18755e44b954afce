"""Which way of searching under a filter took the least time so far, for each filter that is used again and again.

What Chroma's own filtered search takes grows with how many records pass, and has a floor. So a filter that lets many
pass may be quicker without Chroma's help, by more hits that are filtered here, and one that lets hardly any pass by
reading them all. Where that is not enough Chroma's own way follows, so what is learnt decides about time alone.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Final, Literal, TypeAlias

from ctxkit.filters import Compare, Filter, Not

Way: TypeAlias = Literal["filtered", "wide", "listed"]

_FIRST_TRIAL: Final = 4  # a filter that is used only a few times is never tried in another way
_NEXT_TRIAL: Final = 16  # times as many calls later
_TRIAL_HITS: Final = 5  # times as many as are wanted
_MOST_SPARE: Final = 90  # records beyond the wanted ones that are read; each costs as much as a wanted one
_BREADTH: Final = 120  # candidates that pass, as many as Chroma's own filtered search holds by default, and some more
_WIDEST: Final = 400
_SIGMAS: Final = 2.5
_MANY: Final = 0.1  # of what is near passes: then too many pass to be read
_LEAST_SHARE: Final = 0.01
_NEW: Final = 0.25  # the weight of the newest figure
_SLOWER: Final = 0.05  # that of a longer time, which may be that of a busy moment
_MOST_KEPT: Final = 256
_RANGES: Final = frozenset({"$gt", "$gte", "$lt", "$lte"})


class Habit:
    """What was learnt of one filter and one number of wanted hits. Threads that meet here spoil a guess, no more."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._calls = 0
        self._trial = _FIRST_TRIAL
        self._share: float | None = None
        self._seconds: dict[Way, float] = {}
        self._missed: dict[Way, float] = {}

    @property
    def size(self) -> int:
        """How many of the nearest to read, so that enough of them pass as a rule."""
        most = self._wanted + _MOST_SPARE
        if self._share is None:
            return min(self._wanted * _TRIAL_HITS, most)
        failing = 1 - self._share
        passing = self._wanted + _SIGMAS * math.sqrt(self._wanted * failing) + _SIGMAS**2 * failing / 2
        return min(math.ceil(passing / max(self._share, _LEAST_SHARE)), most)

    @property
    def width(self) -> int:
        """How many of the nearest to ask for: the graph is searched the better the more it is asked for."""
        return max(self.size, min(math.ceil(_BREADTH / max(self._share or 0.0, _LEAST_SHARE)), _WIDEST))

    def way(self) -> Way:
        """Return which way to take now: the quickest so far, or another one to learn of."""
        call = self._calls = self._calls + 1  # threads may get one number twice, and none is left out
        # Each twice: the first time may be that of a busy moment.
        if call - self._trial in {0, 1}:
            if call == self._trial:
                self._share = None
            return "wide"
        if call - 2 * self._trial in {0, 1}:
            if call > 2 * self._trial:
                self._trial *= _NEXT_TRIAL
            if (self._share or 0.0) < _MANY:
                return "listed"
        return min(list(self._seconds), key=self._cost, default="filtered")

    def took(self, way: Way, seconds: float, missed: float = 0.0) -> None:
        """Learn how long a way took, and which share of the queries it left to Chroma's own."""
        self._missed[way] = _mixed(self._missed.get(way), missed)
        before = self._seconds.get(way, seconds)
        self._seconds[way] = seconds if seconds < before else before + _SLOWER * (seconds - before)

    def passed(self, share: float) -> None:
        """Learn how many of the nearest records pass the filter."""
        self._share = _mixed(self._share, share)

    def _cost(self, way: Way) -> float:
        return self._seconds[way] + self._missed[way] * self._seconds.get("filtered", 0.0)


class Habits:
    """The habits of one handle."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Habit] = {}

    def of(self, node: Filter, wanted: int) -> Habit:
        """Return what is known of a filter; of ranges, whose bounds are often new ones, by their field alone."""
        if len(self._known) > _MOST_KEPT:
            self._known.clear()
        return self._known.setdefault((_outline(node), wanted), Habit(wanted))


def _outline(node: Filter) -> Hashable:
    if isinstance(node, Compare):
        return node.field, node.operator, None if node.operator in _RANGES else node.operand
    parts = (node.part,) if isinstance(node, Not) else node.parts
    return type(node), *map(_outline, parts)


def _mixed(old: float | None, new: float) -> float:
    return new if old is None else old + _NEW * (new - old)

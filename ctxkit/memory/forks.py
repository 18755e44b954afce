"""After a fork, locks that another thread held stay held for ever in the child, and its threads are gone."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Renewable(Protocol):
    """Something with locks or threads of its own."""

    def renew(self) -> None:
        """Make the locks anew and forget the threads, in a child process that has just begun."""


_known: weakref.WeakSet[Renewable] = weakref.WeakSet()


def renew_after_fork(thing: Renewable) -> None:
    """Have `thing.renew()` called in every child process, for as long as the thing lives."""
    _known.add(thing)


def _renew_all() -> None:
    for thing in list(_known):
        thing.renew()


os.register_at_fork(after_in_child=_renew_all)

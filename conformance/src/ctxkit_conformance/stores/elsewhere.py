"""What checks share that open a store in several processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from ctxkit.errors import CtxkitError
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec
from ctxkit.records import Metric
from ctxkit_conformance.stores.base import DIMENSION, StoreChecks
from ctxkit_conformance.stores.remote import Remote

ValueT = TypeVar("ValueT")
_POLL_SECONDS = 0.01


class ElsewhereChecks(StoreChecks):
    """Base of the groups that need other processes."""

    def spec_of(self, metric: Metric) -> CollectionSpec:
        """Return the specification that `open` opens with."""
        return CollectionSpec(name="c", dimension=DIMENSION, metric=metric)

    def process(self) -> Remote:
        """Return another process that has opened nothing yet."""
        return Remote(self.store_class, self.patience)

    def elsewhere(self, config: BackendConfig, metric: Metric) -> Remote:
        """Return another process that has opened the collection."""
        return Remote.opened(self.store_class, self.spec_of(metric), config, self.patience)


def settled(read: Callable[[], object], wanted: object, declared: Capabilities) -> object:
    """Return what is read: at once, or, where consistency is declared eventual, as soon as it is what is wanted.

    The wait ends with the declared bound, so that what is returned then is what the store has to stand by.
    """
    found = read()
    if declared.consistency == "eventual":
        deadline = time.monotonic() + declared.consistency_bound
        while found != wanted and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            found = read()
    return found


def within_bound(compare: Callable[[], ValueT], declared: Capabilities) -> ValueT:
    """Return what the comparison returns; where consistency is eventual it may fail until the declared bound."""
    deadline = time.monotonic() + (declared.consistency_bound if declared.consistency == "eventual" else 0.0)
    while time.monotonic() < deadline:
        with suppress(AssertionError):
            return compare()
        time.sleep(_POLL_SECONDS)
    return compare()


def refusal_of(call: Callable[[], object], *errors: type[CtxkitError]) -> CtxkitError | None:
    """Return the error of these types that the call raises, None when it raises nothing."""
    try:
        call()
    except errors as error:
        return error
    return None

"""A small cache in memory: what was used last is kept."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")


class Recent(Generic[KeyT, ValueT]):
    """The values of the keys that were used last, at most `size` of them.

    Several threads may share one. It has no lock, so that a fork can leave none held: each step is a single operation
    of a dict, and what two threads do to each other is that one of them finds nothing.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: dict[KeyT, ValueT] = {}

    def get(self, key: KeyT) -> ValueT | None:
        """Return the value of a key and count it as used; None when there is none."""
        value = self._values.pop(key, None)
        if value is not None:
            self._values[key] = value
        return value

    def put(self, key: KeyT, value: ValueT) -> None:
        """Keep a value; the one that was not used for longest gives way."""
        self._values.pop(key, None)
        self._values[key] = value
        for oldest in list(self._values)[: -self.size]:
            self._values.pop(oldest, None)

    def clear(self) -> None:
        """Keep nothing."""
        self._values.clear()

    def __len__(self) -> int:
        return len(self._values)

"""What a store offers whose users have no folder in common: a right that one of them has at a time."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable


@runtime_checkable
class Leasing(Protocol):
    """A vector store on a server that gives rights to its clients; stores in a folder have no such method."""

    def lease(self, name: str, *, patience: float = 0.0) -> AbstractContextManager[bool]:
        """Hold the right of that name in this collection; gives False where another has it for `patience` seconds.

        It ends with the block, and by itself soon after its holder died. Not to be taken twice by one thread. Raises
        StoreUnavailableError when the server does not answer.
        """

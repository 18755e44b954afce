"""What a store offers that can take deleted records out of its files."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Purgeable(Protocol):
    """A vector store whose deletions can be made to leave nothing behind; the others have no such method."""

    def purge(self) -> None:
        """Rewrite the store's files so that no byte of a deleted text, vector or word is left in them.

        Takes as long as writing everything anew. Raises StoreLockedError when others use the store for too long, and
        StoreFullError without room for a second copy; what was deleted stays deleted, and purging again completes it.
        """

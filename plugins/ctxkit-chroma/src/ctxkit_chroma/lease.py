"""A lock between the clients of one server, made of what Chroma has: no two collections have one name.

Whoever makes the collection of that name holds the lock. One that was left by a client that died is broken by whoever
has seen it unchanged for the lease's time; it is renamed first, by its identity, so that nobody breaks a new one.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from chromadb.errors import ChromaError

from ctxkit.errors import CollectionNotFoundError
from ctxkit_chroma import naming
from ctxkit_chroma.client import Client
from ctxkit_chroma.faults import Scene, guarded

LEASE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.02


@contextmanager
def lease(client: Client, key: str, scene: Scene, timeout: float) -> Iterator[None]:
    """Hold the lock of a collection, `key`; raises StoreLockedError when it is not free within the time."""
    name = f"{naming.LEASE}{key}"
    deadline = time.monotonic() + timeout
    holder, since = "", 0.0
    while (held := _taken(client, name, scene)) is None:
        now = time.monotonic()
        with guarded(scene):
            found = client.find(name)
        if found is not None and str(found.id) != holder:
            holder, since = str(found.id), now
        elif found is not None and now - since > LEASE_SECONDS:
            _remove(client, found, name, scene)
        elif now > deadline:
            raise scene.locked(f"another client is deleting, for longer than {timeout:g} s")
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        _remove(client, held, name, scene)


def _taken(client: Client, name: str, scene: Scene) -> Any:
    with guarded(scene):
        try:
            return client.create(name, "l2", None)
        except ChromaError as error:
            if "already exists" in str(error):
                return None
            raise


def _remove(client: Client, held: Any, name: str, scene: Scene) -> None:
    """Take a lock's collection away by its identity, not by the name that may be another's by now."""
    unique = f"{name[:20]}-{uuid.uuid4().hex}"
    with suppress(CollectionNotFoundError), guarded(scene):
        held.modify(name=unique)
        client.drop(unique)

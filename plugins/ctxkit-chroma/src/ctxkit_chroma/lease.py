"""A lock between the clients of one server, made of what Chroma has: no two collections have one name.

Whoever makes the collection of that name holds the lock, and counts up a number in its metadata for as long as it
lives. Who waits breaks a lock whose number stands still; it is renamed first, by its identity, so that nobody breaks a
new one. No time is written anywhere, so the clocks of clients may differ.

How long a number may stand still decides only how long others wait. A holder that was stopped for longer and goes on
finds at its end that another has the lock, and is told so: what it counted, the other one may have counted too.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from chromadb.errors import ChromaError

from ctxkit.errors import CollectionNotFoundError, StoreError
from ctxkit_chroma import naming
from ctxkit_chroma.client import Client
from ctxkit_chroma.faults import Scene, guarded

LEASE_SECONDS: Final = 5.0
BEAT_SECONDS: Final = 1.0
_ANSWERS: Final = 20  # without a change, at least: a server that is slow for all says nothing of the holder
_MOST_LEASES: Final = 3  # that one waits for at least, however short its timeout
_POLL_SECONDS: Final = 0.02
_LONGEST_POLL_SECONDS: Final = 0.1


@contextmanager
def lease(client: Client, key: str, scene: Scene, timeout: float) -> Iterator[None]:
    """Hold the lock of a collection, `key`; raises StoreLockedError when it is not free within the time.

    Raises it also at the end, when the lock was not held all the time.
    """
    name = f"{naming.LEASE}{key}"
    held = _taken(client, name, scene, timeout)
    over = threading.Event()
    beating = threading.Thread(target=_beat, args=(held, scene, over), name="ctxkit-chroma-lease", daemon=True)
    try:
        beating.start()
        yield
        kept = _found(client, name, scene)
    finally:
        over.set()
        if beating.ident is not None:
            beating.join()
        _remove(client, held, name, scene)
    if kept is None or kept.id != held.id:
        raise scene.overtaken()


def sweep(client: Client, key: str, scene: Scene) -> None:
    """Take away whatever a dropped collection's lock has left."""
    with guarded(scene):
        left = [found.name for found in client.everything() if found.name.startswith(f"{naming.LEASE}{key}")]
    for name in left:
        with suppress(CollectionNotFoundError), guarded(scene):
            client.drop(name)


def _taken(client: Client, name: str, scene: Scene, timeout: float) -> Any:
    """Make the lock's collection, as soon as there is none; one whose holder is silent is taken away."""
    deadline = time.monotonic() + max(timeout, _MOST_LEASES * LEASE_SECONDS)
    seen, silent, before = None, 0.0, time.monotonic()
    while (held := _made(client, name, scene)) is None:
        while (found := _found(client, name, scene)) is not None:
            now = time.monotonic()
            sign = (found.id, found.metadata)
            silent = silent + min(now - before, LEASE_SECONDS / _ANSWERS) if sign == seen else 0.0
            seen, before = sign, now
            if silent > LEASE_SECONDS:
                _remove(client, found, name, scene)
            elif now > deadline:
                raise scene.locked("another client is deleting")
            else:
                time.sleep(min(max(_POLL_SECONDS, silent / 10), _LONGEST_POLL_SECONDS))
    return held


def _made(client: Client, name: str, scene: Scene) -> Any:
    with guarded(scene):
        try:
            return client.create(name, "l2", None)
        except ChromaError as error:
            if "already exists" in str(error):
                return None
            raise


def _found(client: Client, name: str, scene: Scene) -> Any:
    with guarded(scene):
        return client.find(name)


def _beat(held: Any, scene: Scene, over: threading.Event) -> None:
    """Show that the holder lives, until it is over; a server that does not answer is the holder's own trouble."""
    number = 0
    while not over.wait(BEAT_SECONDS):
        number += 1
        with suppress(StoreError), guarded(scene):
            held.modify(metadata={"beat": number})


def _remove(client: Client, held: Any, name: str, scene: Scene) -> None:
    """Take a lock's collection away by its identity, not by the name that may be another's by now."""
    unique = f"{name}-{uuid.uuid4().hex[:12]}"  # of 63 characters at most
    with suppress(CollectionNotFoundError), guarded(scene):
        held.modify(name=unique)
        client.drop(unique)

"""The lock between clients that delete: killed, stopped and slow holders, and what is left of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ctxkit_chroma import lease
from ctxkit_chroma.config import ChromaConfig
from ctxkit_chroma.store import ChromaStore

from ctxkit.errors import StoreLockedError
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import Record

SPEC = CollectionSpec(name="notes", dimension=3)
IDS = [f"r{number}" for number in range(4)]
NEVER = 3600.0


@pytest.fixture
def stores(remote: ChromaConfig, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ChromaStore, ChromaStore]]:
    """Two clients of one collection with four records, and a lease that is over soon."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.4)
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.05)
    with ChromaStore.open(SPEC, remote) as one, ChromaStore.open(SPEC, remote) as two:
        one.upsert([Record(record_id, "", [1.0, 0.0, 0.0]) for record_id in IDS])
        yield one, two


def names_at(store: ChromaStore) -> list[str]:
    """Return the names of all of Chroma's collections."""
    return sorted(found.name for found in store._site.client.everything())


def left_by_a_killed_client(store: ChromaStore) -> str:
    """Make the lock as a deletion makes it, and return its name."""
    name = f"ctxkit-lease-{store._table.rows.key}"
    store._site.client.create(name, "l2", None)
    return name


def during_the_removal(store: ChromaStore, monkeypatch: pytest.MonkeyPatch, event: Any) -> None:
    """Let something happen when the store has decided what to delete, and before it does."""
    rows: Any = store._table.rows
    remove = rows.remove
    monkeypatch.setattr(rows, "remove", lambda ids: (event(), remove(ids)))


def test_a_killed_holder_is_not_waited_for(stores: tuple[ChromaStore, ChromaStore]) -> None:
    """What a killed client leaves is gone after the lease, long before anybody gives up, and nothing stays behind."""
    left_by_a_killed_client(stores[0])
    assert stores[1].delete(["r0", "r1"]) == 2
    assert names_at(stores[0]) == ["notes"]


def test_several_that_wait_for_a_killed_holder(stores: tuple[ChromaStore, ChromaStore]) -> None:
    """Whoever breaks the lock breaks the dead one's alone: each record is counted once."""
    left_by_a_killed_client(stores[0])
    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(lambda store: store.delete(IDS), stores))
    assert sorted(counts) == [0, 4]
    assert names_at(stores[0]) == ["notes"]


def test_a_slow_holder_keeps_its_lock(stores: tuple[ChromaStore, ChromaStore], monkeypatch: pytest.MonkeyPatch) -> None:
    """A deletion that takes several times the lease is waited for; a count, not a clock, says that it lives."""
    one, two = stores
    signs: list[Any] = []

    def take_long() -> None:
        waiting.start()
        for _ in range(15):
            time.sleep(0.1)
            lock: Any = one._site.client.find(f"ctxkit-lease-{one._table.rows.key}")
            signs.append(lock.metadata["beat"])

    counts: list[int] = []
    waiting = threading.Thread(target=lambda: counts.append(two.delete(IDS)))
    during_the_removal(one, monkeypatch, take_long)
    assert one.delete(IDS) == 4
    waiting.join()
    assert counts == [0]
    assert signs == sorted(signs)
    assert 0 < signs[0] < signs[-1] < 100


def test_a_stopped_holder_does_not_count_what_another_counts(
    stores: tuple[ChromaStore, ChromaStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that stood still for longer than the lease learns that its count means nothing; the other one's does."""
    one, two = stores
    monkeypatch.setattr(lease, "BEAT_SECONDS", NEVER)  # as of a process that gets no time
    counts: list[int] = []
    during_the_removal(one, monkeypatch, lambda: counts.append(two.delete(["r0", "r1", "r2"])))
    with pytest.raises(StoreLockedError, match=r"it may have counted as well.*Fix: count what is left"):
        one.delete(IDS)
    assert counts == [3]
    assert (two.count(), two.delete(IDS)) == (0, 0)
    assert names_at(one) == ["notes"]


def test_a_server_that_is_slow_for_all_breaks_no_lock(
    stores: tuple[ChromaStore, ChromaStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that comes after the whole lease is one answer, and no sign that the holder is dead."""
    one, two = stores
    client: Any = two._site.client
    find = client.find
    monkeypatch.setattr(lease, "BEAT_SECONDS", NEVER)

    def slowly(name: str) -> Any:
        time.sleep(0.2)
        return find(name)

    monkeypatch.setattr(client, "find", slowly)
    waiting = ThreadPoolExecutor(1)

    def stall() -> None:
        waiting.submit(lambda: two.delete(["r0"]))
        time.sleep(0.9)

    during_the_removal(one, monkeypatch, stall)
    assert one.delete(IDS) == 4
    waiting.shutdown()


def test_a_living_holder_is_not_waited_for_without_end(
    stores: tuple[ChromaStore, ChromaStore], remote: ChromaConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever finds the lock taken for longer than its patience learns so, and what it may do."""
    monkeypatch.setattr(lease, "_MOST_LEASES", 0)

    def refused() -> None:
        with (
            ChromaStore.open(SPEC, remote.model_copy(update={"timeout": 1.0})) as other,
            pytest.raises(StoreLockedError, match=r"another client is deleting.*Fix: try again"),
        ):
            other.delete(["r0"])

    during_the_removal(stores[0], monkeypatch, refused)
    assert stores[0].delete(IDS) == 4


def test_a_dropped_collection_leaves_no_lock(stores: tuple[ChromaStore, ChromaStore], remote: ChromaConfig) -> None:
    """The lock of a client that was killed goes with its collection, also where the client was taking it away."""
    name = left_by_a_killed_client(stores[0])
    stores[0]._site.client.create(f"{name}-0123456789ab", "l2", None)
    ChromaStore.drop_collection(remote, "notes")
    assert names_at(stores[0]) == []

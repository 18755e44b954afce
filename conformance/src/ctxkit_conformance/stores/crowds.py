"""What several threads, and a process that forks, do with one handle.

Imported by the processes that the checks start, so it needs nothing of pytest.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import random
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Final

from ctxkit.errors import CtxkitError, StoreClosedError
from ctxkit.interfaces import BackendConfig, CollectionSpec, VectorStore
from ctxkit.records import Record
from ctxkit_conformance.stores.answers import Answers, ask, number_of, numbered
from ctxkit_conformance.stores.remote import Failure, failure

WRITERS: Final = 4
READERS: Final = 2
SHARED: Final = [f"shared{i}" for i in range(3)]
BEFORE: Final = [f"before{i}" for i in range(5)]
_BATCH: Final = 20  # records
_STEP: Final = 4  # records that are deleted in one call
_SWITCH_SECONDS: Final = 1e-5  # how long a thread runs before another one may: short, so that they meet often


@dataclass
class Meeting:
    """What came of several threads on one handle: errors, counts by name, and the answers at the end."""

    failures: list[Failure] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    answers: Answers | None = None


def ids_of_writers(rounds: int) -> list[str]:
    """Return every id that writers write."""
    own = [f"t{who}-{place}" for who in range(WRITERS) for place in range(rounds)]
    return [*own, *(f"own{who}" for who in range(WRITERS)), *SHARED]


def number_of_write(who: int, place: int, rounds: int) -> int:
    """Return the number that all records of one write carry."""
    return who * rounds + place


def write_and_read(
    connection: Connection, store_class: type[VectorStore], spec: CollectionSpec, config: BackendConfig, rounds: int
) -> None:
    """Have threads write records of their own and shared ones, while others read all of them."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    meeting = Meeting()
    ids = ids_of_writers(rounds)
    writing = threading.Event()
    writing.set()

    def write(store: VectorStore, who: int) -> None:
        for place in range(rounds):
            number = number_of_write(who, place, rounds)
            names = [f"t{who}-{place}", f"own{who}", SHARED[place % len(SHARED)]]
            store.upsert([numbered(name, number) for name in names])
            found = store.get(names[:2], include_vectors=True)
            wanted: list[Record | None] = [numbered(name, number) for name in names[:2]]
            assert found == wanted, f"a thread wrote number {number} and reads {found!r} next"

    def read(store: VectorStore, who: int) -> None:
        last = reads = 0
        while writing.is_set():
            for record in store.get(ids, include_vectors=True):
                if record is not None:
                    number_of(record)
            for hit in store.query([1.0, 2.0, 3.0], 20, include_vectors=True)[0]:
                number_of(Record(hit.id, hit.text, hit.vector, hit.metadata))
            scanned = [record.id for record in store.scan()]
            assert len(scanned) == len(set(scanned)), "a scan yields a record twice while others write"
            count = store.count()
            assert count >= last, f"there were {last} records, now {count}, though nobody deletes"
            last = count
            reads += 1
        meeting.counts[f"reader {who}"] = reads

    with store_class.open(spec, config) as store:
        readers = started(meeting, [_call(read, store, who) for who in range(READERS)])
        joined(started(meeting, [_call(write, store, who) for who in range(WRITERS)]))
        writing.clear()
        joined(readers)
        meeting.answers = ask(store, ids)
    connection.send(meeting)


def delete_together(
    connection: Connection,
    store_class: type[VectorStore],
    spec: CollectionSpec,
    config: BackendConfig,
    names: Sequence[str],
) -> None:
    """Have threads delete the same records, each in an order of its own, and note how many each was told of."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    meeting = Meeting()
    abreast = threading.Barrier(WRITERS)

    def delete(store: VectorStore, who: int) -> None:
        deleted = 0
        try:
            for start in range(0, len(names), _STEP):
                mine = list(names[start : start + _STEP])
                random.Random(who + start).shuffle(mine)  # noqa: S311 - an order, no secret
                abreast.wait()
                deleted += store.delete(mine)
        except threading.BrokenBarrierError:
            return  # what broke it is shown
        except Exception:
            abreast.abort()  # the others would wait for this one for ever
            raise
        meeting.counts[f"thread {who}"] = deleted

    with store_class.open(spec, config) as store:
        records = [numbered(name, place) for place, name in enumerate(names)]
        for start in range(0, len(records), _BATCH):
            store.upsert(records[start : start + _BATCH])
        joined(started(meeting, [_call(delete, store, who) for who in range(WRITERS)]))
        meeting.answers = ask(store, names)
    connection.send(meeting)


def close_under_readers(
    connection: Connection, store_class: type[VectorStore], spec: CollectionSpec, config: BackendConfig
) -> None:
    """Close a handle that threads are reading and writing, each of them until it is told that it is closed."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    meeting = Meeting()
    store = store_class.open(spec, config)
    store.upsert([numbered(name, place) for place, name in enumerate(BEFORE)])
    busy = threading.Barrier(READERS + 3)  # these threads, the one that writes, and this one

    def until_closed(who: int, call: Callable[[int], object]) -> None:
        times = 0
        try:
            while True:
                call(times)
                times += 1
                meeting.counts[f"thread {who}"] = times
                if times == 2:
                    busy.wait()
        except (StoreClosedError, threading.BrokenBarrierError):
            return
        except Exception:
            busy.abort()  # the others would wait for this one for ever
            raise

    def read(times: int) -> None:
        ways: list[Callable[[], object]] = [
            lambda: store.get(BEFORE, include_vectors=True),
            lambda: store.query([1.0, 2.0, 3.0], 3),
            lambda: list(store.scan()),
            lambda: store.count({"group": 1}),
        ]
        ways[times % len(ways)]()

    def write(times: int) -> None:
        store.upsert([numbered(f"w{times}", times)])

    calls = [*[read] * (READERS + 1), write]
    threads = started(meeting, [_call(until_closed, who, call) for who, call in enumerate(calls)])
    with suppress(threading.BrokenBarrierError):
        busy.wait()
    store.close()
    joined(threads)
    connection.send(meeting)


@dataclass
class Forked:
    """What came of a handle that was used on both sides of a fork: by name, a value or an error."""

    parent: dict[str, Any]
    child: dict[str, Any]
    status: int
    written: int = 0


def fork(
    connection: Connection,
    store_class: type[VectorStore],
    spec: CollectionSpec,
    config: BackendConfig,
    busy: bool,  # noqa: FBT001 - arguments of a process come by position
    patience: float,
) -> None:
    """Open a handle, fork, and use it on both sides; busy, another thread is writing at that moment."""
    warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, which is what is examined here
    store = store_class.open(spec, config)
    store.upsert([numbered(name, place) for place, name in enumerate(BEFORE)])
    forked, written = threading.Event(), [0]

    def write() -> None:
        while not forked.is_set():
            store.upsert([numbered(f"busy{written[0]}", written[0])])
            written[0] += 1

    meeting = Meeting()
    threads = started(meeting, [write] if busy else [])
    while busy and written[0] < 3 and not meeting.failures:
        forked.wait(0.001)
    source, target = os.pipe()
    pid = os.fork()
    if not pid:
        _report(target, store, patience)
    os.close(target)
    forked.set()
    joined(threads)
    parent = _used(store, "parent")
    with os.fdopen(source, "rb") as pipe:
        raw = pipe.read()
    status = os.waitpid(pid, 0)[1]
    parent["after the child"] = _tried(lambda: store.get(["parent", "child"], include_vectors=True))
    parent["write again"] = _tried(lambda: store.upsert([numbered("again", 4)]))
    parent["close"] = _tried(store.close)
    for found in meeting.failures:
        parent["writing thread"] = found
    child = pickle.loads(raw) if raw else {}  # noqa: S301 - from our own fork
    connection.send(Forked(parent, child, status, written[0]))


def started(meeting: Meeting, calls: Sequence[Callable[[], object]]) -> list[threading.Thread]:
    """Start a thread for each call; what it raises goes to the meeting."""

    def guarded(call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - the parent judges it
            meeting.failures.append(failure(error))

    threads = [threading.Thread(target=guarded, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    return threads


def joined(threads: Sequence[threading.Thread]) -> None:
    """Wait until all have ended; how long that may take, the parent decides."""
    for thread in threads:
        thread.join()


def _call(function: Callable[..., object], *arguments: object) -> Callable[[], object]:
    return lambda: function(*arguments)


def _report(target: int, store: VectorStore, patience: float) -> None:
    """Use the handle in the forked process and tell what came of it; never returns."""
    try:
        faulthandler.dump_traceback_later(max(1.0, 0.9 * patience), exit=True)
        found = _used(store, "child")
        found["close"] = _tried(store.close)
        with os.fdopen(target, "wb") as pipe:
            pickle.dump(found, pipe)
        os._exit(0)
    finally:
        os._exit(1)


def _used(store: VectorStore, name: str) -> dict[str, Any]:
    return {
        "get": _tried(lambda: store.get(BEFORE, include_vectors=True)),
        "upsert": _tried(lambda: store.upsert([numbered(name, 7)])),
        "get own": _tried(lambda: store.get([name], include_vectors=True)),
        "query": _tried(lambda: len(store.query([1.0, 2.0, 3.0], 3)[0])),
    }


def _tried(call: Callable[[], object]) -> object:
    try:
        return call()
    except CtxkitError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the parent judges it
        return failure(error)

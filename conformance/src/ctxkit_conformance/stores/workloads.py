"""What the processes do that the checks start: writing until they are killed, threads, forks, full disks.

Imported by those processes, so it needs nothing of pytest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from ctxkit.errors import CtxkitError, StoreLockedError
from ctxkit.interfaces import BackendConfig, CollectionSpec, VectorStore
from ctxkit.records import Record
from ctxkit_conformance.stores.answers import GROUPS, Answers, Records, ask, numbered
from ctxkit_conformance.stores.remote import failure

Kind: TypeAlias = Literal["upsert", "large", "delete", "delete by filter", "flush", "optimize", "reopen"]
_SMALL_IDS: Final = 60
_NUMBERS_OF_A_STEP: Final = 1000


@dataclass(frozen=True)
class Step:
    """One thing to do: a batch to write, ids or a group to delete, or some housekeeping."""

    kind: Kind
    records: tuple[Record, ...] = ()
    ids: tuple[str, ...] = ()
    group: int = -1

    def applied(self, state: Mapping[str, Record]) -> Records:
        """Return what a collection holds after the step."""
        after = {name: record for name, record in state.items() if not self.deletes(record)}
        return after | {record.id: record for record in self.records}

    def deletes(self, record: Record) -> bool:
        """Whether the step deletes a record."""
        return record.id in self.ids or record.metadata.get("group") == self.group


@dataclass(frozen=True)
class Plan:
    """A series of steps that depends on the seed alone, so that whoever sees the result knows what was meant.

    `first` numbers the series: two with different numbers write different records. `large` is the size of a large
    batch, `small` the most records of a small one.
    """

    seed: int
    first: int
    kinds: tuple[Kind, ...]
    large: int
    small: int
    steps: int = 40

    @property
    def ids(self) -> list[str]:
        """Every id that a step may name."""
        return [f"r{i}" for i in range(_SMALL_IDS)] + [f"large{i}" for i in range(self.large)]

    def __iter__(self) -> Iterator[Step]:
        rng = np.random.default_rng([self.seed, self.first])
        for place in range(self.steps):
            kind = self.kinds[place % len(self.kinds)]
            number = (self.first * self.steps + place) * _NUMBERS_OF_A_STEP
            chosen = tuple(f"r{i}" for i in rng.permutation(_SMALL_IDS)[: int(rng.integers(1, self.small + 1))])
            if kind == "large":
                chosen = tuple(f"large{i}" for i in range(self.large))
            if kind in {"upsert", "large"}:
                yield Step(kind, tuple(numbered(name, number + i) for i, name in enumerate(chosen)))
            elif kind == "delete":
                yield Step(kind, ids=chosen)
            elif kind == "delete by filter":
                yield Step(kind, group=int(rng.integers(GROUPS)))
            else:
                yield Step(kind)


def work(
    connection: Connection,
    store_class: type[VectorStore],
    spec: CollectionSpec,
    config: BackendConfig,
    plan: Plan,
    paused: bool,  # noqa: FBT001 - arguments of a process come by position
) -> None:
    """Do the steps, saying before each that it begins and after each that it is acknowledged.

    Paused, each step waits for a message; so nothing is on its way when the parent has heard of the last.
    """
    connection.send(("opening", -1))
    store = store_class.open(spec, config)
    connection.send(("opened", -1))
    for place, step in enumerate(plan):
        if paused:
            connection.recv()
        connection.send(("begin", place))
        try:
            if step.kind == "reopen":
                store.close()
                store = store_class.open(spec, config)
            else:
                do(store, step)
        except Exception as error:  # noqa: BLE001 - the parent judges it
            connection.send(("failed", failure(error)))
            connection.recv()
        connection.send(("done", place))
    connection.send(("end", -1))
    connection.recv()


def do(store: VectorStore, step: Step) -> Any:
    """Do one step with an open handle."""
    if step.kind in {"upsert", "large"}:
        return store.upsert(list(step.records))
    if step.kind == "delete":
        return store.delete(list(step.ids))
    if step.kind == "delete by filter":
        return store.delete(where={"group": step.group})
    return store.flush() if step.kind == "flush" else store.optimize()


@dataclass(frozen=True)
class Autopsy:
    """How a damaged collection behaved: what raised which error, and the answers, None where it did not open."""

    refusals: Mapping[str, CtxkitError]
    answers: Answers | None = None


def dissect(
    _handle: object,
    store_class: type[VectorStore],
    spec: CollectionSpec,
    config: BackendConfig,
    ids: Sequence[str],
    words: Sequence[str],
) -> Autopsy:
    """Open what may be damaged, read everything, and write."""
    for call in (lambda: store_class.list_collections(config), lambda: store_class.describe_collection(config, "c")):
        with suppress(CtxkitError):
            call()
    try:
        store = store_class.open(spec, config)
    except CtxkitError as error:
        return Autopsy({"open": error})
    answers = ask(store, ids, words)
    refusals = dict(answers.refused)
    try:
        probe(store)
    except CtxkitError as error:
        refusals["upsert"] = error
    try:
        store.close()
    except CtxkitError as error:
        refusals["close"] = error
    return Autopsy(refusals, answers)


def probe(store: VectorStore) -> Sequence[object]:
    """Write a record, read it and delete it; return what came of it."""
    record = numbered("probe", 3)
    store.upsert([record])
    return store.get(["probe"], include_vectors=True), store.delete(["probe"]), store.get(["probe"])


def write_many(store: VectorStore, who: int, batches: int, size: int) -> int:
    """Write batches of records of its own, each with one that everybody writes; return how many were acknowledged."""
    for place in range(batches):
        store.upsert(batch_of(who, place, batches, size))
    return batches


def batch_of(who: int, place: int, batches: int, size: int) -> list[Record]:
    """Return the batch that a process writes as its `place`-th."""
    number = who * batches + place
    return [*(numbered(f"p{who}-{place}-{i}", number) for i in range(size)), numbered("shared", number)]


def attempt(store: VectorStore, times: int) -> int:
    """Try to write and to delete; return how often that was refused with StoreLockedError, and stop when it is not."""
    refused = 0
    for place in range(times):
        try:
            if place % 2:
                store.delete(["shared"])
            else:
                store.upsert([numbered("intruder", place)])
        except StoreLockedError:
            refused += 1
        else:
            break
    return refused


def overwrite(store: VectorStore, who: int, rounds: int, ids: Sequence[str]) -> None:
    """Write the same records again and again, all with the number of the round."""
    for place in range(rounds):
        store.upsert([numbered(name, who * rounds + place) for name in ids])


def delete_each(store: VectorStore, ids: Sequence[str], step: int) -> int:
    """Delete records, some at a time, and return of how many the store said that they existed."""
    return sum(store.delete(ids[start : start + step]) for start in range(0, len(ids), step))

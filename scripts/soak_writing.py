"""The workers that write and delete, and what they know of their own records."""

from __future__ import annotations

import faulthandler
import os
import time
import traceback
from collections.abc import Callable, Sequence

import numpy as np
from soak_records import BUCKETS, SHARED, traits
from soak_truth import Journal
from soak_worker import Kind, Role, Scene

from ctxkit.errors import StoreLockedError
from ctxkit.interfaces import VectorStore
from ctxkit.records import Record, RecordBatch

_LARGEST_BATCH = 40
_REST = 0.004
_REOPENED = _FLUSHED = 0.005
_LONGEST_CHILDHOOD = 8
_CHILDHOOD_SECONDS = 60


class Mutator(Role):
    """Writes and deletes records of its own, and some that all share.

    Nobody else touches its own, so it knows them exactly, also after it was killed: each is as the last acknowledged
    write left it, or as the one that the kill cut short would have.
    """

    def __init__(self, scene: Scene, worker: int, life: int, shared: tuple[Kind, VectorStore] | None = None) -> None:
        self._own = list(scene.owned[scene.board.workers[worker]])
        super().__init__(scene, worker, life, shared)
        self._number = self.truth.last_number(self.name)
        self._journal = Journal(scene.journals / f"{self.name}.log")
        self._now: dict[str, int] = {}
        self._recover()

    @property
    def plan(self) -> Sequence[tuple[int, Callable[[], None]]]:
        """What to do how often."""
        return (
            (6, self._upsert_batch),
            (6, self._upsert_one),
            (3, self._upsert_shared),
            (1, self._delete_own),
            (1, self._delete_own_by_filter),
            (1, self._look_at_own),
        )

    def step(self) -> None:
        """Do one of the things it can do."""
        weights = [weight for weight, _ in self.plan]
        chosen = self.rng.choice(len(weights), p=[weight / sum(weights) for weight in weights])
        self.plan[chosen][1]()
        time.sleep(self.rng.exponential(_REST))
        if self.chance(_REOPENED):
            self.reopen()
        if self.chance(_FLUSHED):
            self.store.flush()
            self.count("flush")

    def drawn(self, ids: Sequence[str], least: int, most: int) -> list[str]:
        """Return some of the ids."""
        count = min(int(self.rng.integers(least, most + 1)), len(ids))
        return [ids[place] for place in self.rng.choice(len(ids), size=count, replace=False)]

    def written(self, ids: Sequence[str], *, upsert: bool, call: Callable[[str], int | None]) -> int | None:
        """Make a call between two lines of the journal, and return what it returned."""
        self._number += 1
        token = f"{self.name}x{self._number}"
        self._journal.begin(token, ids, upsert=upsert)
        try:
            answer = call(token)
        except StoreLockedError:
            self._journal.end(token, time.monotonic_ns(), applied=False)
            raise
        self._journal.end(token, time.monotonic_ns(), applied=True)
        for name in ids:
            if name in self._ours:
                if upsert:
                    self._now[name] = self._number
                else:
                    self._now.pop(name, None)
        return answer

    def upsert(self, ids: Sequence[str]) -> None:
        """Write the ids, new or again, as records or as columns."""

        def call(token: str) -> None:
            records = [self.scene.recipe.record(name, token) for name in ids]
            if all(record.vector is not None for record in records) and self.chance(0.5):
                self.store.upsert(_columns(records))
            else:
                self.store.upsert(records)

        self.written(ids, upsert=True, call=call)
        self.count("upsert, one" if len(ids) == 1 else "upsert, batch")

    def delete_shared(self) -> None:
        """Delete records that others write as well: by id, by what never changes about them, or by both."""
        bucket = int(self.rng.integers(BUCKETS))
        inside = [name for name in self.scene.owned[SHARED] if traits(name)["bucket"] == bucket]
        where = {"$and": [{"shared": True}, {"bucket": bucket}]}
        some = self.drawn(self.scene.owned[SHARED], 1, 6)
        if self.chance(0.4):
            self.written(inside, upsert=False, call=lambda _: self.store.delete(where=where))
            self.count("delete, filter")
            return
        both = self.chance(0.2)
        ids = [name for name in some if name in inside] if both else some
        narrowed = {"bucket": bucket} if both else None
        self.written(ids, upsert=False, call=lambda _: self.store.delete(some, where=narrowed))
        self.count("delete, ids")

    def _upsert_batch(self) -> None:
        shared = self.drawn(self.scene.owned[SHARED], 0, 2)
        self.upsert([*self.drawn(self._own, 2, _LARGEST_BATCH), *shared])

    def _upsert_one(self) -> None:
        self.upsert(self.drawn(self._own, 1, 1))

    def _upsert_shared(self) -> None:
        self.upsert(self.drawn(self.scene.owned[SHARED], 1, 8))

    def _delete_own(self) -> None:
        ids = self.drawn(self._own, 1, 8)
        self._deleted(ids, lambda _: self.store.delete(ids))
        self.count("delete, ids")

    def _delete_own_by_filter(self) -> None:
        """Delete the oldest of its own, by a field that changes with every write."""
        if len(self._now) < len(self._own) // 2:
            return
        limit = sorted(self._now.values())[len(self._now) // 10]
        ids = [name for name, number in self._now.items() if number < limit]
        self._deleted(ids, lambda _: self.store.delete(where={"owner": self.name, "n": {"$lt": limit}}))
        self.count("delete, filter")

    def _deleted(self, ids: Sequence[str], call: Callable[[str], int | None]) -> None:
        there = sum(name in self._now for name in ids)
        answer = self.written(ids, upsert=False, call=call)
        if answer != there:
            self.fail("wrong count", f"a delete of {len(ids)}, of which {there} were there, returned {answer}")

    def _look_at_own(self) -> None:
        ids = self.drawn(self._own, 1, _LARGEST_BATCH)
        found = self.store.get(ids, include_vectors=True)
        numbers = {
            r.id: r.metadata["n"]
            for r in found
            if r is not None and r.metadata["op"] == f"{self.name}x{r.metadata['n']}"
        }
        wanted = {name: self._now[name] for name in ids if name in self._now}
        if numbers != wanted or sum(record is not None for record in found) != len(wanted):
            self.fail("own record", f"{self.name} wrote {wanted} and found {numbers}")
        self.count("get")

    def _recover(self) -> None:
        """See that the death of the one before has cost nothing that was acknowledged."""
        began = time.monotonic_ns()
        found = self.store.get(self._own, include_vectors=True)
        self.snapshot(self._own, found, began, time.monotonic_ns(), "after a restart")
        self._now = {record.id: int(str(record.metadata["n"])) for record in found if record is not None}
        self.count("recovered")

    @property
    def _ours(self) -> frozenset[str]:
        return frozenset(self._own)


class Deleter(Mutator):
    """Deletes more than it writes."""

    @property
    def plan(self) -> Sequence[tuple[int, Callable[[], None]]]:
        """What to do how often."""
        return (
            (4, self.delete_shared),
            (3, self._upsert_batch),
            (2, self._upsert_shared),
            (3, self._delete_own),
            (2, self._delete_own_by_filter),
        )


class Forker(Mutator):
    """Lets forked children do its work through the handle that they inherit while other threads use it."""

    def step(self) -> None:
        """Fork, wait for the child, and see that what it wrote is there."""
        child = os.fork()
        if not child:
            self._be_the_child()
        _, status = os.waitpid(child, 0)
        if status:
            self.fail("death", f"a forked child ended with the status {status}; its stacks are in the .err file")
        self.count("fork")
        self.truth.update()
        self._number = self.truth.last_number(self.name)
        self._recover()

    def _be_the_child(self) -> None:
        status = 1
        try:
            faulthandler.dump_traceback_later(_CHILDHOOD_SECONDS, exit=True)
            for _ in range(int(self.rng.integers(1, _LONGEST_CHILDHOOD))):
                self._tried(super().step)
            if self.chance(0.5):
                self.store.close()
            status = 0
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the run looks for
            self.fail("exception", "".join(traceback.format_exception(error)))
        finally:
            os._exit(status)


def _columns(records: Sequence[Record]) -> RecordBatch:
    return RecordBatch(
        [record.id for record in records],
        np.array([record.vector for record in records]),
        [record.text for record in records],
        [record.metadata for record in records],
    )

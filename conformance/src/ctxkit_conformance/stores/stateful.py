"""Checks by random sequences: whatever is done, the store answers as a dict and brute force do."""

from __future__ import annotations

import functools
import itertools
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from ctxkit.errors import CtxkitError
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec, Harness, VectorStore
from ctxkit.records import Metric, Record, RecordBatch
from ctxkit_conformance import strategies
from ctxkit_conformance.chance import try_sequences
from ctxkit_conformance.effort import Effort
from ctxkit_conformance.marks import covers
from ctxkit_conformance.oracle import Oracle
from ctxkit_conformance.stores import clauses
from ctxkit_conformance.stores.base import DIMENSION, StoreChecks
from ctxkit_conformance.stores.machine import Bench, StoreMachine
from ctxkit_conformance.stores.remote import Remote
from ctxkit_conformance.stores.settling import settle

# Around the sizes at which buffers and pages are full.
_SIZES = (1, 2, 3, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513)


class RemoteStore:
    """A store in a process of its own, to be killed there."""

    def __init__(self, remote: Remote, spec: CollectionSpec, declared: Capabilities) -> None:
        self.capabilities, self.spec = declared, spec
        self._remote = remote
        self._running = True

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in _METHODS:
            raise AttributeError(name)
        return functools.partial(self._remote.call, name)

    def begin(self, name: str, *arguments: Any) -> None:
        """Call a method and do not wait for it."""
        self._remote.begin(name, *arguments)

    def close(self) -> None:
        """Close the store and end its process."""
        if self._running and self._remote.child.alive:
            self._remote.call("close")
        self.kill()

    def kill(self) -> None:
        """End the process at once."""
        if self._running:
            self._running = False
            self._remote.__exit__()


_METHODS = frozenset({"upsert", "get", "delete", "count", "query", "text_query", "scan", "flush", "optimize"})


class StatefulChecks(StoreChecks):
    """Random sequences of everything that a store can do, against a dict and brute force."""

    tier = "T10"

    @covers(clauses.SEQUENCES, clauses.READ_WRITES, clauses.HOUSEKEEPING)
    def test_random_sequences(
        self, harness: Harness, tmp_path: Path, declared: Capabilities, metric: Metric, effort: Effort
    ) -> None:
        """A failure means that some order of ordinary calls leaves the store with wrong data or wrong answers."""
        bench = self._bench(harness, tmp_path, declared, metric, lambda config: self.open(config, metric))
        try_sequences(effort, 28, 12, lambda: StoreMachine(bench))

    @covers(clauses.SEQUENCES, clauses.CRASH)
    def test_random_sequences_with_kills(
        self, harness: Harness, tmp_path: Path, declared: Capabilities, metric: Metric, effort: Effort
    ) -> None:
        """A failure means that a killed process loses acknowledged writes, or leaves half a batch or deleted records.

        Of a store that does not declare `crash_safe` only that nothing is made up.
        """
        spec = CollectionSpec(name="c", dimension=DIMENSION, metric=metric)

        def start(config: BackendConfig) -> VectorStore:
            remote = Remote.opened(self.store_class, spec, config, self.patience)
            store = cast("VectorStore", RemoteStore(remote, spec, declared))
            settle(store, self._journal.note)
            return store

        def kill(store: VectorStore) -> None:
            cast("RemoteStore", store).kill()
            with suppress(NotImplementedError):
                harness.kill()

        def interrupt(store: VectorStore, records: list[Record]) -> None:
            cast("RemoteStore", store).begin("upsert", records)
            kill(store)

        bench = self._bench(harness, tmp_path, declared, metric, start)
        if not (declared.persistent and declared.crash_safe):
            self._check_what_is_left(bench, kill)
            return
        try_sequences(effort, 6, 12, lambda: StoreMachine(replace(bench, kill=kill, interrupt=interrupt)))

    @covers(clauses.ATOMIC, clauses.UPSERT, tier="T1")
    def test_batches_of_every_size(self, store: VectorStore, rng: np.random.Generator) -> None:
        """A failure means that batches of certain sizes, often powers of two, lose records at their edges."""
        limit, total = store.capabilities.max_batch, 0
        for size in _SIZES:
            if limit is not None and size > limit:
                break
            ids = [f"{size}-{place}" for place in range(size)]
            vectors = rng.normal(size=(size, DIMENSION)).astype(np.float32)
            store.upsert(RecordBatch(ids, vectors, [f"text {name}" for name in ids]))
            total += size
            assert store.count() == total, f"count() after a batch of {size} records, {total} in all"
            edges = [record.text for record in store.get([ids[0], ids[-1]]) if record is not None]
            assert edges == [f"text {ids[0]}", f"text {ids[-1]}"], f"get() of the first and last of {size} records"
            for place in (0, -1):
                hit = store.query(vectors[place], 1)[0][0]
                assert hit.id == ids[place] or not store.capabilities.exact or store.spec.metric == "dot"
        yielded = [record.id for record in store.scan()]
        assert (len(yielded), len(set(yielded))) == (total, total), "scan() yields another number of records"

    def _bench(
        self,
        harness: Harness,
        folder: Path,
        declared: Capabilities,
        metric: Metric,
        start: Callable[[BackendConfig], VectorStore],
    ) -> Bench:
        places = (folder / f"sequence {number}" for number in itertools.count())
        current = [folder]

        def fresh() -> BackendConfig:
            current[0] = next(places)
            return harness.fresh(current[0])

        def discard(config: BackendConfig) -> None:
            if current[0].is_dir():
                shutil.rmtree(current[0])
            else:
                with suppress(CtxkitError):
                    self.store_class.drop_collection(config, "c")

        tolerances = {"relative": self.relative_tolerance, "absolute": self.absolute_tolerance}
        return Bench(declared, metric, lambda: Oracle(DIMENSION, metric, **tolerances), fresh, start, discard)

    def _check_what_is_left(self, bench: Bench, kill: Callable[[VectorStore], None]) -> None:
        """Check that after a kill nothing is there that was not written, or that a typed error says it is broken."""
        config, oracle = bench.fresh(), bench.oracle()
        written = [Record(name, f"text {name}", [1.0, 0.0, 0.0], {"x": name}) for name in strategies.IDS]
        store = bench.start(config)
        try:
            store.upsert(written)
            oracle.upsert(written)
            oracle.agrees(store)
        finally:
            kill(store)
        try:
            left = bench.start(config)
        except CtxkitError:
            return
        try:
            for record in left.scan(include_vectors=True):
                expected = oracle.get([record.id], include_vectors=True)[0]
                assert record == expected, f"after a kill there is {record}, and {expected} was written"
        finally:
            left.close()
            bench.discard(config)

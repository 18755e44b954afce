"""Checks of several processes on one collection, and of a handle that is taken through a fork."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

import numpy as np
import pytest

from ctxkit.errors import CtxkitError, StoreLockedError
from ctxkit.interfaces import BackendConfig, Capabilities, VectorStore
from ctxkit.records import Metric, Record
from ctxkit_conformance.children import Child
from ctxkit_conformance.effort import Effort
from ctxkit_conformance.marks import covers, not_applicable
from ctxkit_conformance.stores import clauses, crowds
from ctxkit_conformance.stores.answers import Answers, Records, ask, check, number_of, numbered
from ctxkit_conformance.stores.crowds import BEFORE, Forked
from ctxkit_conformance.stores.elsewhere import ElsewhereChecks, refusal_of, settled, within_bound
from ctxkit_conformance.stores.remote import Failure, Remote
from ctxkit_conformance.stores.workloads import attempt, batch_of, delete_each, overwrite, write_many

_PROCESSES: Final = 3
_BATCH: Final = 5
_SAME: Final = [f"same{i}" for i in range(8)]


class ProcessChecks(ElsewhereChecks):
    """Every check runs whatever is declared: those who may work work at once, the others have to be refused.

    single-writer: one process writes, the writes of others raise StoreLockedError and change nothing. single-process:
    opening raises StoreLockedError; a store that keeps nothing may give others a collection of their own.
    """

    tier = "T7"

    @covers(clauses.PROCESSES)
    def test_processes_write_at_once(
        self, config: BackendConfig, declared: Capabilities, metric: Metric, effort: Effort
    ) -> None:
        """A failure means that two workers of one service overwrite or lose each other's data."""
        batches = effort.times(12)
        if self._refuses_others(config, declared, metric, batches):
            return
        with ExitStack() as stack:
            reader = stack.enter_context(self.open(config, metric))
            writers = [stack.enter_context(self.elsewhere(config, metric)) for _ in range(_PROCESSES)]
            for who, writer in enumerate(writers):
                writer.begin(write_many, who, batches, _BATCH)
            last = 0
            for writer in writers:
                while not writer.answered:
                    last = _grown(reader, last)
                assert writer.result() == batches
            ids = _ids_of(range(_PROCESSES), batches)

            def compare(answers: Answers) -> None:
                found = answers.records
                assert "shared" in found, "the record that all processes write is not there"
                place = number_of(found["shared"]) % batches
                assert place == batches - 1, f"the shared record is that of round {place}, all wrote {batches} rounds"
                expected = _written(range(_PROCESSES), batches) | {"shared": found["shared"]}
                check(answers, expected, ids, metric)

            within_bound(lambda: compare(ask(reader, ids)), declared)
            for writer in writers:
                within_bound(lambda: compare(writer.call(ask, ids)), declared)  # noqa: B023 - called at once
        if declared.persistent:
            with self.open(config, metric) as store:
                compare(ask(store, ids))

    @covers(clauses.PROCESSES, clauses.READ_WRITES)
    def test_reads_see_other_processes(
        self,
        config: BackendConfig,
        declared: Capabilities,
        metric: Metric,
        effort: Effort,
        rng: np.random.Generator,
    ) -> None:
        """A failure means that a service goes on answering from what was true when it was started."""
        if declared.concurrency == "single-process":
            self._refuses_others(config, declared, metric, 4)
            return
        ids, state = [f"r{i}" for i in range(12)], dict[str, Record]()
        with self.open(config, metric) as reader, self.elsewhere(config, metric) as writer:
            for number in range(effort.times(20)):
                words = [f"number{number}", f"number{max(0, number - 1)}"]
                chosen = [ids[i] for i in rng.permutation(len(ids))[: int(rng.integers(1, 5))].tolist()]
                turned = declared.concurrency == "multi-writer" and number % 3 == 2
                if number % 4 == 3:
                    _call(reader, writer, "delete", chosen, turned=turned)
                    for name in chosen:
                        state.pop(name, None)
                else:
                    records = {name: numbered(name, number) for name in chosen}
                    _call(reader, writer, "upsert", list(records.values()), turned=turned)
                    state.update(records)

                def compare() -> None:
                    answers = writer.call(ask, ids, words) if turned else ask(reader, ids, words)  # noqa: B023
                    check(answers, state, ids, metric, words)  # noqa: B023

                within_bound(compare, declared)

    @covers(clauses.PROCESSES, clauses.UPSERT)
    def test_two_processes_write_the_same(
        self, config: BackendConfig, declared: Capabilities, metric: Metric, effort: Effort
    ) -> None:
        """A failure means that two processes that store the same document leave it twice, or half of each."""
        rounds = effort.times(15)
        if self._refuses_others(config, declared, metric, 4):
            return
        with self.open(config, metric) as reader, ExitStack() as stack:
            writers = [stack.enter_context(self.elsewhere(config, metric)) for _ in range(2)]
            for who, writer in enumerate(writers):
                writer.begin(overwrite, who, rounds, _SAME)
            for writer in writers:
                while not writer.answered:
                    for record in reader.get(_SAME, include_vectors=True):
                        assert record is None or number_of(record) < 2 * rounds
                    assert reader.count() <= len(_SAME), "a record that two processes write is there twice"
                writer.result()

            def compare() -> None:
                answers = ask(reader, _SAME)
                found = answers.records
                check(answers, found, _SAME, metric)
                numbers = {number_of(record) for record in found.values()}
                assert len(numbers) == 1, f"two processes wrote the same records, and left a mixture: {sorted(numbers)}"
                assert numbers <= {rounds - 1, 2 * rounds - 1}, f"an earlier write won over the last: {numbers}"

            within_bound(compare, declared)
            for who in (0, 1, 0):
                last = [numbered(name, (who + 1) * rounds - 1) for name in _SAME]
                writers[who].call("upsert", last)
                found = settled(lambda: reader.get(_SAME, include_vectors=True), last, declared)
                assert found == last, "a process writes what it wrote before, and what another wrote since stays"

    @covers(clauses.PROCESSES, clauses.DELETE)
    def test_deletes_of_other_processes(
        self, config: BackendConfig, declared: Capabilities, metric: Metric, effort: Effort
    ) -> None:
        """A failure means that what one process was made to forget is still found, or comes back, in another."""
        if self._refuses_others(config, declared, metric, 4):
            return
        names = [f"r{i}" for i in range(effort.times(40))]
        with self.open(config, metric) as store, ExitStack() as stack:
            others = [stack.enter_context(self.elsewhere(config, metric)) for _ in range(2)]
            for start in range(0, len(names), _BATCH):
                store.upsert([numbered(name, start) for name in names[start : start + _BATCH]])
            for other in others:
                within_bound(lambda: _same_count(other, len(names)), declared)  # noqa: B023 - called at once
            for other, order in zip(others, (names, names[::-1]), strict=True):
                other.begin(delete_each, order, 3)
            deleted = [int(other.result()) for other in others]
            assert sum(deleted) == len(names), (
                f"of {len(names)} records two processes were told to have deleted {deleted}"
            )
            within_bound(lambda: check(ask(store, names), {}, names, metric), declared)
            store.upsert([numbered(names[0], 1)])
            for other in others:
                within_bound(lambda: _same_count(other, 1), declared)  # noqa: B023 - called at once

    @covers(clauses.PROCESSES, clauses.SECOND_OPENER)
    def test_processes_open_at_once(
        self, config: BackendConfig, declared: Capabilities, metric: Metric, effort: Effort
    ) -> None:
        """A failure means that workers that start together ruin the collection that each of them finds missing."""
        for place in range(effort.times(3)):
            spec = self.spec_of(metric).model_copy(update={"name": f"new {place}"})
            with ExitStack() as stack:
                others = [stack.enter_context(self.process()) for _ in range(_PROCESSES)]
                for other in others:
                    other.begin("open", spec, config)
                refusals = [refusal_of(other.result, StoreLockedError) for other in others]
                opened = [other for other, refusal in zip(others, refusals, strict=True) if refusal is None]
                if declared.concurrency == "multi-writer":
                    assert opened == others, f"multi-writer is declared, but an opener was refused: {refusals}"
                elif declared.concurrency == "single-process" and declared.persistent:
                    assert len(opened) == 1, f"single-process is declared, and {len(opened)} could open at once"
                assert opened, f"nobody could open the collection: {refusals[0]}"
                writing = opened if declared.concurrency == "multi-writer" else opened[:1]
                for who, other in enumerate(writing):
                    other.call("upsert", [numbered(f"o{who}", who)])
                for other in opened:
                    if other in writing or declared.concurrency == "single-writer":
                        within_bound(lambda: _same_count(other, len(writing)), declared)  # noqa: B023 - called at once
                for other in opened:
                    other.call("close")

    @pytest.mark.parametrize("busy", [False, True], ids=["idle", "while another thread writes"])
    @covers(clauses.FORK)
    def test_fork(self, config: BackendConfig, declared: Capabilities, metric: Metric, busy: bool) -> None:  # noqa: FBT001
        """A failure means that a server which opens its store before it forks workers corrupts it, or hangs."""
        if not hasattr(os, "fork"):
            not_applicable("this platform has no fork")
        spec = self.spec_of(metric)
        with Child(crowds.fork, self.store_class, spec, config, busy, self.patience) as child:
            forked: Any = child.receive(self.patience)
            output = child.output
        assert isinstance(forked, Forked)
        assert forked.status == 0, f"the forked process died or hung; what it printed:\n{output}"
        expected: Records = {name: numbered(name, place) for place, name in enumerate(BEFORE)}
        _check_side("the forked process", forked.child, expected, may_refuse=True)
        _check_side("the process that forked", forked.parent, expected, may_refuse=False)
        expected.update({name: numbered(name, 7) for name in ("parent", "child")}, again=numbered("again", 4))
        if forked.child["upsert"] is not None:
            del expected["child"]
        if declared.concurrency == "multi-writer" and declared.consistency == "immediate":
            found = forked.parent["after the child"]
            assert found == [expected["parent"], expected.get("child")], "the two sides do not see each other's writes"
        if declared.persistent:
            expected.update({f"busy{i}": numbered(f"busy{i}", i) for i in range(forked.written)})
            with self.elsewhere(config, metric) as other:
                within_bound(lambda: check(other.call(ask, list(expected)), expected, list(expected), metric), declared)

    def _refuses_others(self, config: BackendConfig, declared: Capabilities, metric: Metric, batches: int) -> bool:
        """Whether several writers are not declared; then check that a second one is refused, and disturbs nobody."""
        if declared.concurrency == "multi-writer":
            return False
        ids = [*_ids_of([0, 1], batches), "intruder"]
        expected = _written([0], batches)
        with self.elsewhere(config, metric) as first, self.process() as second:
            first.call("upsert", batch_of(0, 0, batches, _BATCH))
            first.begin(write_many, 0, batches, _BATCH)
            refusal = refusal_of(lambda: second.call("open", self.spec_of(metric), config), StoreLockedError)
            if declared.concurrency == "single-writer":
                assert refusal is None, f"single-writer is declared, but a reader was refused: {refusal}"
                assert second.call(attempt, 6) == 6, "single-writer is declared, but a second process could write"
            elif refusal is None:
                assert not declared.persistent, "single-process is declared, but a second process was let in"
                second.call(write_many, 1, batches, _BATCH)
                check(second.call(ask, ids), _written([1], batches), ids, metric)
            assert first.result() == batches
            check(first.call(ask, ids), expected, ids, metric)
            if declared.concurrency == "single-writer":
                within_bound(lambda: check(second.call(ask, ids), expected, ids, metric), declared)
            first.call("close")
        if declared.persistent:
            with self.elsewhere(config, metric) as third:
                check(third.call(ask, ids), expected, ids, metric)
                third.call("upsert", [numbered("shared", 1)])
        return True


def _check_side(side: str, found: dict[str, Any], before: Records, *, may_refuse: bool) -> None:
    """Check what a handle did on one side of a fork."""
    for call, value in found.items():
        description = value.description if isinstance(value, Failure) else ""
        assert not description, f"{call} in {side}: {description}"
        refused = isinstance(value, CtxkitError)
        assert may_refuse or not refused, f"{call} in {side} raised {type(value).__name__}: {value}"
    if not isinstance(found["get"], CtxkitError):
        assert found["get"] == list(before.values()), f"{side} reads something else than was written"
    if found["upsert"] is None and not isinstance(found["get own"], CtxkitError):
        assert None not in found["get own"], f"{side} does not read what it has just written"


def _grown(reader: VectorStore, last: int) -> int:
    """Return how many records a reader sees, whole ones, and no fewer than before."""
    count = reader.count()
    assert count >= last, f"a reader saw {last} records and now sees {count}, though nobody deletes"
    for record in reader.scan(limit=20, include_vectors=True):
        number_of(record)
    return count


def _same_count(other: Remote, wanted: int) -> None:
    count = other.call("count")
    assert count == wanted, f"another process counts {count} records, there are {wanted}"


def _call(here: VectorStore, other: Remote, method: str, argument: object, *, turned: bool) -> None:
    """Call a method in the other process, or, turned round, here."""
    if turned:
        getattr(here, method)(argument)
    else:
        other.call(method, argument)


def _ids_of(processes: Sequence[int], batches: int) -> list[str]:
    return [*_written(processes, batches)]


def _written(processes: Sequence[int], batches: int) -> Records:
    """Return what processes write, the shared record as the last of them leaves it."""
    return {
        record.id: record
        for who in processes
        for place in range(batches)
        for record in batch_of(who, place, batches, _BATCH)
    }

"""Checks of several threads on one handle: no torn record, no lost write, no deadlock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ctxkit.interfaces import BackendConfig, Capabilities
from ctxkit.records import Metric
from ctxkit_conformance.children import Child
from ctxkit_conformance.effort import Effort
from ctxkit_conformance.marks import covers
from ctxkit_conformance.stores import clauses, crowds
from ctxkit_conformance.stores.answers import Records, check, number_of, numbered
from ctxkit_conformance.stores.crowds import SHARED, WRITERS, Meeting
from ctxkit_conformance.stores.elsewhere import ElsewhereChecks


class ThreadChecks(ElsewhereChecks):
    """The threads run in a process of their own, so that a crash or a deadlock ends there, and shows its stacks."""

    tier = "T7"

    @covers(clauses.THREADS)
    def test_threads_write_and_read(self, config: BackendConfig, metric: Metric, effort: Effort) -> None:
        """A failure means that a web server with several threads loses or mixes up what its users store."""
        rounds = effort.times(20)
        meeting = self._meet(crowds.write_and_read, config, metric, rounds)
        assert meeting.answers is not None
        assert all(meeting.counts.get(f"reader {who}") for who in range(crowds.READERS)), "a reader read nothing"
        found = meeting.answers.records
        expected = _written(rounds)
        for place, name in enumerate(SHARED):
            assert name in found, f"{name}, which every thread writes, is not there"
            who, last = divmod(number_of(found[name]), rounds)
            latest = max(i for i in range(rounds) if i % len(SHARED) == place)
            assert last == latest, f"{name} is what thread {who} wrote in round {last}, though it wrote it again later"
            expected[name] = found[name]
        check(meeting.answers, expected, crowds.ids_of_writers(rounds), metric)

    @covers(clauses.THREADS, clauses.DELETE)
    def test_threads_delete(self, config: BackendConfig, metric: Metric, effort: Effort) -> None:
        """A failure means that two threads are both told that they deleted the same record."""
        names = [f"r{i}" for i in range(effort.times(240))]
        meeting = self._meet(crowds.delete_together, config, metric, names)
        assert meeting.answers is not None
        deleted = sum(meeting.counts.values())
        assert deleted == len(names), f"threads were told of {deleted} deleted records, and there were {len(names)}"
        check(meeting.answers, {}, names, metric)

    @covers(clauses.THREADS, clauses.CLOSING)
    def test_close_under_readers(
        self, config: BackendConfig, declared: Capabilities, metric: Metric, effort: Effort
    ) -> None:
        """A failure means that shutting down while a request is still running crashes or hangs the application."""
        written = 0
        for _ in range(effort.times(4)):
            meeting = self._meet(crowds.close_under_readers, config, metric)
            written = max(written, meeting.counts[f"thread {crowds.READERS + 1}"])
            assert len(meeting.counts) == crowds.READERS + 2, "not every thread was at work when the store was closed"
        if declared.persistent:
            names = [*crowds.BEFORE, *(f"w{i}" for i in range(written))]
            with self.open(config, metric) as store:
                found = [record and record.id for record in store.get(names)]
            assert found == names, "a write that was acknowledged while the store was being closed is not there"

    def _meet(
        self, function: Callable[..., object], config: BackendConfig, metric: Metric, *arguments: object
    ) -> Meeting:
        """Run threads in another process; fails the check with what any of them raised."""
        with Child(function, self.store_class, self.spec_of(metric), config, *arguments) as child:
            meeting: Any = child.receive(self.patience)
        assert isinstance(meeting, Meeting)
        for found in meeting.failures:
            raise AssertionError(f"in one of several threads: {found.description}")
        return meeting


def _written(rounds: int) -> Records:
    """Return the records that only one thread writes, as its last write of each left them."""
    expected: Records = {}
    for who in range(WRITERS):
        for place in range(rounds):
            number = crowds.number_of_write(who, place, rounds)
            expected[f"t{who}-{place}"] = numbered(f"t{who}-{place}", number)
            expected[f"own{who}"] = numbered(f"own{who}", number)
    return expected

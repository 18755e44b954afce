"""One collection that is written by processes which are killed, and the state that has to be left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from ctxkit.errors import CtxkitError
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec, Harness, VectorStore
from ctxkit.records import Record
from ctxkit_conformance.children import Child
from ctxkit_conformance.stores.answers import Answers, Records, ask, check, number_of, numbered
from ctxkit_conformance.stores.elsewhere import refusal_of, within_bound
from ctxkit_conformance.stores.remote import Failure, Remote
from ctxkit_conformance.stores.workloads import Kind, Plan, Step, probe, work

_LARGE: Final = 300
_SMALL: Final = 12
_WORDS: Final = 3
_UNPROMISED: Final = 4


class Victim:
    """A process that does the steps of a plan, and what it has said so far; a context manager."""

    def __init__(self, child: Child, plan: Plan, patience: float) -> None:
        self.child = child
        self.steps = list(plan)
        self.begun = -1
        self.done = -1
        self.ended = False
        self.seconds: dict[Kind, float] = {}
        self._patience = patience
        self._begun_at = 0.0

    def read(self) -> str:
        """Wait for the next message and return its first word; fails the check when the store raised."""
        return self._take(self.child.receive(self._patience))

    def watch(self, occurrence: int, kind: Kind | None = None) -> None:
        """Return as soon as the `occurrence`-th step (of a kind) has begun, or all steps are done."""
        while not self.ended:
            if self.read() == "begin" and kind in {None, self.steps[self.begun].kind}:
                occurrence -= 1
                if not occurrence:
                    return

    def drain(self) -> None:
        """Read what a process that was killed had still said."""
        try:
            while self.child.connection.poll():
                self._take(self.child.connection.recv())
        except (EOFError, OSError):
            return

    def __str__(self) -> str:
        where = f"killed during: {self.flying.kind}" if self.flying else "killed between two"
        return f"another process opened the store, {len(self.acknowledged)} steps were acknowledged, it was {where}"

    @property
    def acknowledged(self) -> list[Step]:
        """The steps that the store has acknowledged."""
        return self.steps[: self.done + 1]

    @property
    def flying(self) -> Step | None:
        """The step that had begun and was not acknowledged."""
        return self.steps[self.begun] if self.begun > self.done else None

    def _take(self, message: tuple[str, object]) -> str:
        word, value = message
        description = value.description if isinstance(value, Failure) else ""
        assert not description, f"a {self.steps[self.begun].kind} failed: {description}"
        if word == "begin":
            self.begun, self._begun_at = int(str(value)), time.perf_counter()
        elif word == "done":
            self.done = int(str(value))
            self.seconds[self.steps[self.done].kind] = time.perf_counter() - self._begun_at
        self.ended = self.ended or word == "end"
        return word


class Trial:
    """A collection under kills: what was acknowledged in it, and every record that was ever attempted."""

    def __init__(
        self,
        store_class: type[VectorStore],
        spec: CollectionSpec,
        harness: Harness,
        folder: Path,
        declared: Capabilities,
        patience: float,
        note: Callable[[str], None],
    ) -> None:
        self.acknowledged = 0
        self._note = note
        self._store_class = store_class
        self._spec = spec
        self._harness = harness
        self._folder = folder
        self._declared = declared
        self._patience = patience
        self._collections = 0
        self.renew()

    def renew(self) -> None:
        """Go on with a collection in a place of its own."""
        self._collections += 1
        self._config: BackendConfig = self._harness.fresh(self._folder / f"collection {self._collections}")
        self._state: Records = {}
        self._attempted: dict[str, set[int]] = {}

    def rounds(self, few: int) -> int:
        """Return how many processes to kill: fewer where nothing is promised."""
        return few if self._declared.crash_safe else max(2, few // _UNPROMISED)

    def plan(self, seed: int, number: int, kinds: Sequence[Kind]) -> Plan:
        """Return steps of these kinds, again and again, with batches that the store declares to take."""
        limit = self._declared.max_batch or _LARGE
        return Plan(seed, number, tuple(kinds), large=min(_LARGE, limit), small=min(_SMALL, limit))

    def victim(self, plan: Plan, *, paused: bool = False) -> Victim:
        """Start a process that does the steps; paused, each of them waits for a message."""
        child = Child(work, self._store_class, self._spec, self._config, plan, paused)
        return Victim(child, plan, self._patience)

    def kill(self, victim: Victim) -> None:
        """Kill the process that uses the data, what holds the data if that is another, and hear what was still said.

        The user goes first, or else it would go on with what is started anew; what it had asked for last is over when
        the holder is dead, and comes to pass in no later moment.
        """
        victim.child.kill()
        with suppress(NotImplementedError):
            self._harness.kill()
        victim.drain()
        self._note(f"# {victim}")

    def examine(self, plan: Plan, victim: Victim) -> None:
        """Open what is left in another process and compare it with what was acknowledged and attempted."""
        for step in victim.steps[: victim.begun + 1]:
            for record in step.records:
                self._attempted.setdefault(record.id, set()).add(number_of(record))
        self.acknowledged += len(victim.acknowledged)
        words = _words(victim.acknowledged)
        with Remote(self._store_class, self._patience) as other:
            refusal = refusal_of(lambda: other.call("open", self._spec, self._config), CtxkitError)
            if refusal is not None:
                assert self._declared.persistent, f"what is left of a killed process stops the next: {refusal}"
                assert not self._declared.crash_safe, f"after a kill the collection does not open: {refusal}"
                self.renew()
                return

            def compare() -> Records:
                answers = other.call(ask, plan.ids, words)
                expected = self._expected(answers, victim)
                check(answers, expected, plan.ids, self._spec.metric, words)
                return expected

            self._state = within_bound(compare, self._declared)
            written = numbered("probe", 3)
            assert other.call(probe) == ([written], 1, [None]), "after a kill the store is not written as before"
            other.call("close")

    def _expected(self, answers: Answers, victim: Victim) -> Records:
        found = answers.records
        if self._declared.crash_safe:
            return _left(self._state, victim, found)
        for record in found.values():
            known = self._attempted.get(record.id, set())
            assert number_of(record) in known, f"{record!r} is there, but nobody wrote it"
        return found


def _left(state: Records, victim: Victim, found: Mapping[str, Record]) -> Records:
    """Return what has to be there: all that was acknowledged, and of the step under way a batch whole or not at all."""
    for step in victim.acknowledged:
        state = step.applied(state)
    flying = victim.flying
    if flying is None:
        return state
    if flying.records:
        there = sum(found.get(record.id) == record for record in flying.records)
        size = len(flying.records)
        assert there in {0, size}, (
            f"a batch was torn: killed in the middle of it, {there} of its {size} records are there"
        )
        return flying.applied(state) if there else state
    # A deletion that was not acknowledged may have come to any of its records.
    return {name: record for name, record in state.items() if name in found or not flying.deletes(record)}


def _words(steps: Sequence[Step]) -> list[str]:
    """Return words of some texts that were written, of replaced ones too."""
    written = [record for step in steps for record in step.records]
    return [f"number{number_of(record)}" for record in written[:: max(1, len(written) // _WORDS)]][:_WORDS]

"""Passes over a collection until nothing differs any more, beside writers if need be, and then the switch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ctxkit.errors import ConfigError, StoreCorruptError, StoreError, StoreLockedError
from ctxkit.interfaces import VectorStore
from ctxkit.interfaces.purging import Purgeable
from ctxkit.moving.journal import Journal
from ctxkit.moving.origins import Origin, StoreOrigin
from ctxkit.moving.passes import NAMED, Copying, Passed, Progress, Rule, Sample, batches, compared, one_pass
from ctxkit.moving.report import MoveReport
from ctxkit.moving.verifying import Scope, Verified, verify
from ctxkit.records import Record

_PROBED: Final = 32  # vectors that the recall probe asks for
_QUIET: Final = 200  # changes in one pass that are few enough to stop the writers for
_ROUNDS: Final = 20
_TRIES: Final = 5


def silent(_phase: str, _done: int, _total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Order:
    """What is asked of a move.

    `into`: the target may hold other records, which stay; `ours`: whatever it holds is an earlier state of this move.
    `sample`: compare so many records instead of all. `journal`: the file by which an interrupted move goes on (default:
    beside the target). `progress` is called as it goes.
    """

    collection: str
    into: bool = False
    ours: bool = False
    sample: int | None = None
    journal: Path | None = None
    progress: Progress = silent


def no_switch() -> Path | None:
    """Name the target nowhere: whoever uses the store does so."""
    return None


@dataclass(frozen=True)
class Handover:
    """How a move ends while the source is in use: `stopped` keeps the writers from it, `switch` names the target.

    `switch` may be called again after a kill; it returns the file that it has written.
    """

    stopped: Callable[[], AbstractContextManager[object]] = nullcontext
    switch: Callable[[], Path | None] = no_switch


@dataclass
class Settling:
    """The work of one move, once everything is open and allowed."""

    origin: Origin
    target: VectorStore
    rule: Rule
    order: Order
    report: MoveReport
    _outdated: bool = field(init=False)

    def __post_init__(self) -> None:
        self._outdated = self.report.runs > 1  # an earlier run may have been killed between deleting and purging

    def check_free(self) -> None:
        """Refuse, before anything is written, a target that holds records of its own, unless they may be joined.

        One that holds just what it is to hold is the work of a command that was cut short after its last step.
        """
        if self.order.into:
            self._check_conflicts()
        elif (held := self.target.count()) and not (held == self.origin.count() and self._is_copy()):
            raise ConfigError(
                f"{self.report.target} holds {held} records in {self.order.collection!r} already.",
                fix="name an empty target, or add to these records with --into.",
            )

    def _is_copy(self) -> bool:
        return all(same for _, _, same in self._pairs())

    def _pairs(self) -> Iterator[tuple[Record, Record | None, bool]]:
        for batch in batches(self.origin.records(), self.target.capabilities.max_batch):
            yield from compared(batch, self.target, self.rule)

    def _check_conflicts(self) -> None:
        """Refuse to replace a record that the target holds under the same id."""
        count = 0
        named = []
        for record, copy, same in self._pairs():
            if copy is not None and not same:
                count += 1
                named += [repr(record.id)] if count <= NAMED else []
        if count:
            raise ConfigError(
                f"the target holds other records under {count} of the ids ({', '.join(named)}).",
                fix="delete them there, or name another target; nothing was written.",
            )

    def settle(self) -> None:
        """Copy and compare once; raises StoreLockedError when the source was written to, else StoreCorruptError."""
        version = self.origin.version()
        sound = self._pass_and_verify()
        still = self.origin.version() == version
        if not (sound and still):
            raise self._unsound(still=still)
        self.report.version = version

    def hand_over(self, handover: Handover, journal: Journal) -> None:
        """Follow the writers until little is left, stop them, copy the rest, and switch."""
        for _ in range(_ROUNDS):
            if self._pass(Sample(0)).changes <= _QUIET:
                break
        with handover.stopped():
            version = self._settled()
            self.report.version = version
            journal.write("switching")
            switched = handover.switch()
        self.report.switched = None if switched is None else str(switched)
        if version is not None and self.origin.version() != version:
            self.report.notes.append(
                "The source was written to after the last pass; what was written then is not in the target."
            )

    def _settled(self) -> int | None:
        """Repeat until the target is the source; return the version of it."""
        for _ in range(_TRIES):
            version = self.origin.version()
            if self._pass_and_verify() and self.origin.version() == version:
                return version
        raise self._unsound(still=False)

    def _pass_and_verify(self) -> bool:
        order = self.order
        sample = Sample(order.sample or _PROBED)
        self._pass(sample)
        self._purge()
        self.target.flush()
        copied = isinstance(self.rule, Copying) and isinstance(self.origin, StoreOrigin)
        before = self.origin.store if copied and isinstance(self.origin, StoreOrigin) else None
        scope = Scope(sample.ids, order.sample is not None, order.into, before)
        self.report.verified = verify(self.origin, self.target, self.rule, scope, order.progress)
        return self.report.verified.sound

    def _pass(self, sample: Sample) -> Passed:
        order = self.order
        done = one_pass(self.origin, self.target, self.rule, sample, order.progress, prune=not order.into)
        self.report.read = done.read
        self.report.written += done.written
        self.report.deleted += done.deleted
        self._outdated = self._outdated or bool(done.replaced or done.deleted)
        return done

    def _purge(self) -> None:
        """Leave no byte in the target's files of what the source has lost: it may have been erased there."""
        if self._outdated and isinstance(self.target, Purgeable):
            self.target.purge()
        self._outdated = False

    def _unsound(self, *, still: bool) -> StoreError:
        found: Verified = self.report.verified
        named = f" ({', '.join(repr(each) for each in found.named)})" if found.named else ""
        what = f"{found.wrong} records are missing or differ{named}, {found.extra} are too many"
        if not still:
            return StoreLockedError(
                f"the source was written to during the move: {what}.",
                fix="stop the writers and run the same command again, or let --follow end with --stop COMMAND.",
            )
        return StoreCorruptError(
            f"the target is not a copy of its source: {what}.",
            fix="run the same command again; where it says the same, one of the two stores changes what it keeps.",
        )

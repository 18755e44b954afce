"""Checks of a full disk: the write is refused, what was there is there, and with room writing goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from ctxkit.errors import CtxkitError, StoreFullError
from ctxkit.interfaces import Capabilities, Harness
from ctxkit.records import Metric, Record
from ctxkit_conformance.marks import covers, not_applicable
from ctxkit_conformance.stores import clauses, scarcity
from ctxkit_conformance.stores.answers import Records, ask, check, numbered
from ctxkit_conformance.stores.elsewhere import ElsewhereChecks
from ctxkit_conformance.stores.remote import Remote

_DISK: Final = 12 * 2**20  # bytes of the small file system
_ROOM: Final = 400_000  # bytes that are left when the disk is as good as full
_BATCH: Final = 25  # records
_TEXT: Final = 1500  # bytes of chance in each of them, which no compression makes smaller
_WORD: Final = 10
_ATTEMPTS: Final = 40  # batches that are far more than the room takes
_FEW: Final = 5  # for a store that keeps nothing and has no disk to fill


class FullDiskChecks(ElsewhereChecks):
    """No room: by the harness, on a small file system, or by a limit on the size of files.

    A store that keeps nothing goes through the same, and simply has to go on working. One that is not crash_safe may
    notice in flush what it has not noticed in the write.
    """

    tier = "T6"

    @covers(clauses.FULL_DISK, clauses.ATOMIC)
    def test_full_disk(
        self, harness: Harness, tmp_path: Path, declared: Capabilities, metric: Metric, rng: np.random.Generator
    ) -> None:
        """A failure means that a full disk costs data that was there, or that a write that failed reports success."""
        if _fills(harness):
            self._fill_by_harness(harness, tmp_path, declared, metric, rng)
            return
        folder = tmp_path / "small"
        folder.mkdir()
        with self.process() as other:
            obstacle = other.call(scarcity.mount_small, folder, _DISK)
            if not obstacle:
                refused = self._fill(other, harness, _used_up(other, folder), folder, declared, metric, rng)
                assert refused or not declared.persistent, "more was acknowledged than the disk has room for"
                return
        reason = self._limit_files(harness, tmp_path / "limited", declared, metric, rng)
        if reason:
            not_applicable(f"{obstacle}; {reason}; and the harness offers no full_disk()")

    @covers(clauses.FULL_DISK, clauses.ATOMIC)
    def test_file_size_limit(
        self, harness: Harness, tmp_path: Path, declared: Capabilities, metric: Metric, rng: np.random.Generator
    ) -> None:
        """A failure means that a quota or a limit on files (ulimit -f) costs data, or kills the application."""
        reason = self._limit_files(harness, tmp_path / "limited", declared, metric, rng)
        if reason:
            not_applicable(reason)

    def _limit_files(
        self, harness: Harness, folder: Path, declared: Capabilities, metric: Metric, rng: np.random.Generator
    ) -> str:
        """Go through it with a limit on the size of files; return why that says nothing, if so."""
        folder.mkdir()
        with self.process() as other:
            scarce = _limited(other, folder)
            if self._fill(other, harness, scarce, folder, declared, metric, rng) or not declared.persistent:
                return ""
        return "its data lies in files that do not reach the limit"

    def _fill(
        self,
        other: Remote,
        harness: Harness,
        scarce: AbstractContextManager[None],
        folder: Path,
        declared: Capabilities,
        metric: Metric,
        rng: np.random.Generator,
    ) -> bool:
        """Go through it in another process; return whether a write was refused, or the data lie elsewhere."""
        spec, config = self.spec_of(metric), harness.fresh(folder / "data")
        other.call("open", spec, config)
        trial = _Trial(other.call, metric, declared, rng)
        trial.write()
        elsewhere = declared.persistent and not other.call(scarcity.size_of, folder)
        if elsewhere and not _fills(harness):
            not_applicable("it keeps nothing in its folder, and the harness offers no full_disk()")
        trial.suffer(scarce)
        other.call("close")
        if declared.persistent:
            other.call("open", spec, config)
            trial.check("opened again after the disk had been full")
            other.call("close")
        # Whose data lie elsewhere has shown that a limit on this process does not matter.
        return trial.refused or elsewhere

    def _fill_by_harness(
        self, harness: Harness, tmp_path: Path, declared: Capabilities, metric: Metric, rng: np.random.Generator
    ) -> None:
        config = harness.fresh(tmp_path / "full")
        with self.open(config, metric) as store:
            trial = _Trial(_caller(store), metric, declared, rng)
            trial.write()
            trial.suffer(harness.full_disk(config))
            assert trial.refused, "the harness left no room, but every write was acknowledged"
        if declared.persistent:
            with self.open(config, metric) as store:
                trial.call = _caller(store)
                trial.check("opened again after the disk had been full")


def _fills(harness: Harness) -> bool:
    return type(harness).full_disk is not Harness.full_disk


class _Trial:
    """A collection on a disk that is going to be full: how to call the store, and what it has acknowledged."""

    def __init__(
        self, call: Callable[..., Any], metric: Metric, declared: Capabilities, rng: np.random.Generator
    ) -> None:
        self.call = call
        self.refused = False
        self._metric = metric
        self._declared = declared
        self._rng = rng
        self._state: Records = {}
        self._tried: list[str] = []

    def suffer(self, scarce: AbstractContextManager[None]) -> None:
        """Write until there is no room, look, and write again where there is."""
        attempts = _ATTEMPTS if self._declared.persistent else _FEW
        with scarce:
            for _ in range(attempts):
                if not self.write():
                    break
            if self.refused:
                self.check("while the disk was full")
                self.write()
                self.check("after a second attempt on a full disk")
        assert self.write(), "there is room again, but a write is still refused"
        self.check("with room again")

    def write(self) -> bool:
        """Write one more batch and return whether it was acknowledged; a refusal has to be a StoreFullError."""
        start = len(self._tried)
        records = [_long(f"b{start + i}", start + i, self._rng) for i in range(_BATCH)]
        self._tried += [record.id for record in records]
        error = self._error(records)
        if error is None:
            self._state.update({record.id: record for record in records})
            return True
        shown = f"{type(error).__name__}: {error}"
        assert isinstance(error, StoreFullError), f"a full disk raises StoreFullError, not {shown}"
        assert error.fix, "a StoreFullError has to say what to do"
        self.refused = True
        return False

    def check(self, when: str) -> None:
        """Check that exactly what was acknowledged is there."""
        try:
            check(self.call(ask, self._tried), self._state, self._tried, self._metric)
        except AssertionError as error:
            raise AssertionError(f"{when}: {error}") from error

    def _error(self, records: list[Record]) -> CtxkitError | None:
        try:
            self.call("upsert", records)
        except CtxkitError as error:
            return error
        if not self._declared.crash_safe:
            try:
                self.call("flush")
            except CtxkitError as error:
                if None not in self.call("get", [record.id for record in records]):
                    # It was taken, and stays for as long as the handle: what a later flush has to keep.
                    self._state.update({record.id: record for record in records})
                return error
        return None


@contextmanager
def _used_up(other: Remote, folder: Path) -> Iterator[None]:
    other.call(scarcity.use_up, folder, _ROOM)
    yield
    other.call(scarcity.free, folder)


@contextmanager
def _limited(other: Remote, folder: Path) -> Iterator[None]:
    obstacle = other.call(scarcity.limit_files, folder, _ROOM)
    if obstacle:
        not_applicable(obstacle)
    yield
    other.call(scarcity.lift_limit, folder)


def _caller(store: Any) -> Callable[..., Any]:
    """Return what calls an open handle as `Remote.call` does one elsewhere."""

    def call(what: str | Callable[..., object], *arguments: object) -> object:
        return getattr(store, what)(*arguments) if isinstance(what, str) else what(store, *arguments)

    return call


def _long(record_id: str, number: int, rng: np.random.Generator) -> Record:
    chance = rng.bytes(_TEXT).hex()
    words = " ".join(chance[start : start + _WORD] for start in range(0, len(chance), _WORD))
    short = numbered(record_id, number)
    return Record(record_id, f"{short.text} {words}", short.vector, short.metadata)

"""Checks of damaged files: a typed error or full recovery, never wrong answers, never a crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import pytest

from ctxkit.errors import (
    CollectionNotFoundError,
    FormatVersionError,
    StoreCorruptError,
    StoreUnavailableError,
)
from ctxkit.interfaces import BackendConfig, Capabilities, Harness
from ctxkit.records import Metric
from ctxkit_conformance.effort import Effort
from ctxkit_conformance.marks import covers, not_applicable
from ctxkit_conformance.stores import clauses
from ctxkit_conformance.stores.answers import Records, faults, numbered, summary
from ctxkit_conformance.stores.base import fill
from ctxkit_conformance.stores.elsewhere import ElsewhereChecks
from ctxkit_conformance.stores.remote import Remote
from ctxkit_conformance.stores.workloads import Autopsy, dissect

Damage: TypeAlias = tuple[str, bytes | None]  # what was done to a file, and what it holds then; None: it is gone

_FITTING: Final = (StoreCorruptError, FormatVersionError, CollectionNotFoundError, StoreUnavailableError)
_IDS: Final = [f"r{i}" for i in range(150)]
_WORDS: Final = ("number3", "number80", "number1100")
_HEADER: Final = 20  # a byte near the beginning, where formats keep sizes and versions
_BLOCK: Final = 512
_FILES: Final = 12  # that are damaged in a quick run, of a store that has more


class Patient:
    """A closed collection whose files are damaged one at a time, and put back."""

    def __init__(
        self, checks: ElsewhereChecks, harness: Harness, config: BackendConfig, declared: Capabilities, metric: Metric
    ) -> None:
        self._checks = checks
        self._harness = harness
        self._config = config
        self._metric = metric
        self._process: Remote | None = None
        self._promised = declared.detects_corruption
        self._earlier: Records = {name: numbered(name, i) for i, name in enumerate(_IDS[:90])}
        later = {name: numbered(name, 1000 + i) for i, name in enumerate(_IDS) if i >= 70}
        with checks.open(config, metric) as store:
            fill(store, list(self._earlier.values()))
        self._older = self.read()
        with checks.open(config, metric) as store:
            fill(store, list(later.values()))
            store.delete(_IDS[:10])
        self._records: Records = {**self._earlier, **later}
        for name in _IDS[:10]:
            del self._records[name]
        self._files = self.read()
        assert self._files, "a persistent store has to have files, but the harness's files() names none"

    def close(self) -> None:
        """End the process that looks at the damage; the next case has another."""
        if self._process is not None:
            self._process.__exit__()
            self._process = None

    def read(self) -> dict[Path, bytes]:
        """Return the files and what they hold."""
        return {path: path.read_bytes() for path in self._harness.files(self._config)}

    def aged(self, path: Path, content: bytes) -> Iterator[Damage]:
        """Replace a file by what it held in the middle of the history, if that was something else."""
        older = self._older.get(path, content)
        if older != content:
            yield "replaced by an older copy of itself", older

    def suffer(self, damages: Callable[[Path, bytes], Iterator[Damage]], few: int) -> None:
        """Damage each file (the `few` largest of many) in each way and look at what the store makes of it."""
        cases = 0
        for path in sorted(self._files, key=lambda path: (-len(self._files[path]), path))[:few]:
            for what, content in damages(path, self._files[path]):
                cases += 1
                self._restore()
                if content is None:
                    path.unlink()
                else:
                    path.write_bytes(content)
                case = f"{path.name} of {len(self._files[path])} bytes was {what}"
                self._judge(case, older=content == self._older.get(path))
        assert cases, "there was no file that could be damaged in this way"
        self._restore()
        self.close()
        self._judge("every file is as it was again", damaged=False)

    def _restore(self) -> None:
        """Put back what was there after the last clean close."""
        for path in set(self._harness.files(self._config)) - self._files.keys():
            path.unlink()
        for path, content in self._files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def _judge(self, case: str, *, damaged: bool = True, older: bool = False) -> None:
        """Have a process open the collection; fail the check when it crashes, invents or hides something."""
        try:
            found = self._dissected()
        except AssertionError as error:
            raise AssertionError(f"{case}, then {error}") from error
        if damaged and not self._promised:
            return  # that the process lives, and raised nothing but typed errors, is all there is to ask
        for way, refusal in found.refusals.items():
            shown = f"{type(refusal).__name__}: {refusal}"
            assert damaged, f"{case}, yet {way} raised {shown}"
            assert isinstance(refusal, _FITTING), f"{case}, and {way} blames something else: {shown}"
        wrong = self._wrong(found, self._records)
        if wrong and older and not found.refusals:
            # To a store of one file it is a copy that was restored: all of it is older, and of one piece.
            mixed = self._wrong(found, self._earlier)
            assert not mixed, f"{case}, and the store mixes old and new: {summary(mixed)}"
            return
        assert not wrong, f"{case}, and the store answers wrongly: {summary(wrong)}"

    def _dissected(self) -> Autopsy:
        self._process = self._process or self._checks.process()
        spec, store_class = self._checks.spec_of(self._metric), self._checks.store_class
        found: Autopsy = self._process.call(dissect, store_class, spec, self._config, _IDS, _WORDS)
        if found.refusals:
            # A handle that did not open or close may still hold something, and would spoil the next case.
            self.close()
        return found

    def _wrong(self, found: Autopsy, records: Records) -> list[str]:
        if found.answers is None:
            return []
        # Figures about a store that refuses to count say what is sound in it.
        left_out = ["rows of stats"] if "count" in found.refusals else []
        return faults(found.answers.without(left_out), records, _IDS, self._metric, _WORDS)


class DamageChecks(ElsewhereChecks):
    """What happens to files that no program of ours wrote to: broken disks, half copies, cleaned-up folders.

    With the capability detects_corruption every case ends in a typed error that fits or in full recovery; each way of
    reading counts by itself, so the sound part may go on. Without it, nothing is promised but typed errors and a
    process that lives.
    """

    tier = "T6"

    @pytest.fixture
    def patient(
        self, harness: Harness, config: BackendConfig, declared: Capabilities, metric: Metric
    ) -> Iterator[Patient | None]:
        """A collection with a history, closed cleanly; None where nothing is kept that could be damaged."""
        made = self._patient(harness, config, declared, metric)
        yield made
        if made is not None:
            made.close()

    def _patient(
        self, harness: Harness, config: BackendConfig, declared: Capabilities, metric: Metric
    ) -> Patient | None:
        if not declared.persistent:
            assert not declared.detects_corruption, "detects_corruption is declared, but nothing is kept"
            return None
        try:
            return Patient(self, harness, config, declared, metric)
        except NotImplementedError as error:
            if declared.detects_corruption:
                not_applicable(f"the files cannot be damaged: {error}")
            return None

    @covers(clauses.DAMAGE)
    def test_truncated_files(self, patient: Patient | None, effort: Effort) -> None:
        """A failure means that a copy that was cut short is taken for the whole, or crashes the application."""

        def cut(_path: Path, content: bytes) -> Iterator[Damage]:
            for size in sorted({0, len(content) // 2, max(0, len(content) - 1)} - {len(content)}):
                yield f"cut to {size}", content[:size]

        if patient is not None:
            patient.suffer(cut, effort.times(_FILES))

    @covers(clauses.DAMAGE)
    def test_flipped_bits(self, patient: Patient | None, effort: Effort, rng: np.random.Generator) -> None:
        """A failure means that one wrong bit on a disk changes what is remembered, and nobody is told."""

        def flip(_path: Path, content: bytes) -> Iterator[Damage]:
            if not content:
                return
            size = len(content)
            places = {
                0,
                min(_HEADER, size - 1),
                size // 2,
                size - 1,
                *rng.integers(size, size=effort.times(8)).tolist(),
            }
            for place in sorted(places):
                bit = 1 << int(rng.integers(8))
                changed = bytes([content[place] ^ bit])
                yield f"changed in byte {place} (xor {bit})", content[:place] + changed + content[place + 1 :]

        if patient is not None:
            patient.suffer(flip, effort.times(_FILES))

    @covers(clauses.DAMAGE)
    def test_lost_blocks(self, patient: Patient | None, effort: Effort, rng: np.random.Generator) -> None:
        """A failure means that a block that a power cut left empty is read as data."""

        def blank(_path: Path, content: bytes) -> Iterator[Damage]:
            starts = rng.permutation(np.arange(0, len(content), _BLOCK))[: effort.times(4)]
            for start in sorted(starts.tolist()):
                changed = content[:start] + bytes(len(content[start : start + _BLOCK])) + content[start + _BLOCK :]
                if changed != content:
                    yield f"zeroed from byte {start} to {min(len(content), start + _BLOCK)}", changed

        if patient is not None:
            patient.suffer(blank, effort.times(_FILES))

    @covers(clauses.DAMAGE)
    def test_deleted_files(self, patient: Patient | None, effort: Effort) -> None:
        """A failure means that a file that is gone leaves a store that is silently empty, or half of one."""
        if patient is not None:
            patient.suffer(lambda _path, _content: iter([("deleted", None)]), effort.times(_FILES))

    @covers(clauses.DAMAGE)
    def test_stale_files(self, patient: Patient | None, effort: Effort) -> None:
        """A failure means that a partly restored copy mixes old data with new."""
        if patient is not None:
            patient.suffer(patient.aged, effort.times(_FILES))

"""The suite examines itself: broken components that have to be caught, and odd ones that have to pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from ctxkit.errors import ConfigError, CtxkitError
from ctxkit_conformance.mutants import catalogue
from ctxkit_conformance.mutants.catalogue import Specimen
from ctxkit_conformance.mutants.trial import Trial

SCHEMA: Final = "ctxkit-conformance-selftest/1"
CASE_TIMEOUT: Final = 120.0  # seconds after which a case counts as hung
_CAME_TO_ITS_END: Final = {0, 1, 5}  # pytest's codes: all passed, some failed, no check of the names that were given
_SHARES: Final = 3  # processes that each worker starts one after the other, so that none is idle for long
_MOST_WORKERS: Final = 5
_START: Final = "from ctxkit_conformance.mutants.trial import main; main()"
_SETTINGS: Final = "[pytest]\naddopts =\nfilterwarnings = ignore\n"

Verdict: TypeAlias = Literal["killed", "survived", "broken", "crashed", "hung"]
Progress: TypeAlias = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Fate:
    """What became of a mutant.

    `check` is the one that has to catch it; `verdict` is "broken" when it failed by an error that is no part of its
    defect. `message` is what the check said; `also` are the other checks that failed, where all were run.
    """

    name: str
    kind: str
    defect: str
    check: str
    verdict: Verdict
    seconds: float
    message: str = ""
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bystander:
    """What became of a component that is right: `failures` are the checks that raised a false alarm, and how."""

    name: str
    kind: str
    variant: str
    checks: int
    seconds: float
    failures: dict[str, str]


@dataclass(frozen=True)
class SelftestResult:
    """The kill table: the fates of the mutants, and what became of what is right."""

    fates: tuple[Fate, ...]
    bystanders: tuple[Bystander, ...]
    seconds: float
    everything: bool = False

    @property
    def survivors(self) -> tuple[Fate, ...]:
        """The mutants that were not killed."""
        return tuple(fate for fate in self.fates if fate.verdict != "killed")

    @property
    def false_alarms(self) -> tuple[Bystander, ...]:
        """What is right and failed all the same, or was never tried."""
        return tuple(each for each in self.bystanders if each.failures or not each.checks)

    @property
    def ok(self) -> bool:
        """Whether every mutant was killed, and nothing that is right failed."""
        return bool(self.fates) and not self.survivors and not self.false_alarms

    def as_dict(self) -> dict[str, Any]:
        """Return the result as values of JSON."""
        return {
            "schema": SCHEMA,
            "ok": self.ok,
            "everything": self.everything,
            "seconds": round(self.seconds, 3),
            "mutants": [asdict(fate) for fate in self.fates],
            "harmless": [asdict(each) for each in self.bystanders],
        }


@dataclass
class _Record:
    """What was told of one specimen."""

    outcomes: dict[str, set[str]] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    end: Verdict | None = None

    def take(self, check: str, outcome: str, seconds: float, message: str) -> None:
        """Add a case."""
        self.outcomes.setdefault(check, set()).add(outcome)
        self.seconds += seconds
        if outcome in ("failed", "broken") and check not in self.messages:
            self.messages[check] = message


def mutant_names() -> list[str]:
    """Return the names of all mutants."""
    return [each.name for each in catalogue.mutants()]


def run(
    names: Iterable[str] | None = None, *, everything: bool = False, progress: Progress | None = None
) -> SelftestResult:
    """Try mutants on the checks that have to catch them, and what is right on the same checks.

    `names` are those of some mutants; then only what they derive from is tried beside them. With `everything` each
    one goes through the whole contract of its kind. Raises ConfigError for a name that no mutant has.
    """
    started = time.monotonic()
    chosen = _chosen(names)
    bystanders = [each for each in catalogue.unbroken() if any(_of_a_kind(each, mutant) for mutant in chosen)]
    trials = [_control(each, chosen, everything=everything) for each in bystanders]
    if names is None:
        odd = [each for each in catalogue.harmless() if each not in bystanders and (everything or each.everyday)]
        trials += [_odd_one(each, chosen, everything=everything) for each in odd]
        bystanders += odd
    trials += [Trial(each, None if everything else (str(each.check),), not everything) for each in chosen]
    records = _Session(trials, progress or (lambda *_: None)).run()
    return SelftestResult(
        tuple(_fate(each, records[each.key]) for each in chosen),
        tuple(_bystander(each, records[each.key]) for each in bystanders),
        time.monotonic() - started,
        everything,
    )


def print_table(result: SelftestResult) -> None:
    """Print the kill table, what went wrong first."""
    from rich.console import Console  # noqa: PLC0415 - whoever wants the values needs no colours
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console()
    for alarm in result.false_alarms:
        for check, message in alarm.failures.items() or {"no check": "it was never tried"}.items():
            console.print(Text(f"FALSE ALARM  {alarm.name} ({alarm.variant}): {check}\n    {message}", "red"))
    table = Table("mutant", "its defect", "killed by", "seconds", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    table.columns[2].overflow = "fold"
    table.columns[3].justify = "right"
    for fate in [*result.survivors, *(fate for fate in result.fates if fate.verdict == "killed")]:
        alive = fate.verdict != "killed"
        verdict = f"{fate.verdict.upper()}: {fate.check}" if alive else fate.check
        cells = (fate.name, fate.defect, verdict, f"{fate.seconds:.2f}")
        table.add_row(*(Text(cell, "red" if alive else "") for cell in cells))
    console.print(table)
    killed = len(result.fates) - len(result.survivors)
    right = len(result.bystanders) - len(result.false_alarms)
    harmless = f"{right} of {len(result.bystanders)} harmless components passed"
    console.print(f"{killed} of {len(result.fates)} mutants killed, {harmless}, {result.seconds:.0f} s")


class _Session:
    """Trials shared out among processes; what dies or hangs takes only its own trial with it."""

    def __init__(self, trials: Sequence[Trial], progress: Progress) -> None:
        self._trials = trials
        self._progress = progress
        self._names = {trial.specimen.key: trial.specimen.name for trial in trials}
        self._records = {trial.specimen.key: _Record() for trial in trials}
        self._lock = threading.Lock()
        self._ended: set[str] = set()

    def run(self) -> dict[str, _Record]:
        """Try all of them."""
        # One more than there are cores: some mutants are found out by waiting for an answer.
        workers = min((os.cpu_count() or 1) + 1, _MOST_WORKERS)
        parts = min(workers * _SHARES, len(self._trials))
        # Dealt out like cards: what takes long stands together in the list.
        shares = [self._trials[start::parts] for start in range(parts)]
        with ThreadPoolExecutor(workers) as pool:
            sharing = [pool.submit(self._share, list(share)) for share in shares]
            try:
                for each in sharing:
                    each.result()
            finally:
                pool.shutdown(cancel_futures=True)
        return self._records

    def _share(self, trials: list[Trial]) -> None:
        while trials:
            with tempfile.TemporaryDirectory(prefix="ctxkit-selftest-", ignore_cleanup_errors=True) as folder:
                culprit = self._process(trials, Path(folder))
            if culprit is None:
                return
            trials = [trial for trial in trials if trial.specimen.key not in self._ended]

    def _process(self, trials: list[Trial], folder: Path) -> str | None:
        """Try these in one process; return the one at which it died, None when it came to its end."""
        settings = folder / "pytest.ini"
        settings.write_text(_SETTINGS, encoding="utf-8")
        plan = {"settings": str(settings), "folder": str(folder), "trials": [trial.as_dict() for trial in trials]}
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV"))}
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - it is this interpreter
                [sys.executable, "-c", _START, json.dumps(plan)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                env=environment,
                cwd=folder,
                text=True,
            )
            follower = _Follower(self, process)
            follower.follow()
        if follower.code in _CAME_TO_ITS_END:
            for trial in trials:
                self._end(trial.specimen.key)
            return None
        if follower.running is None:
            said = (folder / "output").read_text(encoding="utf-8", errors="replace")[-2000:]
            raise CtxkitError(f"the checks could not be run:\n{said}", fix="see the message; no mutant is at fault.")
        self._records[follower.running].end = "hung" if follower.hung else "crashed"
        self._end(follower.running)
        return follower.running

    def take(self, event: dict[str, Any]) -> None:
        """Take over what was told of a case."""
        with self._lock:
            record = self._records[event["key"]]
            record.take(event["check"], event["outcome"], event["seconds"], event["message"])

    def _end(self, key: str) -> None:
        with self._lock:
            self._ended.add(key)

    def tell(self, key: str) -> None:
        """Say which trial has begun."""
        with self._lock:
            self._progress(len(self._ended), len(self._trials), self._names[key])


class _Follower:
    """Reads what a process tells, and kills it when a case takes too long."""

    def __init__(self, session: _Session, process: subprocess.Popen[str]) -> None:
        self._session = session
        self._process = process
        self.running: str | None = None
        self.hung = False
        self.code: int | None = None

    def follow(self) -> None:
        """Read until the end, and leave no process behind."""
        watch = self._watch()
        try:
            for line in self._process.stdout or ():
                watch.cancel()
                event = json.loads(line)
                if event["event"] == "end":
                    self.code = event["code"]
                    break
                if event["event"] == "start":
                    self.running = event["key"]
                    self._session.tell(event["key"])
                    watch = self._watch()
                else:
                    self._session.take(event)
        finally:
            watch.cancel()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10 if self.code is not None else 1)
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()

    def _watch(self) -> threading.Timer:
        watch = threading.Timer(CASE_TIMEOUT, self._give_up)
        watch.daemon = True
        watch.start()
        return watch

    def _give_up(self) -> None:
        self.hung = True
        self._process.kill()


def _chosen(names: Iterable[str] | None) -> list[Specimen]:
    every = catalogue.mutants()
    if names is None:
        return every
    wanted = set(names)
    unknown = sorted(wanted - {each.name for each in every})
    if unknown or not wanted:
        raise ConfigError(
            f"there is no mutant {', '.join(unknown) or 'of that name'}.", fix="see `ctxkit conformance selftest`."
        )
    return [each for each in every if each.name in wanted]


def _of_a_kind(one: Specimen, other: Specimen) -> bool:
    return (one.kind, one.on_disk) == (other.kind, other.on_disk)


def _control(unbroken: Specimen, mutants: Sequence[Specimen], *, everything: bool) -> Trial:
    """Return the trial of what mutants derive from, on the very checks that have to catch them."""
    checks = {str(each.check) for each in mutants if _of_a_kind(unbroken, each)}
    return Trial(unbroken, None if everything else tuple(sorted(checks)))


def _odd_one(harmless: Specimen, mutants: Sequence[Specimen], *, everything: bool) -> Trial:
    """Return the trial of what is merely different, on the checks that take no time to speak of."""
    checks = {str(each.check) for each in mutants if each.everyday and _of_a_kind(harmless, each)}
    return Trial(harmless, None if everything else tuple(sorted(checks)), every_face=everything)


def _fate(mutant: Specimen, record: _Record) -> Fate:
    check = str(mutant.check)
    outcomes = record.outcomes.get(check, set())
    verdict: Verdict = "survived"
    if record.end is not None:
        verdict = record.end
    elif "broken" in outcomes:
        verdict = "broken"
    elif "failed" in outcomes:
        verdict = "killed"
    also = tuple(sorted(name for name, found in record.outcomes.items() if name != check and "failed" in found))
    message = record.messages.get(check, "" if outcomes else "there is no check of that name")
    return Fate(mutant.name, mutant.kind, mutant.defect, check, verdict, record.seconds, message, also)


def _bystander(specimen: Specimen, record: _Record) -> Bystander:
    failures = {check: record.messages.get(check, "") for check in record.messages}
    if record.end is not None:
        failures["the process"] = record.end
    return Bystander(
        specimen.name,
        specimen.kind,
        "on disk" if specimen.on_disk else "in memory",
        len(record.outcomes),
        record.seconds,
        failures,
    )

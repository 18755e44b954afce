"""The suite examines itself: broken components that have to be caught, and odd ones that have to pass."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

from ctxkit.errors import ConfigError
from ctxkit_conformance.mutants import catalogue
from ctxkit_conformance.mutants.catalogue import Specimen
from ctxkit_conformance.mutants.session import Progress, Session, Told
from ctxkit_conformance.mutants.trial import Trial

SCHEMA: Final = "ctxkit-conformance-selftest/1"
_WIDTH: Final = 150  # columns of the table where there is no terminal

Verdict: TypeAlias = Literal["killed", "survived", "broken", "crashed", "hung"]


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
    told = Session(trials, progress or (lambda *_: None)).run()
    return SelftestResult(
        tuple(_fate(each, told[each.key]) for each in chosen),
        tuple(_bystander(each, told[each.key]) for each in bystanders),
        time.monotonic() - started,
        everything,
    )


def print_table(result: SelftestResult) -> None:
    """Print the kill table, what went wrong first."""
    from rich.console import Console  # noqa: PLC0415 - whoever wants the values needs no colours
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    # A file, or a log of CI, has no width of its own.
    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    for alarm in result.false_alarms:
        for check, message in alarm.failures.items() or {"no check": "it was never tried"}.items():
            console.print(Text(f"FALSE ALARM  {alarm.name} ({alarm.variant}): {check}\n    {message}", "red"))
    table = Table("mutant", "its defect", "killed by", "seconds", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    table.columns[2].overflow = "fold"
    table.columns[3].justify = "right"
    for fate in result.survivors:
        cells = (fate.name, fate.defect, f"{fate.verdict.upper()}: {fate.check}", f"{fate.seconds:.2f}")
        table.add_row(*(Text(cell, "red") for cell in cells))
    heading = ""
    for fate in [fate for fate in result.fates if fate.verdict == "killed"]:
        module, _, name = fate.name.partition(".")
        if module != heading:
            heading = module
            table.add_row(Text(module, "bold"))
        table.add_row(*(Text(cell) for cell in (f"  {name}", fate.defect, fate.check, f"{fate.seconds:.2f}")))
    console.print(table)
    killed = len(result.fates) - len(result.survivors)
    right = len(result.bystanders) - len(result.false_alarms)
    harmless = f"{right} of {len(result.bystanders)} harmless components passed"
    console.print(f"{killed} of {len(result.fates)} mutants killed, {harmless}, {result.seconds:.0f} s")


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


def _fate(mutant: Specimen, told: Told) -> Fate:
    check = str(mutant.check)
    outcomes = told.outcomes.get(check, set())
    verdict: Verdict = "survived"
    if told.end is not None:
        verdict = told.end
    elif "broken" in outcomes:
        verdict = "broken"
    elif "failed" in outcomes:
        verdict = "killed"
    also = tuple(sorted(name for name, found in told.outcomes.items() if name != check and "failed" in found))
    message = told.words or told.messages.get(check, "" if outcomes else "there is no check of that name")
    return Fate(mutant.name, mutant.kind, mutant.defect, check, verdict, told.seconds, message, also)


def _bystander(specimen: Specimen, told: Told) -> Bystander:
    failures = dict(told.messages)
    if told.end is not None:
        failures["the process"] = f"{told.end}\n{told.words}"
    place = "on disk" if specimen.on_disk else "in memory"
    return Bystander(specimen.name, specimen.kind, place, len(told.outcomes), told.seconds, failures)

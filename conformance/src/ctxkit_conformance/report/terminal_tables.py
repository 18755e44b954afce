"""What passed, on a terminal: the tiers of one component, a matrix of several, the level of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ctxkit_conformance.levels import LEVELS
from ctxkit_conformance.report.findings import NotShown, not_shown
from ctxkit_conformance.report.lines import STYLES, mark, show
from ctxkit_conformance.report.outcomes import LOOKS
from ctxkit_conformance.report.tally import Tally, of_tier, tally
from ctxkit_conformance.report.texts import counted, joined, seconds, visible
from ctxkit_conformance.report.tiers import KINDS, tiers_of
from ctxkit_conformance.results import Outcome, SubjectResult

_NAMED: Final = 3
_PROMISES: Final = {"T5": "persistent", "T6": "crash_safe"}  # what a tier is about


def print_tiers(subject: SubjectResult, console: Console, *, whole: bool = True) -> None:
    """Print the tiers of one component with the counts of their checks, and why some showed nothing.

    A tier without a check is told only in a `whole` run: elsewhere nobody asked for it.
    """
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for style in ("dim", "", ""):
        table.add_column(style=style, overflow="fold")
    for tier in tiers_of(subject.kind, subject.checks):
        found = tally(of_tier(subject, tier.key))
        if whole or found.total:
            table.add_row(Text(f"  {tier.key}"), Text(tier.name), _counts(found).append(_unpromised(subject, tier.key)))
    many = f"{counted(len(subject.checks), 'check')} in {seconds(subject.seconds)}"
    show(console, Text.assemble((visible(subject.title), "bold"), (f"  {many}", "dim")))
    show(console, table)
    _reasons(subject, console)
    show(console, "")


def print_matrix(kind: str, subjects: Sequence[SubjectResult], console: Console) -> None:
    """Print a line for each component; a column for each would not fit."""
    tiers = tiers_of(kind, (check for subject in subjects for check in subject.checks))
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    table.add_column(Text(KINDS.get(kind, kind), style="bold"), overflow="fold")
    for tier in tiers:
        table.add_column(Text(tier.key), justify="right", no_wrap=True)
    table.add_column(Text("level"), no_wrap=True)
    for subject in subjects:
        cells = [_short(tally(of_tier(subject, tier.key))) for tier in tiers]
        level = Text(subject.level or "none", style="green" if subject.level else "dim")
        table.add_row(Text(f"  {visible(subject.title.partition(':')[2])}"), *cells, level)
    show(console, table)
    show(console, _legend())
    for subject in subjects:
        if not_shown(subject):
            show(console, f"  {subject.title}", "dim")
            _reasons(subject, console)
    show(console, "")


def print_verdict(subject: SubjectResult, console: Console) -> None:
    """Print which level a component reached, and what stands before the next one."""
    outcome: Outcome = "passed" if subject.ok else "failed"
    line = Text(f"{LOOKS[outcome].symbol} ", style=STYLES[LOOKS[outcome].tone])
    line.append(visible(subject.title), style="bold")
    meanings = {level.name: level.meaning for level in LEVELS.get(subject.kind, ())}
    bad = tally(subject.checks).bad
    if bad:
        line.append(f"  {counted(bad, 'check')} against it; level so far:", style="bold")
    if subject.level is None:
        line.append(" none" if bad else "  no level", style="bold")
    else:
        line.append(f"  {visible(subject.level)}", style="bold green")
        line.append(f": {meanings[subject.level]}" if subject.level in meanings else "")
    line.append(f"; {visible(subject.level_reason)}" if subject.level_reason else "")
    show(console, line)


def _unpromised(subject: SubjectResult, tier: str) -> Text:
    """Return what puts the counts of a tier right whose subject the component does not promise at all."""
    name = _PROMISES.get(tier, "")
    lacking = name and subject.capabilities.get(name) is False
    return Text(f"  {name} is not declared: only that it says so" if lacking else "", style="dim")


def _counts(found: Tally) -> Text:
    if not found.total:
        return Text("no checks", style="dim")
    parts = [Text(f"{LOOKS[which].symbol} {words}", style=STYLES[LOOKS[which].tone]) for which, words in found.words]
    return Text("  ").join(parts)


def _short(found: Tally) -> Text:
    """Return a cell of few characters: the worst that occurred, and how often."""
    counts = dict(found.counts)
    soft = counts.get("known", 0) + counts.get("advisory", 0)
    cells: list[tuple[int, Outcome]] = [
        (found.bad, "failed"),
        (soft, "known"),
        (counts.get("not_applicable", 0), "not_applicable"),
    ]
    for count, outcome in cells:
        if count:
            return Text(f"{LOOKS[outcome].symbol}{count}", style=STYLES[LOOKS[outcome].tone])
    return Text(LOOKS["passed"].symbol if found.total else "", style=STYLES["good"])


def _legend() -> Text:
    bad, soft, none, good = (LOOKS[which].symbol for which in ("failed", "known", "not_applicable", "passed"))
    entries = (
        f"{good} all passed",
        f"{bad}2 two fail",
        f"{soft}1 one known or advisory",
        f"{none}1 one not applicable",
    )
    return Text(f"  {'   '.join(entries)}", style="dim")


def _reasons(subject: SubjectResult, console: Console) -> None:
    for group in not_shown(subject):
        show(console, Padding(_reason(group), (0, 0, 0, 4)))


def _reason(group: NotShown) -> Text:
    line = mark(group.outcome)
    names = joined([f"{check.tier} {check.name}" for check in group.checks], _NAMED)
    line.append(Text(f" {visible(names)}: {visible(group.reason) or 'no reason'}"))
    line.append(Text(f" {visible(group.link)}" if group.link else "", style="dim"))
    return line

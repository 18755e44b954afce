"""The report on a terminal: what is wrong and where the contract says so, then what passed."""

from __future__ import annotations

import re
from typing import Final

from rich.console import Console
from rich.text import Text

from ctxkit_conformance.report.commands import rerun_check, rerun_checks, rerun_subject
from ctxkit_conformance.report.findings import Failure, Finding, findings, not_run, unexpected_passes
from ctxkit_conformance.report.lines import LABEL, command, for_encoding, mark, room, show, told
from ctxkit_conformance.report.tally import tally
from ctxkit_conformance.report.terminal_tables import print_matrix, print_tiers, print_verdict
from ctxkit_conformance.report.texts import counted, head, joined, shortened, visible
from ctxkit_conformance.report.tiers import by_kind, tier_title
from ctxkit_conformance.results import CheckResult, Report, SubjectResult

_MESSAGE_LINES: Final = 3
_CALL_LINES: Final = 6
_LAST_CALL: Final = 600  # characters
_LISTED: Final = 12  # further failures that get a line each
_NAMED: Final = 3  # checks or clauses that are named before the others are counted


def print_report(report: Report, console: Console | None = None, *, most: int | None = 3) -> None:
    """Print what was found: what is wrong, then the tiers, and the levels last; on standard output by default.

    Of the clauses that a component breaks, the `most` basic ones are told in full and the others are named; None tells
    all of them. Nothing is coloured where the console has no colour, and what its encoding lacks becomes ASCII.
    """
    out = console or Console()
    with out.capture() as captured:
        _print(report, out, most)
    # Tables fill their columns with spaces, which only get in the way of whoever copies.
    text = re.sub(r"[ ]+$", "", captured.get(), flags=re.MULTILINE)
    out.file.write(for_encoding(text, out.encoding))
    out.file.flush()


def _print(report: Report, console: Console, most: int | None) -> None:
    if not report.subjects:
        show(console, "Nothing was examined.", "bold")
    for subject in report.subjects:
        if not subject.ok:
            _wrong(report, subject, console, most)
    for kind, subjects in by_kind(report).items():
        if len(subjects) == 1:
            print_tiers(subjects[0], console, whole=not report.partial)
        else:
            print_matrix(kind, subjects, console)
    if report.partial and not all(report.partial in subject.level_reason for subject in report.subjects):
        show(console, f"Only part of the checks was chosen ({report.partial}): no level is granted.", "yellow")
    for subject in report.subjects:
        print_verdict(subject, console)


def _wrong(report: Report, subject: SubjectResult, console: Console, most: int | None) -> None:
    found, bad = findings(subject), tally(subject.checks).bad
    of = counted(len(subject.checks), "check")
    said = f"{bad} of {of} {'speaks' if bad == 1 else 'speak'} against it" if bad else "nothing was shown to work"
    show(console, f"{subject.title}: {said}", "bold")
    show(console, "")
    shown = found if most is None else found[:most]
    for finding in shown:
        _finding(report, subject, finding, console)
    _rest(report, subject, found[len(shown) :], console)
    for check in unexpected_passes(subject):
        _unexpected(subject, check, console)
    _not_run(subject, console)


def _finding(report: Report, subject: SubjectResult, finding: Finding, console: Console) -> None:
    first, *rest = finding.failures
    _failure(subject, first, console)
    if finding.clause is not None:
        told(console, "contract", finding.clause.sentence, f"(docs/contract.md#{finding.clause.name})")
        told(console, "what to do", finding.clause.advice)
    _calls(first, console)
    command(console, "again", rerun_check(report, subject, first.check))
    if rest:
        names = joined([f"{failure.check.tier} {failure.check.name}" for failure in rest], _NAMED)
        told(console, "also", f"{names}, which {'rests' if len(rest) == 1 else 'rest'} on the same clause")
    show(console, "")


def _failure(subject: SubjectResult, failure: Failure, console: Console) -> None:
    check, cases = failure.check, failure.cases
    line = mark(check.outcome)
    line.append(f" {tier_title(subject.kind, check.tier)}  ", style="dim")
    line.append(visible(check.name), style="bold")
    line.append(f"[{visible(cases[0].case)}]" if cases[0].case else "")
    others = counted(len(cases) - 1, "other case") if len(cases) > 1 else ""
    again = (
        f"again in {joined([tier_title(subject.kind, key) for key in failure.again_in])}" if failure.again_in else ""
    )
    more = ", ".join(part for part in (f"and {others}" if others else "", again) if part)
    line.append(f"  {more}" if more else "", style="dim")
    show(console, line)
    lines = head(cases[0].message, _MESSAGE_LINES, 2 * room(console))
    told(console, "found", "\n".join(lines) or "no message")


def _calls(failure: Failure, console: Console) -> None:
    lines = visible(failure.cases[0].reproduction).strip("\n").split("\n")
    if lines == [""]:
        return
    left = len(lines) - _CALL_LINES
    if left > 1:  # the last calls are those that show the fault
        lines = [f"# {left} earlier lines", *lines[-_CALL_LINES:]]
    width = room(console) - LABEL - 2
    *before, last = lines  # which is told whole, as it is the one that fails
    cut = [line if len(line) <= width else f"{line[: width - 1]}…" for line in before]
    told(console, "calls", "\n".join([*cut, shortened(last, _LAST_CALL)]))


def _rest(report: Report, subject: SubjectResult, hidden: list[Finding], console: Console) -> None:
    failures = [failure for finding in hidden for failure in finding.failures]
    if not failures:
        return
    named = failures[:_LISTED]
    show(console, f"{counted(len(failures), 'further check fails', 'further checks fail')}:")
    for failure in named:
        line = f"{failure.check.tier} {failure.check.name}: {failure.cases[0].message}"
        show(console, f"  {shortened(line, room(console) - 2)}")
    if len(failures) > len(named):
        show(console, f"  and {len(failures) - len(named)} more")
    command(console, "see these", rerun_checks(report, subject, [failure.check for failure in named]))
    command(console, "see all", f"{rerun_subject(report, subject)} --html report.html")
    show(console, "")


def _unexpected(subject: SubjectResult, check: CheckResult, console: Console) -> None:
    line = mark("unexpected_pass")
    line.append(f" {tier_title(subject.kind, check.tier)}  ", style="dim")
    line.append(visible(check.name), style="bold")
    show(console, line)
    case = next(case for case in check.cases if case.outcome == "unexpected_pass")
    told(console, "known as", case.reason or "no reason", case.link)
    told(console, "what to do", "Take the entry out of the known-failures file.")
    show(console, "")


def _not_run(subject: SubjectResult, console: Console) -> None:
    left = not_run(subject)
    if not left:
        return
    tiers = joined(list(dict.fromkeys(tier_title(subject.kind, check.tier) for check in left)))
    show(console, Text.assemble(mark("not_run"), f"  {counted(len(left), 'check')} of {tiers}: the run ended before"))
    show(console, "")

"""What is wrong with a component, put in order: by the clause of the contract that is broken, most basic tier first."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from ctxkit import errors
from ctxkit_conformance.report.outcomes import ORDER
from ctxkit_conformance.report.tiers import place_of
from ctxkit_conformance.results import CaseResult, CheckResult, ClauseText, Outcome, SubjectResult

_RAISED: Final = re.compile(r"(?P<kind>\w+): .*\nraised in (?P<place>.+, line \d+)", re.DOTALL)  # the runner's words
_BROKEN: frozenset[Outcome] = frozenset({"failed", "crashed", "hung"})


@dataclass
class Failure:
    """A check that failed, and the tiers in which it failed again in another guise."""

    check: CheckResult
    again_in: list[str] = field(default_factory=list)

    @property
    def cases(self) -> list[CaseResult]:
        """The cases that failed, those with the worst outcome first."""
        broken = [case for case in self.check.cases if case.outcome in _BROKEN]
        return sorted(broken, key=lambda case: ORDER.index(case.outcome))


@dataclass
class Finding:
    """A clause that is broken, with the checks that show it. A check that covers several stands under its first."""

    clause: ClauseText | None
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class NotShown:
    """Checks that show nothing for one and the same reason."""

    outcome: Outcome
    reason: str
    link: str
    checks: tuple[CheckResult, ...]


def findings(subject: SubjectResult) -> list[Finding]:
    """Return the clauses that a component breaks.

    The one with the most basic failure comes first, and within a tier the one that most checks speak for: the others
    may well follow from it. Checks that one line of code fails with one foreign exception are a finding of their own,
    which breaks the clause of errors whatever the checks are about.
    """
    broken = [check for check in subject.checks if check.outcome in _BROKEN]
    broken.sort(key=lambda check: place_of(subject.kind, check.tier))
    groups: dict[str, Finding] = {}
    known = {clause.name.rpartition("-")[2]: clause for check in subject.checks for clause in check.clauses}
    for check in broken:
        cause = _untyped(check)
        own = check.clauses[0] if check.clauses else None
        clause = known.get("errors", own) if cause else own
        group = groups.setdefault(cause or (clause.name if clause else ""), Finding(clause))
        same = next((failure for failure in group.failures if failure.check.name == check.name), None)
        if same is None:
            group.failures.append(Failure(check))
        else:
            same.again_in.append(check.tier)
    return sorted(
        groups.values(),
        key=lambda group: (place_of(subject.kind, group.failures[0].check.tier), -len(group.failures)),
    )


def _untyped(check: CheckResult) -> str:
    """Return the exception that ended a check and the line that raised it, "" for a judgement or an error of ours."""
    message = next(case.message for case in check.cases if case.outcome in _BROKEN)
    found = _RAISED.match(message)
    return "" if found is None or hasattr(errors, found["kind"]) else f"{found['kind']} {found['place']}"


def unexpected_passes(subject: SubjectResult) -> list[CheckResult]:
    """Return the checks that pass though the known-failures file says otherwise, when nothing worse happened."""
    return [check for check in subject.checks if check.outcome == "unexpected_pass"]


def not_run(subject: SubjectResult) -> list[CheckResult]:
    """Return the checks that were planned and did not run."""
    return [check for check in subject.checks if check.outcome == "not_run"]


def not_shown(subject: SubjectResult) -> list[NotShown]:
    """Return the reasons for which something was not applicable or is known or allowed to fail, case by case."""
    groups: dict[tuple[Outcome, str, str], list[CheckResult]] = {}
    for check in subject.checks:
        for case in check.cases:
            if case.outcome in {"known", "advisory", "not_applicable"}:
                group = groups.setdefault((case.outcome, case.reason, case.link), [])
                if check not in group:
                    group.append(check)
    ordered = sorted(groups.items(), key=lambda entry: ORDER.index(entry[0][0]))
    return [NotShown(*key, checks=tuple(checks)) for key, checks in ordered]

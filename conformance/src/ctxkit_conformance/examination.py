"""A whole run over one or more components, made into one report."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ctxkit.errors import CtxkitError
from ctxkit.interfaces import Kind
from ctxkit.plugins import PluginRegistry
from ctxkit_conformance.environment import environment, version_of
from ctxkit_conformance.marks import CONTRACT_VERSION
from ctxkit_conformance.results import CaseResult, CheckResult, Report, SubjectResult
from ctxkit_conformance.runner import Progress, RunRequest, run_subject
from ctxkit_conformance.subject import Subject


def examine(
    requests: Sequence[RunRequest],
    progress: Callable[[RunRequest], Progress],
    finished: Callable[[Report], None] = lambda _: None,
) -> Report:
    """Run every request and return one report; `progress` makes the callback that is told of one run.

    `finished` gets the report as far as it goes after each component. A single component that cannot be run raises;
    among several it is reported as failed and the others go on.
    """
    subjects: list[SubjectResult] = []
    for position, request in enumerate(requests, 1):
        try:
            subjects.append(run_subject(request, progress(request)))
        except CtxkitError as exc:
            if len(requests) == 1:
                raise
            subjects.append(_unusable(request, exc))
        report = _report(requests, subjects, [each.target for each in requests[position:]])
        finished(report)
    return report


def _report(requests: Sequence[RunRequest], subjects: Sequence[SubjectResult], missing: list[str]) -> Report:
    return Report(
        suite_version=version_of("ctxkit-conformance"),
        contract_version=CONTRACT_VERSION,
        created=dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        seed=requests[0].seed,
        thorough=requests[0].thorough,
        partial=requests[0].partial,
        environment=environment(subject.distribution for subject in subjects),
        subjects=list(subjects),
        missing=missing,
    )


@dataclass(frozen=True)
class Installed:
    """A component that a matrix has a column for."""

    target: str
    variant: str


def installed(registry: PluginRegistry, kinds: Sequence[Kind] = (), *, variants: bool = True) -> list[Installed]:
    """Return every usable component of the kinds, or of all, with the variants that their harnesses offer.

    A harness that cannot be imported takes nothing away: the run itself then says what is wrong.
    """
    found = []
    for component in registry.components():
        if kinds and component.kind not in kinds:
            continue
        target = f"{component.kind}:{component.qualified_name}"
        try:
            names = list(Subject(component).variants()) if variants else [""]
        except CtxkitError:
            names = [""]
        found += [Installed(target, name) for name in names]
    return found


def requests_for(found: Sequence[Installed], common: RunRequest) -> list[RunRequest]:
    """Return one request for each component, alike in everything else."""
    return [replace(common, target=each.target, variant=each.variant) for each in found]


def _unusable(request: RunRequest, error: CtxkitError) -> SubjectResult:
    kind, _, name = request.target.partition(":")
    case = CaseResult(case="", outcome="failed", message=str(error))
    meaning = "A failure means that nothing about this component could be examined."
    check = CheckResult(name="can_be_examined", tier="T0", meaning=meaning, clauses=[], cases=[case])
    return SubjectResult(
        kind=kind,
        name=name.rpartition(":")[2],
        qualified_name=name,
        variant=request.variant,
        level_reason=str(error),
        checks=[check],
    )

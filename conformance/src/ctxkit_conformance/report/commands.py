"""The commands that repeat a run, or one check of it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

from ctxkit_conformance.results import CheckResult, Report, SubjectResult


def rerun_check(report: Report, subject: SubjectResult, check: CheckResult) -> str:
    """Return the command that runs one check again as it was run."""
    if not check.clauses:  # it is no check of the contract but the run's own word on the whole component
        return rerun_subject(report, subject)
    shared = sum(other.name == check.name for other in subject.checks) > 1
    return _rerun(report, subject, "-k", check.name, *(["--tier", check.tier] if shared else []))


def rerun_checks(report: Report, subject: SubjectResult, checks: Sequence[CheckResult]) -> str:
    """Return the command that runs several checks again, in every tier that has one of that name."""
    return _rerun(report, subject, "-k", " or ".join(dict.fromkeys(check.name for check in checks)))


def rerun_subject(report: Report, subject: SubjectResult) -> str:
    """Return the command that runs all checks of a component again."""
    return _rerun(report, subject)


def rerun_matrix(report: Report) -> str:
    """Return the command that runs every installed component again and makes this page."""
    plugins = list(dict.fromkeys(plugin for subject in report.subjects for plugin in subject.plugins))
    return _command(["matrix"], [*_effort(report), "--html", "report.html"], plugins)


def _rerun(report: Report, subject: SubjectResult, *chosen: str) -> str:
    return _command(["run", _target(report, subject)], [*chosen, *_how(subject), *_effort(report)], subject.plugins)


def _command(first: list[str], rest: list[str], plugins: Sequence[str]) -> str:
    loaded = [part for plugin in plugins for part in ("-p", plugin)]
    return shlex.join(["ctxkit", *loaded, "conformance", *first, *rest])


def _target(report: Report, subject: SubjectResult) -> str:
    same = {
        other.qualified_name for other in report.subjects if (other.kind, other.name) == (subject.kind, subject.name)
    }
    return f"{subject.kind}:{subject.name if len(same) == 1 else subject.qualified_name}"


def _how(subject: SubjectResult) -> list[str]:
    variant = ["--variant", subject.variant] if subject.variant else []
    pairs = [f"{key}={_typed(value)}" for key, value in sorted(subject.config.items())]
    return [*variant, *(part for pair in pairs for part in ("--config", pair))]


def _typed(value: Any) -> str:
    """Return a value as it is typed: text as it is unless it would be read as JSON."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        json.loads(value)
    except ValueError:
        return value
    return json.dumps(value)


def _effort(report: Report) -> list[str]:
    return ["--seed", str(report.seed), *(["--thorough"] if report.thorough else [])]

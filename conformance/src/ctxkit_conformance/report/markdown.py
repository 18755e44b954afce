"""The matrix as a Markdown table, for a README."""

from __future__ import annotations

from pathlib import Path

from ctxkit_conformance.report.files import write_whole
from ctxkit_conformance.report.outcomes import LOOKS
from ctxkit_conformance.report.tally import of_tier, tally
from ctxkit_conformance.report.texts import moment, visible
from ctxkit_conformance.report.tiers import KINDS, Tier, by_kind, tiers_of
from ctxkit_conformance.results import Report, SubjectResult


def as_markdown(report: Report) -> str:
    """Return a table of components and tiers for each kind, and beneath them how they were made."""
    parts = []
    for kind, subjects in by_kind(report).items():
        tiers = tiers_of(kind, (check for subject in subjects for check in subject.checks))
        rows = [[KINDS.get(kind, kind), *(f"**{_escaped(subject.title.partition(':')[2])}**" for subject in subjects)]]
        rows.append(["---"] * (len(subjects) + 1))
        rows.append(["level", *(f"**{subject.level or 'none'}**" for subject in subjects)])
        rows += [[tier.title, *(_cell(subject, tier) for subject in subjects)] for tier in tiers]
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
    return "\n\n".join([*parts, _made(report)]) + "\n"


def write_markdown(report: Report, path: Path) -> None:
    """Write the tables; the file is there whole or not at all. Raises ConfigError when it cannot be written."""
    write_whole(path, as_markdown(report))


def _cell(subject: SubjectResult, tier: Tier) -> str:
    words = tally(of_tier(subject, tier.key)).words
    if not words:
        return "no checks"
    return f"{LOOKS[words[0][0]].symbol} {', '.join(text for _, text in words)}"


def _made(report: Report) -> str:
    said = f"Contract {report.contract_version}, suite {report.suite_version}, seed {report.seed}"
    effort = ", thorough" if report.thorough else ""
    part = f"; only {_escaped(report.partial)}" if report.partial else ""
    part += f"; not examined yet: {_escaped(', '.join(report.missing))}" if report.missing else ""
    when = f", {moment(report.created)}" if report.created else ""
    return f"<sub>{_escaped(said)}{effort}{when}{part}. Counts are checks.</sub>"


def _escaped(text: str) -> str:
    """Return text that is no markup and stays in its cell."""
    line = " ".join(visible(text).split())
    for sign in "\\`*_[]|":
        line = line.replace(sign, f"\\{sign}")
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

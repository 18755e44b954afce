"""The report as one HTML page that holds everything it needs and asks no network for anything."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from string import Template

from ctxkit_conformance.report.files import write_whole
from ctxkit_conformance.report.page.checks import all_checks, filter_bar
from ctxkit_conformance.report.page.findings import reasons, wrong
from ctxkit_conformance.report.page.markup import Markup, markup, tag
from ctxkit_conformance.report.page.matrix import chips, matrices, verdict
from ctxkit_conformance.report.page.measured import measurements
from ctxkit_conformance.report.page.tables import capabilities, this_run
from ctxkit_conformance.results import Report

_PARTS = "ctxkit_conformance.report.page"


def write_html(report: Report, path: Path) -> None:
    """Write the page; the file is there whole or not at all. Raises ConfigError when it cannot be written."""
    write_whole(path, as_html(report))


def as_html(report: Report) -> str:
    """Return the page; everything in it that comes from a component is escaped."""
    style, script = _part("page.css"), _part("page.js")
    sections = _sections(report)
    return Template(_part("page.html")).substitute(
        policy=tag("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        style=style,
        script=script,
        title=markup(_title(report)),
        verdict=verdict(report),
        chips=chips(report),
        navigation=tag("ul", [tag("li", tag("a", name, href=f"#{place}")) for place, name, _ in sections]),
        sections=markup(
            tag("section", tag("h2", name), content, id=place, class_="part") for place, name, content in sections
        ),
        suite=markup(report.suite_version),
        contract=markup(report.contract_version),
    )


def _sections(report: Report) -> list[tuple[str, str, Markup]]:
    """Return the parts of the page in their order, without those that would be empty."""
    parts = [
        ("matrix", "Who passes what", matrices(report)),
        ("wrong", "What is wrong", wrong(report)),
        ("reasons", "What was not shown to work", reasons(report)),
        ("checks", "Every check", markup(filter_bar(report), all_checks(report))),
        ("capabilities", "What is declared", capabilities(report)),
        ("measurements", "What was measured", measurements(report)),
        ("run", "This run", this_run(report)),
    ]
    return [(place, name, content) for place, name, content in parts if content]


def _title(report: Report) -> str:
    names = [subject.title for subject in report.subjects]
    return f"{names[0]} – ctxkit conformance" if len(names) == 1 else "ctxkit conformance"


def _part(name: str) -> str:
    return (files(_PARTS) / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Return a policy that allows this style and this script, and not one request."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_digest(style)}'",
            f"script-src '{_digest(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"

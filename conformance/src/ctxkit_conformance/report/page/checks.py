"""Every check of every component: what it is worth, what became of it, and how to repeat it."""

from __future__ import annotations

from collections.abc import Sequence

from ctxkit_conformance.report.commands import rerun_check
from ctxkit_conformance.report.outcomes import LOOKS, ORDER, is_bad
from ctxkit_conformance.report.page.findings import clause_block
from ctxkit_conformance.report.page.markup import Markup, code_block, link, markup, outcome_mark, tag
from ctxkit_conformance.report.page.places import check_place, subject_place, tier_place
from ctxkit_conformance.report.tally import of_tier, tally
from ctxkit_conformance.report.texts import counted, head, seconds, shortened
from ctxkit_conformance.report.tiers import Tier, tiers_of
from ctxkit_conformance.results import CaseResult, CheckResult, Report, SubjectResult

_OPEN_CASES = 1  # cases that are open when their check is opened; the others wait for a click


def filter_bar(report: Report) -> Markup:
    """Return the controls that narrow the list of checks; the script shows them, and brings them to life."""
    found = tally(check for subject in report.subjects for check in subject.checks)
    buttons = [
        tag("button", outcome_mark(outcome, f"{LOOKS[outcome].word} {count}"), type="button", aria_pressed="false",
            data_outcome=outcome)
        for outcome, count in found.counts
    ]  # fmt: skip
    search = markup(
        tag("label", "Search", for_="search"),
        tag("input", type="search", id="search", placeholder="name, message, clause …  ( / )", autocomplete="off"),
    )
    whom = None
    if len(report.subjects) > 1:
        options = [tag("option", "every component", value="")]
        options += [tag("option", s.title, value=subject_place(n)) for n, s in enumerate(report.subjects)]
        whom = markup(tag("label", "Component", for_="whom"), tag("select", options, id="whom"))
    return tag(
        "form",
        tag("div", search, whom, class_="fields"),
        tag("div", buttons, class_="toggles", role="group", aria_label="Outcomes to show"),
        tag("div", tag("p", role="status", id="count"), tag("button", "Show all", type="reset"), class_="state"),
        id="filter",
        role="search",
        aria_label="Checks",
        hidden=True,
    )


def all_checks(report: Report) -> Markup:
    """Return the checks of all components, tier by tier, the failed ones first in each."""
    return markup(_subject(report, number, subject) for number, subject in enumerate(report.subjects))


def _subject(report: Report, number: int, subject: SubjectResult) -> Markup:
    place = subject_place(number)
    tiers = [tier for tier in tiers_of(subject.kind, subject.checks) if of_tier(subject, tier.key)]
    about = [
        part
        for part in (
            subject.summary,
            f"{subject.distribution} {subject.version}".strip(),
            subject.qualified_name if subject.qualified_name != subject.name else "",
            counted(len(subject.checks), "check") + f" in {seconds(subject.seconds)}",
        )
        if part
    ]
    level = f"level {subject.level}" if subject.level else "no level"
    reason = f" – {subject.level_reason}" if subject.level_reason else ""
    return tag(
        "section",
        tag("h3", subject.title),
        tag("p", " · ".join(about), class_="about"),
        tag("p", tag("strong", level), reason, class_="about"),
        [_tier(report, number, subject, tier) for tier in tiers] or tag("p", "No check ran."),
        class_="subject",
        id=place,
    )


def _tier(report: Report, number: int, subject: SubjectResult, tier: Tier) -> Markup:
    checks = of_tier(subject, tier.key)
    words = [outcome_mark(outcome, text) for outcome, text in tally(checks).words]
    heading = tag("h4", tag("span", tier.key, class_="key"), " ", tier.name)
    whose = tag("span", subject.title, class_="whose") if len(report.subjects) > 1 else None
    back = tag("p", tag("a", "back to the matrix", href="#matrix"), class_="back")
    return tag(
        "details",
        tag("summary", heading, tag("span", words, class_="counts"), whose),
        tag("div", [_check(report, number, subject, check) for check in checks], back, id=tier_place(number, tier.key)),
        class_="tier",
    )


def _check(report: Report, number: int, subject: SubjectResult, check: CheckResult) -> Markup:
    many = counted(len(check.cases), "case") if len(check.cases) > 1 else ""
    summary = tag(
        "summary",
        outcome_mark(check.outcome),
        tag("code", check.name),
        tag("span", _gist(check), class_="gist"),
        tag("span", " · ".join(part for part in (many, seconds(check.seconds)) if part), class_="facts"),
    )
    clauses = [clause_block(clause) for clause in check.clauses] or clause_block(None)
    rows = [
        ("Meaning", check.meaning or "No docstring says what a failure costs."),
        ("The contract", clauses),
        ("Cases", _cases(check)),
        ("Again", code_block(rerun_check(report, subject, check), label="command to run this check again", copy=True)),
    ]
    body = tag("dl", [markup(tag("dt", name), tag("dd", value)) for name, value in rows])
    return tag(
        "details",
        summary,
        tag("div", body, id=check_place(number, check)),
        class_=f"check {LOOKS[check.outcome].tone}",
        data_outcome=check.outcome,
    )


def _gist(check: CheckResult) -> str:
    """Return the beginning of what was found, or the reason; what passed needs no words."""
    worst = next((case for case in check.cases if case.outcome == check.outcome), None)
    if worst is None or check.outcome == "passed":
        return ""
    lines = head(worst.message, 1, 200)
    return worst.reason if not is_bad(check.outcome) else shortened(lines[0], 160) if lines else worst.reason


def _cases(check: CheckResult) -> Markup:
    """Return the cases, the worst first; those with one and the same result stand together."""
    ordered = sorted(check.cases, key=lambda case: ORDER.index(case.outcome))
    groups: dict[tuple[str, ...], list[CaseResult]] = {}
    for case in ordered:
        key = (case.outcome, case.message, case.reason, case.link, case.reproduction)
        groups.setdefault(("passed",) if case.outcome == "passed" else key, []).append(case)
    if not groups:
        return markup("none ran")
    return markup(_group(place, cases, check) for place, cases in enumerate(groups.values()))


def _group(place: int, cases: Sequence[CaseResult], check: CheckResult) -> Markup:
    first = cases[0]
    names = ", ".join(case.case for case in cases if case.case)
    time = seconds(sum(case.seconds for case in cases))
    many = f"{counted(len(cases), 'case')}: " if len(cases) > 1 and names else ""
    title = markup(outcome_mark(first.outcome), " ", tag("span", many, names, class_="names"))
    if first.outcome == "passed":
        return tag("p", title, " ", tag("span", time, class_="facts"), class_="case")
    parts = [
        tag("p", link(first.link, first.reason or "reason and discussion") if first.link else first.reason)
        if first.reason or first.link
        else None,
        markup(_label("What was found"), code_block(first.message, label="what was found")) if first.message else None,
        markup(_label("Reproduction"), code_block(first.reproduction, label="reproduction", copy=True))
        if first.reproduction
        else None,
    ]
    if len(check.cases) == 1:
        return tag("div", parts, class_="case")
    opened = place < _OPEN_CASES
    return tag(
        "details", tag("summary", title, " ", tag("span", time, class_="facts")), parts, class_="case", open=opened
    )


def _label(text: str) -> Markup:
    return tag("p", text, class_="label")


def outcomes_legend() -> Markup:
    """Return what each outcome says."""
    rows = [markup(tag("dt", outcome_mark(outcome)), tag("dd", look.meaning)) for outcome, look in LOOKS.items()]
    return tag("dl", rows, class_="legend")

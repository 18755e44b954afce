"""What is wrong, before anything else: each broken clause of the contract, what to do, the checks that show it."""

from __future__ import annotations

from collections.abc import Iterable

from ctxkit_conformance.report.commands import rerun_check, rerun_subject
from ctxkit_conformance.report.findings import Failure, Finding, NotShown, findings, not_run, not_shown
from ctxkit_conformance.report.findings import unexpected_passes as passes
from ctxkit_conformance.report.page.markup import Markup, code_block, icon, link, markup, outcome_mark, scrolling, tag
from ctxkit_conformance.report.page.places import check_place, subject_place
from ctxkit_conformance.report.tally import tally
from ctxkit_conformance.report.texts import counted, head, joined
from ctxkit_conformance.report.tiers import tier_title
from ctxkit_conformance.results import CheckResult, ClauseText, Report, SubjectResult

_LINES = 7  # of a message, before the reader asks for more
_WIDTH = 400


def wrong(report: Report) -> Markup:
    """Return everything that speaks against a component, component by component."""
    articles = [_article(report, number, subject) for number, subject in enumerate(report.subjects) if not subject.ok]
    if not articles:
        return tag("p", icon("passed"), " Nothing: no check that ran speaks against a component.", class_="fine")
    return markup(articles)


def _article(report: Report, number: int, subject: SubjectResult) -> Markup:
    bad = ", ".join(text for outcome, text in tally(subject.checks).words if outcome in _BAD_WORDS)
    heading = tag("h3", subject.title, " ", tag("small", bad or "nothing was shown"))
    again = code_block(rerun_subject(report, subject), label="command to run it again", copy=True)
    blocks = [_finding(report, number, subject, finding) for finding in findings(subject)]
    unexpected, left = passes(subject), not_run(subject)
    if unexpected:
        blocks.append(_unexpected(number, unexpected))
    if left:
        blocks.append(_left(number, subject, left))
    if not blocks:
        blocks = [tag("p", "No check ran, or none was applicable: nothing is known of this component.")]
    return tag("article", tag("header", heading, again), blocks, class_="wrong", id=f"wrong-{subject_place(number)}")


_BAD_WORDS = frozenset({"crashed", "hung", "failed", "unexpected_pass", "not_run"})


def clause_block(clause: ClauseText | None) -> Markup:
    """Return a sentence of the contract with its name and what to do when it is broken."""
    if clause is None:
        return tag("p", "This check names no clause of the contract.", class_="sentence")
    cite = tag("cite", f"docs/contract.md#{clause.name}")
    sentence = tag("blockquote", tag("p", clause.sentence), tag("footer", cite), class_="sentence")
    advice = tag("p", tag("b", "What to do"), " ", clause.advice, class_="advice") if clause.advice else None
    return markup(sentence, advice)


def _finding(report: Report, number: int, subject: SubjectResult, finding: Finding) -> Markup:
    name = finding.clause.name if finding.clause else "without a clause"
    shown = [_failure(report, number, subject, failure) for failure in finding.failures]
    left = tag("div", tag("h4", name), clause_block(finding.clause), class_="clause")
    return tag("section", left, tag("ul", shown, class_="shown-by"), class_="finding")


def _failure(report: Report, number: int, subject: SubjectResult, failure: Failure) -> Markup:
    check, cases = failure.check, failure.cases
    first = cases[0]
    many = f"{len(cases)} of {counted(len(check.cases), 'case')}" if len(check.cases) > 1 else ""
    named = f"first: {first.case}" if many and first.case else ""
    again = (
        f"again in {joined([tier_title(subject.kind, key) for key in failure.again_in])}" if failure.again_in else ""
    )
    place = f"#{check_place(number, check)}"
    facts = tag("span", "; ".join(part for part in (many, named, again) if part), class_="facts")
    title = tag(
        "p",
        outcome_mark(check.outcome),
        " ",
        tag("a", tag("span", check.tier, class_="key"), " ", tag("code", check.name), href=place),
        " ",
        facts,
        class_="title",
    )
    message = "\n".join(head(first.message, _LINES, _WIDTH)) or "no message"
    command = code_block(rerun_check(report, subject, check), label="command to run this check again", copy=True)
    calls = None
    if first.reproduction:
        block = code_block(first.reproduction, label="reproduction", copy=True)
        calls = tag("details", tag("summary", "what was called"), block, class_="calls")
    return tag("li", title, code_block(message, label="what was found"), calls, tag("div", command, class_="again"))


def _unexpected(number: int, checks: Iterable[CheckResult]) -> Markup:
    rows = []
    for check in checks:
        case = next(case for case in check.cases if case.outcome == "unexpected_pass")
        rows.append(
            tag(
                "li",
                tag("p", outcome_mark(check.outcome), " ", _named(number, check), " ", link(case.link, case.reason)),
            )
        )
    advice = tag("p", tag("b", "What to do"), " Take the entry out of the known-failures file.", class_="advice")
    left = tag("div", tag("h4", "known failures that pass now"), advice, class_="clause")
    return tag("section", left, tag("ul", rows, class_="shown-by"), class_="finding")


def _left(number: int, subject: SubjectResult, checks: list[CheckResult]) -> Markup:
    advice = tag("p", tag("b", "What to do"), " Correct what ended the run, and run it again.", class_="advice")
    left = tag("div", tag("h4", "not run"), advice, class_="clause")
    tiers = joined(list(dict.fromkeys(tier_title(subject.kind, check.tier) for check in checks)))
    text = tag("p", outcome_mark("not_run", counted(len(checks), "check")), f" of {tiers}: the run ended before.")
    names = tag("p", [markup(", " if place else "", _named(number, c)) for place, c in enumerate(checks)])
    shown = tag("details", tag("summary", "which"), names)
    return tag("section", left, tag("ul", tag("li", text, shown), class_="shown-by"), class_="finding")


def _named(number: int, check: CheckResult) -> Markup:
    return tag("a", tag("code", check.name), href=f"#{check_place(number, check)}")


def reasons(report: Report) -> Markup | None:
    """Return what was not shown to work and why: known and advisory failures, and what was not applicable."""
    rows = []
    for number, subject in enumerate(report.subjects):
        groups = not_shown(subject)
        for place, group in enumerate(groups):
            first = tag("th", subject.title, scope="rowgroup", rowspan=str(len(groups))) if place == 0 else None
            rows.append(tag("tr", first, _reason(number, group), class_="begins" if place == 0 else None))
    if not rows:
        return None
    names = ("Component", "Outcome", "Reason", "Checks")
    heads = tag("thead", tag("tr", [tag("th", name, scope="col") for name in names]))
    caption = tag("caption", "What was not shown to work", class_="hidden")
    return scrolling("What was not shown to work", tag("table", caption, heads, tag("tbody", rows), class_="list"))


def _reason(number: int, group: NotShown) -> Markup:
    why = link(group.link, group.reason) if group.link else group.reason
    names = [markup(", " if place else "", _named(number, check)) for place, check in enumerate(group.checks)]
    return markup(tag("td", outcome_mark(group.outcome)), tag("td", why or "no reason"), tag("td", names))

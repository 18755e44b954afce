"""What the components declare, and all that is known of the run itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ctxkit.interfaces.capabilities import FILTER_OPERATORS
from ctxkit_conformance.levels import LEVELS
from ctxkit_conformance.report.commands import rerun_matrix, rerun_subject
from ctxkit_conformance.report.page.checks import outcomes_legend
from ctxkit_conformance.report.page.markup import Markup, code_block, markup, scrolling, tag
from ctxkit_conformance.report.page.places import subject_place
from ctxkit_conformance.report.texts import moment
from ctxkit_conformance.report.tiers import KINDS, by_kind
from ctxkit_conformance.results import Report, SubjectResult

_MANY = 6  # members of a set that are worth naming one by one
_EVERY: Mapping[str, frozenset[str]] = {"filter_operators": FILTER_OPERATORS}


def capabilities(report: Report) -> Markup:
    """Return for each kind a table of what its components declare, side by side."""
    numbers = {id(subject): number for number, subject in enumerate(report.subjects)}
    tables = [
        _declared(kind, [(numbers[id(subject)], subject) for subject in subjects])
        for kind, subjects in by_kind(report).items()
        if any(subject.capabilities for subject in subjects)
    ]
    return tag("div", tables, class_="side-by-side") if tables else markup()


def _declared(kind: str, subjects: Sequence[tuple[int, SubjectResult]]) -> Markup:
    title = KINDS.get(kind, kind)
    names = list(dict.fromkeys(name for _, subject in subjects for name in subject.capabilities))
    heads = [
        tag("th", tag("a", subject.name, href=f"#{subject_place(number)}"), _variant(subject), scope="col")
        for number, subject in subjects
    ]
    rows = []
    for name in names:
        everyone = _union([_EVERY.get(name), *(subject.capabilities.get(name) for _, subject in subjects)])
        cells = [tag("td", _value(subject.capabilities, name, everyone)) for _, subject in subjects]
        rows.append(tag("tr", tag("th", tag("code", name), scope="row"), cells))
    table = tag(
        "table",
        tag("caption", f"Capabilities of {title.lower()}", class_="hidden"),
        tag("thead", tag("tr", tag("td", class_="corner"), heads)),
        tag("tbody", rows),
        class_="capabilities",
    )
    return tag("section", tag("h3", title), scrolling(f"Capabilities of {title.lower()}", table))


def _variant(subject: SubjectResult) -> Markup | None:
    return tag("span", subject.variant, class_="variant") if subject.variant else None


def _union(values: Iterable[Any]) -> list[str]:
    """Return the members of all values that are lists, each once."""
    lists = [value for value in values if isinstance(value, (list, tuple, set, frozenset))]
    return sorted({str(member) for value in lists for member in value})


def _value(declared: Mapping[str, Any], name: str, everyone: Sequence[str]) -> Markup:
    """Return a declared value; what is not declared is told by a sign and a word."""
    value = declared.get(name)
    if value is True:
        return markup(tag("span", "✓", class_="yes", aria_hidden="true"), " declared")
    if value is False or value is None or value == []:
        word = "unknown" if name not in declared else "not declared" if value is False else "none"
        return tag("span", f"– {word}", class_="no")
    if isinstance(value, (list, tuple, set, frozenset)):
        return markup(_members(sorted(map(str, value)), everyone))
    return markup(str(value))


def _members(members: Sequence[str], everyone: Sequence[str]) -> str:
    """Return the members of a set; of a large one, how many there are and which ones others have."""
    if len(members) <= _MANY:
        return ", ".join(members)
    lacking = [member for member in everyone if member not in members]
    return f"{len(members)}, without {', '.join(lacking)}" if lacking else f"all {len(members)}"


def this_run(report: Report) -> Markup:
    """Return the circumstances of the run, how to repeat it, and how to read the page."""
    return markup(
        tag("section", tag("h3", "Environment"), _environment(report)),
        tag("section", tag("h3", "Run it again"), _again(report)),
        tag("section", tag("h3", "What the outcomes mean"), outcomes_legend()),
        tag("section", tag("h3", "What the levels mean"), _levels(report)),
    )


def _environment(report: Report) -> Markup:
    facts: dict[str, Any] = {
        "contract": report.contract_version,
        "suite": report.suite_version,
        "made": moment(report.created),
        "seed": report.seed,
        "effort": "thorough: ten times as many tries where chance plays a part" if report.thorough else "quick",
        "chosen": report.partial or "all checks",
        **report.environment,
    }
    rows = [tag("tr", tag("th", name, scope="row"), tag("td", _fact(value))) for name, value in facts.items()]
    caption = tag("caption", "Circumstances of the run", class_="hidden")
    return tag("table", caption, tag("tbody", rows), class_="facts-table")


def _fact(value: Any) -> Markup:
    if isinstance(value, Mapping):
        entries = [tag("li", f"{key} ", tag("span", each, class_="version")) for key, each in value.items()]
        return tag("ul", entries, class_="packages")
    if isinstance(value, (list, tuple)):
        return tag("ul", [tag("li", str(each)) for each in value], class_="packages")
    return markup(str(value))


def _again(report: Report) -> Markup:
    commands = [rerun_matrix(report)] if len(report.subjects) > 1 else []
    commands += [rerun_subject(report, subject) for subject in report.subjects]
    label = "command to run it again"
    return markup(code_block(command, label=label, copy=True) for command in dict.fromkeys(commands))


def _levels(report: Report) -> Markup:
    rows = []
    for kind in by_kind(report):
        for level in LEVELS.get(kind, ()):
            rows.append(tag("dt", f"{KINDS.get(kind, kind)}: {level.name}"))
            rows.append(tag("dd", level.meaning))
    note = tag("p", "A level stands on the one before it. What was skipped, known to fail or not declared grants none.")
    return markup(tag("dl", rows, class_="legend"), note)

"""The first screen: which component passes what, and which level it reaches."""

from __future__ import annotations

from collections.abc import Sequence

from ctxkit_conformance.levels import LEVELS
from ctxkit_conformance.report.outcomes import LOOKS
from ctxkit_conformance.report.page.markup import Markup, breakable, icon, markup, outcome_mark, scrolling, tag
from ctxkit_conformance.report.page.places import subject_place, tier_place
from ctxkit_conformance.report.tally import of_tier, tally
from ctxkit_conformance.report.texts import counted, moment, shortened
from ctxkit_conformance.report.tiers import KINDS, Tier, by_kind, tiers_of
from ctxkit_conformance.results import Report, SubjectResult

_REASON = 120  # characters of what stands before the next level; the component's own section has all of it
_NONE = Markup('<span class="none">no checks</span>')


def verdict(report: Report) -> Markup:
    """Return the report in a sentence or two."""
    if not report.subjects:
        return tag("p", "Nothing was examined.", class_="verdict")
    wrong = [(number, subject) for number, subject in enumerate(report.subjects) if not subject.ok]
    if not wrong:
        many = counted(len(report.subjects), "component")
        said = f"{many} examined, and no check speaks against {'it' if len(report.subjects) == 1 else 'any of them'}."
        return tag("p", icon("passed"), " ", said, class_="verdict")
    parts = [
        markup(tag("a", subject.title, href=f"#wrong-{subject_place(number)}"), f" ({_wrong_with(subject)})")
        for number, subject in wrong
    ]
    listed = markup(*(markup(", " if place else "", part) for place, part in enumerate(parts)))
    if len(report.subjects) == 1:
        return tag("p", icon("failed"), " Something is wrong with ", listed, ".", class_="verdict")
    first = f"{len(wrong)} of {len(report.subjects)} components {'needs' if len(wrong) == 1 else 'need'} attention: "
    return tag("p", icon("failed"), " ", first, listed, ".", class_="verdict")


def _wrong_with(subject: SubjectResult) -> str:
    found = tally(subject.checks)
    return counted(found.bad, "check") if found.bad else "nothing was shown"


def matrices(report: Report) -> Markup:
    """Return one table of components and tiers for each kind; kinds of a single tier stand side by side."""
    numbers = {id(subject): number for number, subject in enumerate(report.subjects)}
    large: list[Markup] = []
    small: list[Markup] = []
    for kind, subjects in by_kind(report).items():
        tiers = tiers_of(kind, (check for subject in subjects for check in subject.checks))
        table = _matrix(kind, [(numbers[id(subject)], subject) for subject in subjects], tiers)
        (large if len(tiers) > 1 else small).append(table)
    return markup(large, tag("div", small, class_="small-matrices") if small else None)


def _matrix(kind: str, subjects: Sequence[tuple[int, SubjectResult]], tiers: Sequence[Tier]) -> Markup:
    title = KINDS.get(kind, kind)
    corner = tag("td", class_="corner")
    heads = [_head(number, subject) for number, subject in subjects]
    levels = tag(
        "tr", tag("th", "Level", scope="row"), [tag("td", _level(subject)) for _, subject in subjects], class_="level"
    )
    rows = [
        tag(
            "tr",
            tag("th", tag("span", tier.key, class_="key"), " ", tier.name, " ", tag("small", tier.about), scope="row"),
            [_cell(number, subject, tier) for number, subject in subjects],
        )
        for tier in tiers
    ]
    columns = tag("colgroup", tag("col", class_="first"), [tag("col") for _ in subjects])
    table = tag(
        "table",
        tag("caption", f"{title} by tier: checks by outcome", class_="hidden"),
        columns,
        tag("thead", tag("tr", corner, heads)),
        tag("tbody", levels, rows),
        class_="matrix single" if len(tiers) == 1 else "matrix few" if len(subjects) == 1 else "matrix",
    )
    return tag("section", tag("h3", title), scrolling(f"{title} by tier", table))


def _head(number: int, subject: SubjectResult) -> Markup:
    name = tag("a", subject.name, href=f"#{subject_place(number)}")
    variant = markup(" ", tag("span", subject.variant, class_="variant")) if subject.variant else None
    version = markup(" ", tag("span", subject.version, class_="version")) if subject.version else None
    return tag("th", name, variant, version, scope="col")


def _level(subject: SubjectResult) -> Markup:
    names = [level.name for level in LEVELS.get(subject.kind, ())]
    height = names.index(subject.level) + 1 if subject.level in names else 0
    steps = tag("span", "●" * height + "○" * (len(names) - height), class_="steps", aria_hidden="true")
    word = tag("strong", subject.level or "no level")
    place = tag("span", f", level {height} of {len(names)}", class_="hidden") if height else None
    reason = tag("small", breakable(shortened(subject.level_reason, _REASON))) if subject.level_reason else None
    return tag("div", tag("span", steps, " ", word, place, class_="reached" if height else "unreached"), reason)


def _cell(number: int, subject: SubjectResult, tier: Tier) -> Markup:
    found = tally(of_tier(subject, tier.key))
    if found.headline is None:
        return tag("td", _NONE)
    words = found.words
    first = outcome_mark(words[0][0], words[0][1])
    rest = markup(" ", tag("small", ", ".join(text for _, text in words[1:]))) if len(words) > 1 else None
    place = f"#{tier_place(number, tier.key)}"
    whom = tag("span", f" ({subject.title}, {tier.title})", class_="hidden")
    return tag("td", tag("a", first, rest, whom, href=place, class_="cell"), class_=LOOKS[words[0][0]].tone)


def chips(report: Report) -> Markup:
    """Return what has to be known of the run to judge the matrix."""
    facts = [
        ("contract", report.contract_version),
        ("suite", report.suite_version),
        ("seed", str(report.seed)),
        ("effort", "thorough" if report.thorough else "quick"),
        ("checks", str(sum(len(subject.checks) for subject in report.subjects))),
        ("made", moment(report.created)),
    ]
    rows = [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts if value]
    narrowed = None
    if report.partial:
        words = "Only a part of the checks was chosen", tag("code", report.partial), "no level is granted by that."
        narrowed = tag("p", icon("advisory"), " ", words[0], " (", words[1], "); ", words[2], class_="partial")
    left = None
    if report.missing:
        names = ", ".join(report.missing)
        left = tag("p", icon("advisory"), " Not examined to the end: ", names, ".", class_="partial")
    return markup(tag("dl", rows, class_="chips"), narrowed, left)

"""The HTML page as text: well formed, self-contained, escaped, and with everything that a reader needs."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ctxkit_conformance.report import as_html, write_html
from ctxkit_conformance.report.tiers import KINDS, TIERS
from ctxkit_conformance.results import CaseResult, CheckResult, ClauseText, Report, SubjectResult

MakeCheck = Callable[..., CheckResult]
MakeCase = Callable[..., CaseResult]
VOID = {"br", "col", "hr", "input", "meta", "wbr"}
LOADING = {"link", "img", "iframe", "object", "embed", "audio", "video", "source", "base", "image", "feimage"}
HOSTILE = '</script></style><script>window.hacked = 1</script><img src=x onerror="hacked = 1">\' " & \x00 \u202e'


class Page(HTMLParser):
    """A page taken apart: elements with their attributes, the texts by the class they stand in, what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.headings: list[tuple[int, str]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        names = [name for name, _ in attrs]
        if len(set(names)) != len(names):
            self.wrong.append(f"{tag} names an attribute twice")
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))

    def handle_endtag(self, tag: str) -> None:
        """Check that the innermost element is the one that ends."""
        if not self.open or self.open[-1] != tag:
            self.wrong.append(f"</{tag}> inside {self.open[-3:]}")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        """Gather text."""
        self.text.append(data)
        if self.open and re.fullmatch("h[1-6]", self.open[-1]):
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)

    def all(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        """Return the attributes of all elements of a name; `class_` is one of their classes."""
        class_ = wanted.pop("class_", "")
        return [
            attributes
            for name, attributes in self.elements
            if name == tag
            and (not class_ or class_ in attributes.get("class", "").split())
            and all(attributes.get(key) == value for key, value in wanted.items())
        ]


@pytest.fixture
def example_page(example: Report) -> Page:
    """Return the page of the example."""
    return Page(as_html(example))


def hostile_report(make_check: MakeCheck, make_case: MakeCase) -> Report:
    """Return a report in which every text is an attack."""
    cases = [
        make_case(HOSTILE, "failed", message=HOSTILE, reproduction=HOSTILE),
        make_case("known", "known", reason=HOSTILE, link=f"javascript:alert(1)//{HOSTILE}"),
        make_case("web", "not_applicable", reason=HOSTILE, link=f"https://example.org/{HOSTILE}"),
        make_case("unexpected", "unexpected_pass", reason=HOSTILE, link="data:text/html,x"),
    ]
    checks = [
        make_check(case, name=f"{HOSTILE}{n}", tier=tier) for n, case in enumerate(cases) for tier in ("T2", "<i>")
    ]
    clause = ClauseText(name=HOSTILE, sentence=HOSTILE, advice=HOSTILE)
    checks = [check.model_copy(update={"clauses": [clause], "meaning": HOSTILE}) for check in checks]
    points = [{"share": 1.0, "recall": 0.9, "p50_ms": 1.0, "k": HOSTILE, HOSTILE: HOSTILE, "ratio": 2, "what": HOSTILE}]
    subject = {
        "kind": "vector_store", "name": HOSTILE, "qualified_name": HOSTILE, "variant": HOSTILE, "distribution": HOSTILE,
        "version": HOSTILE, "summary": HOSTILE, "config": {HOSTILE: HOSTILE}, "checks": checks, "level": HOSTILE,
        "capabilities": {HOSTILE: HOSTILE, "set": [HOSTILE]}, "level_reason": HOSTILE,
        "measurements": {"recall": points, "speed": points, HOSTILE: points},
    }  # fmt: skip
    other = {**subject, "kind": HOSTILE}
    return Report(
        suite_version=HOSTILE, contract_version=HOSTILE, created=HOSTILE, partial=HOSTILE,
        environment={HOSTILE: HOSTILE, "packages": {HOSTILE: HOSTILE}, "list": [HOSTILE]},
        subjects=[SubjectResult.model_validate(each) for each in (subject, other)],
    )  # fmt: skip


def test_it_is_well_formed(example_page: Page) -> None:
    """Every element is closed where it should be, and every anchor is there once."""
    assert example_page.wrong == []
    assert example_page.open == []
    ids = Counter(attributes["id"] for _, attributes in example_page.elements if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    assert len(ids) > 300


def test_every_link_on_the_page_leads_somewhere(example_page: Page) -> None:
    """No cell and no name is a dead end."""
    ids = {attributes["id"] for _, attributes in example_page.elements if "id" in attributes}
    links = [attributes["href"] for attributes in example_page.all("a") if attributes["href"].startswith("#")]
    links += [attributes["href"] for attributes in example_page.all("use")]
    assert len(links) > 100
    assert {link[1:] for link in links} <= ids
    labels = {attributes["for"] for attributes in example_page.all("label")}
    assert labels == {"search", "whom"}
    assert labels <= ids


def test_it_loads_nothing(example: Report, example_page: Page) -> None:
    """No element, style or script asks for another file; addresses stand in links alone."""
    assert [name for name, _ in example_page.elements if name in LOADING] == []
    for name, attributes in example_page.elements:
        assert "src" not in attributes, name
        assert not attributes.get("href", "#").startswith(("//", "data:", "javascript:")), name
        if attributes.get("href", "").startswith("http"):
            assert (name, attributes["rel"]) == ("a", "noopener noreferrer")
    text = as_html(example)
    assert "@import" not in text
    assert "url(" not in text
    script = text[text.index("<script>") : text.index("</script>")]
    assert (
        re.findall(r"fetch\(|XMLHttpRequest|WebSocket|import\(|sendBeacon|eval\(|innerHTML|document\.write", script)
        == []
    )


def test_the_policy_allows_this_style_and_this_script_only(example: Report, example_page: Page) -> None:
    """A text that broke out of its place still could neither run nor call home."""
    policy = example_page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    text = as_html(example)
    for name in ("style", "script"):
        content = text[text.index(f"<{name}>") + len(name) + 2 : text.index(f"</{name}>")]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
        assert text.count(f"<{name}") == text.count(f"</{name}") == 1
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for _, attributes in example_page.elements:
        assert "style" not in attributes, "a style attribute is refused by the policy"
        assert not [name for name in attributes if name.startswith("on")]


def test_hostile_texts_stay_text(make_check: MakeCheck, make_case: MakeCase) -> None:
    """Tags, quotes, script ends and control characters in any field of a report do nothing."""
    report = hostile_report(make_check, make_case)
    text = as_html(report)
    found = Page(text)
    assert found.wrong == []
    assert found.open == []
    assert len(found.all("script")) == len(found.all("style")) == 1
    assert found.all("img") == found.all("i") == []
    assert text.count("&lt;script&gt;") > 50
    assert "\x00" not in text
    assert "\u202e" not in text
    assert r"\x00" in text
    assert not [a["href"] for a in found.all("a") if not a["href"].startswith(("#", "https://example.org/"))]
    assert "javascript:alert(1)" in text, "an address of another sort is shown, but is no link"


def test_headings_are_in_order(example_page: Page) -> None:
    """Whoever moves by headings meets each level below the one it belongs to."""
    levels = [level for level, _ in example_page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert [text for level, text in example_page.headings if level == 2] == [
        "Who passes what", "What is wrong", "What was not shown to work", "Every check", "What is declared",
        "What was measured", "This run",
    ]  # fmt: skip


def test_tables_say_what_their_rows_and_columns_are(example_page: Page) -> None:
    """A screen reader can tell to which component and tier a cell belongs."""
    assert all(attributes.get("scope") in {"row", "col", "rowgroup"} for attributes in example_page.all("th"))
    assert len(example_page.all("caption")) == len(example_page.all("table"))
    assert example_page.all("html")[0]["lang"] == "en"
    assert all(a.get("aria-label") for a in example_page.all("svg", role="img"))
    assert all(a.get("aria-hidden") == "true" for a in example_page.all("svg") if a.get("role") != "img")


def test_the_matrix_has_a_cell_for_each_component_and_tier(example: Report, example_page: Page) -> None:
    """Nothing that was examined is missing from the first screen, and each cell says so in words."""
    cells = example_page.all("a", class_="cell")
    kinds = [subject.kind for subject in example.subjects]
    assert len(cells) == sum(len(TIERS[kind]) for kind in kinds)
    text = " ".join("".join(example_page.text).split())
    assert "1 crashed 3 failed, 6 passed (vector_store:acme, T2 search)" in text
    assert "1 known failure 4 passed (vector_store:faiss (HNSW), T3 quality)" in text
    for kind, name in KINDS.items():
        assert (3, name) in example_page.headings
        assert all(tier.name in text for tier in TIERS[kind])


def test_what_is_wrong_stands_before_what_passed(example: Report) -> None:
    """The reader meets the failures, with the contract's sentence and the advice, before the list of checks."""
    text = as_html(example)
    wrong = text[text.index('id="wrong"') : text.index('id="checks"')]
    for said in (
        "query returns exactly min(k, number of records",
        "docs/contract.md#law-of-k",
        "Filter inside the search",
    ):
        assert said in wrong
    assert "query(k=10) returned 7 hits" in wrong
    assert "ctxkit conformance run vector_store:acme -k law_of_k --tier T2 --seed 0" in wrong
    assert "Take the entry out of the known-failures file" in wrong
    assert "4 checks</span></span> of T9 resources and T10 stateful: the run ended before" in wrong
    assert "9 of 9 cases; first: cosine-1; again in T8 async" in wrong


def test_every_check_has_all_that_is_known_of_it(example: Report, example_page: Page) -> None:
    """Meaning, clause, advice, cases, message, reproduction, reason, link, seconds and the command."""
    checks = example_page.all("details", class_="check")
    assert Counter(a["data-outcome"] for a in checks) == Counter(c.outcome for s in example.subjects for c in s.checks)
    text = as_html(example)
    start = text.index('id="c3-T2-law_of_k"')
    law = text[start : text.index('data-outcome="', start)]
    for said in (
        "A failure means that",
        "min(k, number",
        "cosine-1000",
        "assert 7 == 10",
        "12 earlier calls",
        "0.10 s",
    ):
        assert said in law
    assert 'href="https://example.org/faiss/issues/3051"' in text
    assert "the harness AcmeHarness does not offer files()" in text


def test_a_long_message_is_cut_and_says_so(example: Report, make_check: MakeCheck, make_case: MakeCase) -> None:
    """One runaway message does not make a page of a hundred megabytes."""
    check = make_check(make_case("", "failed", message="x" * 5_000_000, reproduction="y" * 100_000))
    subject = example.subjects[0].model_copy(update={"checks": [check]})
    text = as_html(example.model_copy(update={"subjects": [subject]}))
    assert len(text) < 300_000
    assert "4980000 more characters stand in the JSON report" in text


def test_measurements_are_drawn_and_listed(example_page: Page) -> None:
    """Each component has a marker in each plot, and every figure stands in a table too."""
    plots = example_page.all("svg", class_="plot")
    names = [attributes["aria-label"].split(".")[0] for attributes in plots]
    assert names[:2] == ["Recall@10 against latency", "Time against plain numpy"]
    assert [name.partition(": ")[2] for name in names[2:]] == ["exact", "faiss", "faiss (HNSW)", "acme"]
    # 4 stores: 4 shares and 2 more metrics in two plots, 3 speeds, and one in each of 3 keys.
    assert len(example_page.all("polygon", class_="marker")) == 4 * (6 + 6 + 3 + 3)
    assert len(example_page.all("polyline", class_="brute")) == 4 * 3
    for _, attributes in example_page.elements:
        for place in re.findall(r"-?[\d.]+", attributes.get("points", "")):
            assert -1 <= float(place) <= 441
    assert len(example_page.all("table", class_="figures-table")) == 3


@pytest.mark.parametrize(
    "points",
    [
        [],
        [{}],
        [{"share": "all", "recall": None, "p50_ms": float("nan"), "ratio": True}],
        [{"share": 0, "recall": 1, "p50_ms": 0, "exact_p50_ms": 0, "ratio": 0}],
        [{"share": 1, "recall": 1.0, "p50_ms": 0.0, "exact_p50_ms": 0, "ratio": 1e-9, "what": "x"}] * 2,
        [{"share": 1e-6, "recall": 0.0, "p50_ms": 1e6, "exact_p50_ms": 1e6, "ratio": 1e9, "what": ""}],
    ],
)
def test_odd_figures_do_no_harm(example: Report, points: list[dict[str, Any]]) -> None:
    """Figures that are missing, zero or no number end in a table or a plot, never in an error."""
    series = dict.fromkeys(("recall", "selectivity", "speed", "of another suite"), points)
    subject = example.subjects[0].model_copy(update={"measurements": series})
    found = Page(as_html(example.model_copy(update={"subjects": [subject]})))
    assert found.wrong == []
    assert "nan" not in " ".join(a.get("points", "") for _, a in found.elements)
    assert len(found.all("table", class_="figures-table")) == (4 if points else 0)


def test_the_run_can_be_judged_and_repeated(example: Report) -> None:
    """Environment, seed and effort are told; a part of the checks is not taken for all of them."""
    text = as_html(example)
    for said in ("Linux-6.1.0-x86_64", "numpy", "2.3.1", "2026-11-22 17:05 UTC", "ctxkit conformance matrix --seed 0"):
        assert said in text
    assert "Only a part of the checks" not in text
    part = as_html(example.model_copy(update={"partial": "tier T3", "thorough": True, "seed": 11}))
    assert "Only a part of the checks was chosen" in part
    assert "--seed 11 --thorough" in part
    assert "Not examined to the end" not in part
    assert "Not examined to the end: llm:acme." in as_html(example.model_copy(update={"missing": ["llm:acme"]}))


def test_capabilities_stand_side_by_side(example_page: Page) -> None:
    """What one store declares and another does not can be read in one line, without colour."""
    text = " ".join("".join(example_page.text).split())
    assert "crash_safe" in text
    assert re.search(r"✓ ?declared ?✓ ?declared ?✓ ?declared ?– not declared", text)
    assert "12, without $contains" in text


def test_a_report_of_little_is_a_page_too(example: Report) -> None:
    """Nothing examined, nothing run, nothing wrong: each says so."""
    none = Page(as_html(example.model_copy(update={"subjects": []})))
    assert none.wrong == []
    assert "Nothing was examined." in "".join(none.text)
    bare = SubjectResult(kind="vector_store", name="acme", qualified_name="acme")
    empty = "".join(Page(as_html(example.model_copy(update={"subjects": [bare]}))).text)
    assert "nothing is known of this component" in empty
    assert "no checks" in empty
    fine = "".join(Page(as_html(example.model_copy(update={"subjects": example.subjects[:1]}))).text)
    assert "1 component examined, and no check speaks against it." in fine
    assert "no check that ran speaks against a component" in fine


def test_the_page_is_written(example: Report, tmp_path: Path) -> None:
    """The file holds the same page, and the same report makes the same page."""
    write_html(example, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == as_html(example) == as_html(example)

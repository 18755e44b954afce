"""The page in a real browser: no memory becomes more than text, and every key and every width does what it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser_support import POOR_CONTRAST, emulate, entries, new_chrome, press
from inspector_support import HOSTILE, QUESTION, hostile_inspector, talk_inspector

from ctxkit.inspector import Inspection, Inspector, InspectorServer, as_html

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.needs_browser

TAB, ENTER, ESCAPE = "\ue004", "\ue007", "\ue00c"
OPEN_ALL = "document.querySelectorAll('.more:not([hidden]), [aria-expanded=false]').forEach((b) => b.click())"
SHOWN = "return Array.from(document.querySelectorAll('.candidate .glance'), (each) => each.textContent)"
Show = Callable[..., "Chrome"]


@pytest.fixture(name="chrome", scope="module")
def _chrome() -> Iterator[Chrome]:
    """Yield one browser for all tests of this module."""
    with new_chrome() as browser:
        yield browser


@pytest.fixture(name="found", scope="module")
def _found() -> Inspection:
    """Return the inspection of a conversation, after another question; one stage takes from the scores."""
    with talk_inspector(sessions=8) as inspector:
        inspector.prepare(f"{QUESTION[:-1]} now?")
        found = inspector.inspect(QUESTION)
    first, second = (row for row in found["candidates"] if row["rank"] in (1, 2))
    first["stages"].update(fused=4.0, neighbor=2.0, asking=-1.0)
    second["stages"].update(fused=1.0, neighbor=0.0, asking=-2.0)
    return found


@pytest.fixture(name="hostile", scope="module")
def _hostile() -> Iterator[Inspector]:
    """Yield the inspector of a store in which every text is hostile."""
    with hostile_inspector() as inspector:
        yield inspector


@pytest.fixture(name="show")
def _show(chrome: Chrome, found: Inspection, tmp_path: Path) -> Show:
    """Return a function that opens the page of an inspection from a file."""

    def opened(inspection: Inspection = found, **likings: Any) -> Chrome:
        path = tmp_path / "page.html"
        path.write_text(as_html(inspection), encoding="utf-8")
        emulate(chrome, **likings)
        chrome.get("about:blank")
        for kind in ("browser", "performance"):
            entries(chrome, kind)  # what earlier pages left
        chrome.get(path.as_uri())
        return chrome

    return opened


def run(chrome: Chrome, script: str, *arguments: Any) -> Any:
    """Run a script in the page; selenium says nothing of what comes back."""
    return chrome.execute_script(script, *arguments)


def all_of(chrome: Chrome, selector: str) -> list[Any]:
    """Return the elements that a selector finds."""
    return chrome.find_elements("css selector", selector)


def addresses(chrome: Chrome) -> set[str]:
    """Return every address that the browser asked for since the page was opened, those within the page left out."""
    sent = [json.loads(entry["message"])["message"] for entry in entries(chrome, "performance")]
    asked = {each["params"]["request"]["url"] for each in sent if each["method"] == "Network.requestWillBeSent"}
    return {address for address in asked if not address.startswith("data:")}


def test_it_opens_without_a_request_or_a_complaint(show: Show) -> None:
    """The file asks for nothing but itself, and neither the policy nor the script complains."""
    chrome = show()
    assert run(chrome, "return document.querySelector('h1').textContent") == QUESTION
    run(chrome, OPEN_ALL)
    assert addresses(chrome) == {chrome.current_url}
    assert entries(chrome, "browser") == []


@pytest.mark.parametrize("attack", HOSTILE)
def test_no_memory_runs_or_becomes_markup(show: Show, hostile: Inspector, attack: str) -> None:
    """Wherever a hostile text stands, it is shown as text: the page holds nothing that it did not make itself."""
    hostile.prepare(f"{attack} before")
    chrome = show(hostile.inspect(attack))
    run(chrome, "document.querySelectorAll('main button').forEach((button) => button.click())")
    run(chrome, "document.querySelectorAll('[data-state=all], .only').forEach((button) => button.click())")
    run(chrome, OPEN_ALL)
    assert run(chrome, "return window.hacked") is None
    assert addresses(chrome) == {chrome.current_url}
    assert entries(chrome, "browser") == []
    assert all_of(chrome, "main script, img, iframe, [onerror], [onfocus], [onmouseover], [style]") == []
    texts = run(chrome, "return Array.from(document.querySelectorAll('.full'), (each) => each.textContent)")
    assert len(texts) == len(HOSTILE)
    visible = attack
    for sign in "\u2028\u2029\u202e\u2066\u200f\x1b\x07\x00":
        visible = visible.replace(sign, f"U+{ord(sign):04X}")
    visible = "".join(f"U+{ord(c):X}" if ord(c) >= 0xE0000 else c for c in visible)
    assert visible in texts
    assert run(chrome, "return document.querySelector('h1').textContent") == visible


def test_what_turns_text_around_is_named(show: Show, hostile: Inspector) -> None:
    """A mark of direction or a tag is shown by its number, so that no text passes for another one."""
    chrome = show(hostile.inspect(HOSTILE[6]))
    assert [each.text for each in all_of(chrome, "h1 .unseen")] == ["U+202E", "U+2066", "U+200F"]
    assert "\u202e" not in run(chrome, "return document.querySelector('main').textContent")


def test_the_prompt_is_copied_as_it_is(show: Show, found: Inspection) -> None:
    """The button copies the prompt that the model gets, without labels and with what cannot be seen."""
    found = json.loads(json.dumps(found))
    found["parts"][0]["text"] += "\u202e<b>\u2028\n"
    chrome = show(found)
    for name in ("clipboard-read", "clipboard-write"):
        granted = {"permission": {"name": name}, "setting": "granted"}
        chrome.execute_cdp_cmd("Browser.setPermission", granted)
    chrome.find_element("css selector", ".copy").click()
    pasted = "navigator.clipboard.readText().then(arguments[0], (error) => arguments[0](String(error)))"
    assert chrome.execute_async_script(pasted) == "".join(part["text"] for part in found["parts"])


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_word_has_contrast(show: Show, *, dark: bool, width: int) -> None:
    """Text stands out from its ground by at least 4.5 to 1, with everything opened, in both schemes."""
    chrome = show(dark=dark, width=width)
    run(chrome, OPEN_ALL)
    assert run(chrome, POOR_CONTRAST) == {}
    all_of(chrome, "#prompt .toggles button")[1].click()
    chrome.find_element("css selector", ".session").click()
    assert run(chrome, POOR_CONTRAST) == {}


def test_the_theme_can_be_changed(show: Show) -> None:
    """The page follows the reader's liking, and the button turns it around, both ways."""
    ground = "return getComputedStyle(document.body).backgroundColor"
    colours = []
    for dark in (False, True):
        chrome = show(dark=dark)
        colours.append(run(chrome, ground))
        button = chrome.find_element("id", "theme")
        assert button.text == ("Light theme" if dark else "Dark theme")
        button.click()
        colours.append(run(chrome, ground))
    assert colours[0] == colours[3] != colours[1] == colours[2]


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_page(show: Show, found: Inspection, width: int) -> None:
    """No page scrolls sideways, with everything opened and with words that have no end."""
    endless = json.loads(json.dumps(found))
    endless["question"] += "x" * 300
    for row in endless["candidates"][:6]:
        row.update(text="y" * 400, session="z" * 200, speaker="w" * 90, reason="v" * 200, id="u" * 200)
    endless["timeline"]["lanes"][0]["session"] = "z" * 200
    endless["components"]["path"] = "/p" * 200
    chrome = show(endless, width=width)
    run(chrome, OPEN_ALL)
    assert run(chrome, "return document.documentElement.scrollWidth") <= width
    outside = """
        return Array.from(document.querySelectorAll("main *"))
          .filter((each) => !each.closest("svg, .prompt *, .full *, .glance *, .session, thead"))
          .filter((each) => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
          .map((each) => each.tagName + "." + each.className);
    """
    assert run(chrome, outside) == []


def test_everything_is_reached_by_tab_and_seen(show: Show, found: Inspection) -> None:
    """Tab leads through every control in the order of the page, each with an outline."""
    few = json.loads(json.dumps(found))
    few["candidates"], few["timeline"]["lanes"] = few["candidates"][:3], few["timeline"]["lanes"][:2]
    chrome = show(few)
    run(chrome, OPEN_ALL)
    run(chrome, "document.activeElement.blur(); scrollTo(0, 0)")
    controls = run(
        chrome,
        "return Array.from(document.querySelectorAll('a, button, input, select, [tabindex=\"0\"]'))"
        ".filter((each) => each.getClientRects().length).length",
    )
    look = """
        const at = document.activeElement;
        const style = getComputedStyle(at);
        return [at === document.body, style.outlineStyle, parseFloat(style.outlineWidth), at.outerHTML.slice(0, 80)];
    """
    for _ in range(controls):
        press(chrome, TAB)
        nowhere, kind, wide, what = run(chrome, look)
        assert not nowhere
        assert (kind, wide >= 2) == ("solid", True), what
    press(chrome, TAB)
    assert run(chrome, look)[0], "the last control was not reached"


def test_the_table_is_sorted_by_keyboard(show: Show, found: Inspection) -> None:
    """Enter on a heading sorts, the other way the second time, and not at all the third; the heading says so."""
    chrome = show()
    before = run(chrome, SHOWN)
    heading = chrome.find_element("css selector", "th[data-key=tokens]")
    run(chrome, "arguments[0].focus()", heading.find_element("tag name", "button"))
    tokens = "return Array.from(document.querySelectorAll('td.c-tokens'), (each) => Number(each.textContent))"
    expected = sorted((row["tokens"] for row in found["candidates"]), reverse=True)
    press(chrome, ENTER)
    assert heading.get_attribute("aria-sort") == "descending"
    assert run(chrome, tokens) == expected[:25]
    press(chrome, ENTER)
    assert heading.get_attribute("aria-sort") == "ascending"
    assert run(chrome, tokens) == expected[::-1][:25]
    press(chrome, ENTER)
    assert heading.get_attribute("aria-sort") == "none"
    assert run(chrome, SHOWN) == before


def test_what_has_no_score_comes_last_both_ways(show: Show) -> None:
    """Recent turns are not ranked, so they never come first by score."""
    chrome = show()
    run(chrome, OPEN_ALL)
    heading = chrome.find_element("css selector", "th[data-key=score] button")
    for _ in range(2):
        run(chrome, "arguments[0].click()", heading)
        scores = run(chrome, "return Array.from(document.querySelectorAll('td.c-score'), (each) => each.textContent)")
        filled = [text for text in scores if text]
        assert scores == [*filled, *[""] * (len(scores) - len(filled))]
        assert 0 < len(filled) < len(scores)


def test_details_open_and_escape_closes_them(show: Show, found: Inspection) -> None:
    """Enter opens the text and the figures of a candidate; Escape closes them and leads back."""
    best = next(row for row in found["candidates"] if row["rank"] == 1)
    chrome = show()
    opener = all_of(chrome, ".opener")[0]
    run(chrome, "arguments[0].focus()", opener)
    press(chrome, ENTER)
    assert opener.get_attribute("aria-expanded") == "true"
    assert chrome.find_element("css selector", ".full").text == best["text"]
    figures = chrome.find_element("css selector", ".figures").text
    for words in (
        "fused similarity and words, fused +4.000",
        "asking only asks \u22121.000",
        f"final the sum of the stages {best['final']:.3f}",
    ):
        assert words in figures
    press(chrome, TAB, ESCAPE)
    assert all_of(chrome, ".details") == []
    assert opener.get_attribute("aria-expanded") == "false"
    assert run(chrome, "return document.activeElement === arguments[0]", opener)


def test_negative_contributions_go_to_the_left(show: Show) -> None:
    """What a stage took lies left of the line, what it added right of it, and the figures are said in words."""
    chrome = show()
    geometry = """
        return Array.from(document.querySelectorAll(".score-bar")).slice(0, 2).map((bar) => {
          const line = bar.querySelector(".zero").getBoundingClientRect().left;
          const sides = Array.from(bar.querySelectorAll("rect"), (each) => {
            const box = each.getBoundingClientRect();
            return [each.getAttribute("class"), box.right <= line + 1, box.left >= line - 1, Math.round(box.width)];
          });
          return [bar.getAttribute("aria-label"), sides, Math.round(bar.getBoundingClientRect().width)];
        });
    """
    (first, second) = run(chrome, geometry)
    assert first[0].startswith("fused +4.000, neighbor +2.000, asking \u22121.000")
    assert second[0].startswith("fused +1.000, asking \u22122.000")
    for _, sides, _ in (first, second):
        assert all(left == (kind == "stage-2") and right != left for kind, left, right, _ in sides)
    wide = {kind: width for kind, _, _, width in first[1]}
    assert wide["stage-0"] == pytest.approx(2 * wide["stage-1"], abs=1) == pytest.approx(first[2] / 2, abs=1)


def test_the_filters_narrow_the_table(show: Show, found: Inspection) -> None:
    """State, words, reason and session each narrow, and the count says by how much; a slash leads to the search."""
    chrome = show()
    many = len(found["candidates"])
    kept = sum(row["kept"] for row in found["candidates"])
    status = chrome.find_element("css selector", ".status")
    assert status.text == f"{many} candidates"
    chrome.find_element("css selector", "[data-state=kept]").click()
    assert status.text == f"{kept} of {many} candidates"
    chrome.find_element("css selector", "[data-state=all]").click()
    press(chrome, "/", "POST third")
    assert run(chrome, SHOWN) == ["The dinghy is moored at the third post of the old pier."]
    assert status.text == f"1 of {many} candidates"
    press(chrome, ESCAPE)
    assert status.text == f"{many} candidates"
    reason = all_of(chrome, "#reason option")[1]
    reason.click()
    assert status.text == f"{reason.text.rpartition('(')[2].strip(')')} of {many} candidates"
    all_of(chrome, "#reason option")[0].click()
    next(each for each in all_of(chrome, ".session") if each.text == "s3").click()
    in_session = sum(row["session"] == "s3" for row in found["candidates"])
    assert status.text == f"{in_session} of {many} candidates"
    chrome.find_element("css selector", ".only").click()
    assert status.text == f"{many} candidates"


def test_the_budget_is_said_in_figures_and_words(show: Show, found: Inspection) -> None:
    """The bar has a text alternative, and each part its tokens; widths are in proportion."""
    chrome = show()
    bar = chrome.find_element("css selector", ".budget-bar")
    said = bar.get_attribute("aria-label")
    legend = chrome.find_element("css selector", ".legend").text
    shares = [(f"part-{part['name']}", part["tokens"]) for part in found["parts"]]
    shares.append(("part-free", found["budget"] - found["tokens"]))
    total = sum(tokens for _, tokens in shares)
    assert said is not None
    for kind, tokens in shares:
        assert f" {tokens}" in said
        assert str(tokens) in legend
        assert bar.find_element("css selector", f".{kind}").rect["width"] == pytest.approx(
            bar.size["width"] * tokens / total, abs=1
        )


def test_the_sessions_show_where_the_hits_lie(show: Show, found: Inspection) -> None:
    """Each lane says and draws what became of its turns, in their order."""
    chrome = show()
    rows = [each.text.split() for each in all_of(chrome, ".sessions tbody tr")]
    assert [row[0] for row in rows] == [*[f"s{number}" for number in range(8)], "no"]
    kept = {row["id"] for row in found["candidates"] if row["kept"] and row["session"] == "s3"}
    lane = all_of(chrome, ".lane")[3]
    assert f"{len(kept)} kept" in str(lane.get_attribute("aria-label"))
    places = [mark.rect["x"] for mark in lane.find_elements("css selector", "circle.dropped, circle.kept")]
    assert len(places) == 6
    assert max(places) - min(places) > 0.9 * lane.size["width"]
    assert len(all_of(chrome, ".sessions tbody path.recent")) == 2


def test_the_stable_prefix_is_marked(show: Show, found: Inspection) -> None:
    """The mark stands where the prompt first differs, and the other view shows both prompts' lines."""
    assert found["previous"] is not None
    chrome = show()
    stable = "".join(each.get_attribute("textContent") or "" for each in all_of(chrome, ".stable"))
    text = "".join(part["text"] for part in found["parts"])
    assert stable == text[: found["previous"]["stable_characters"]] != ""
    (mark,) = all_of(chrome, ".stable-mark")
    assert mark.text.startswith(f"{found['previous']['stable_tokens']} tokens above")
    all_of(chrome, "#prompt .toggles button")[1].click()
    for kind, sign in (("added", "+"), ("removed", "\u2212")):
        lines = [
            line
            for change in found["previous"]["changes"]
            if change["kind"] == kind
            for line in change["text"].removesuffix("\n").split("\n")
        ]
        shown = run(
            chrome, "return Array.from(document.querySelectorAll(arguments[0]), (p) => p.textContent)", f".{kind} p"
        )
        assert shown == [f"{sign}{line}" for line in lines]
        assert lines


def test_nothing_moves_for_who_wants_it_still(show: Show) -> None:
    """With prefers-reduced-motion no element has a transition."""
    moving = """
        return Array.from(document.querySelectorAll("*"))
          .filter((each) => parseFloat(getComputedStyle(each).transitionDuration) > 0).length;
    """
    assert run(show(still=True), moving) == 0
    assert run(show(), moving) > 0


def test_roles_and_labels_are_there(show: Show) -> None:
    """Every control has a name, every drawing that says something a text, and the table its roles at phone width."""
    chrome = show(width=390)
    run(chrome, OPEN_ALL)
    nameless = """
        return Array.from(document.querySelectorAll("button, input, select, svg[role=img], [role=region], table"))
          .filter((each) => each.getClientRects().length)
          .filter((each) => !(each.getAttribute("aria-label") || each.textContent.trim() || each.labels?.length))
          .map((each) => each.outerHTML.slice(0, 80));
    """
    assert run(chrome, nameless) == []
    silent = "return document.querySelectorAll('svg:not([role=img]):not([aria-hidden]):not(svg svg)').length"
    assert run(chrome, silent) == 0
    for role in ("table", "rowgroup", "row", "cell", "columnheader"):
        assert all_of(chrome, f".candidates[role={role}], .candidates [role={role}]")


def test_many_candidates_stay_small_and_quick_to_draw(show: Show, found: Inspection) -> None:
    """With 550 candidates of long texts the page is a few megabytes, and draws 25 of them until more are wanted."""
    many = json.loads(json.dumps(found))
    row = next(each for each in many["candidates"] if each["rank"] is not None)
    many["candidates"] = [{**row, "id": f"m{n}", "rank": n + 1, "text": f"{n} {'word ' * 400}"} for n in range(550)]
    assert len(as_html(many)) < 2_500_000
    chrome = show(many)
    assert len(all_of(chrome, ".candidate")) == 25
    more = chrome.find_element("css selector", ".more")
    assert more.text == "Show 525 more candidates"
    more.click()
    assert len(all_of(chrome, ".candidate")) == 550
    focused = run(chrome, "return document.activeElement.closest('tr').querySelector('.c-rank').textContent")
    assert focused == "26"


def test_it_can_be_asked_further(chrome: Chrome) -> None:
    """In the served page a question is built, shown and compared with the one before; an error is said in place."""
    emulate(chrome)
    with talk_inspector() as inspector, InspectorServer(inspector) as server:
        entries(chrome, "performance")
        chrome.get(server.url)
        for question in (QUESTION, f"{QUESTION[:-1]} now?"):
            press(chrome, question, ENTER)
            until(chrome, "document.querySelector('h1')?.textContent === given[0]", question)
        assert "at the beginning unchanged" in chrome.find_element("id", "prompt").text
        assert chrome.find_element("id", "asked").text.startswith("Built: ")
        run(chrome, "document.getElementById('question').value = 'word '.repeat(400)")
        press(chrome, ENTER)
        until(chrome, "document.getElementById('asked').textContent.includes('Fix: raise prompt_token_budget')")
        assert addresses(chrome) == {server.url, f"{server.url}ask"}
    press(chrome, ENTER)
    until(chrome, "document.getElementById('asked').textContent.includes('does not answer any more')")


def until(chrome: Chrome, condition: str, *arguments: str) -> None:
    """Wait until a condition of the page holds; the browser's own limit ends it."""
    look = f"const look = () => (holds() ? done(true) : setTimeout(look, 20)); const holds = () => {condition};"
    assert chrome.execute_async_script(
        f"const [...given] = arguments; const done = given.pop(); {look} look();", *arguments
    )

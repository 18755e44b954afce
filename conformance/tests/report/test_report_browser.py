"""The HTML page in a real browser: nothing is loaded, nothing is in the way, and every key does what it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser_support import POOR_CONTRAST, emulate, entries, new_chrome, press
from ctxkit_conformance.report import write_html
from ctxkit_conformance.results import Report

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.needs_browser

WIDER_THAN_THE_PAGE = """
    const wide = document.documentElement.clientWidth;
    return Array.from(document.querySelectorAll("body *"))
      .filter((e) => !e.closest(".scroll, .hidden, .skip, .symbols, pre.long, svg"))
      .filter((e) => e.getBoundingClientRect().right > wide + 1)
      .map((e) => e.tagName + "." + e.className);
"""

Show = Callable[..., "Chrome"]


@pytest.fixture(scope="module")
def chrome() -> Iterator[Chrome]:
    """Return a browser without a window and without a network."""
    with new_chrome() as driver:
        driver.execute_cdp_cmd("Network.enable", {})
        conditions = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)
        yield driver


@pytest.fixture
def show(chrome: Chrome, example: Report, tmp_path: Path) -> Show:
    """Return a function that opens the page of a report, by default the example's at a desk's width in light."""

    def opened(
        report: Report = example, *, width: int = 1280, dark: bool = False, script: bool = True, place: str = ""
    ) -> Chrome:
        path = tmp_path / "report.html"
        write_html(report, path)
        emulate(chrome, width=width, dark=dark)
        chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})
        chrome.get("about:blank")
        for kind in ("browser", "performance"):
            entries(chrome, kind)  # what earlier pages left
        chrome.get(f"{path.as_uri()}{place}")
        return chrome

    return opened


def focused(chrome: Chrome) -> str:
    """Return the text of what has the focus, hidden words included."""
    return " ".join(str(chrome.execute_script("return document.activeElement.textContent")).split())


def shown_checks(chrome: Chrome) -> list[str]:
    """Return the names of the checks in the list that are not hidden by the filter."""
    found: list[str] = chrome.execute_script(
        "return Array.from(document.querySelectorAll('.check'))"
        ".filter((c) => c.getClientRects().length).map((c) => c.querySelector('summary code').textContent)"
    )
    return found


def cell(chrome: Chrome, place: str) -> Any:
    """Return a cell of the matrix by the tier that it leads to."""
    return chrome.find_element("css selector", f'.cell[href="#{place}"]')


def test_it_opens_offline_without_a_word_on_the_console(show: Show) -> None:
    """The page asks for nothing but itself, and neither the policy nor the script complains."""
    chrome = show()
    asked = [json.loads(entry["message"])["message"] for entry in entries(chrome, "performance")]
    addresses = {e["params"]["request"]["url"] for e in asked if e["method"] == "Network.requestWillBeSent"}
    assert addresses == {chrome.current_url}
    assert entries(chrome, "browser") == []
    assert chrome.find_element("tag name", "html").get_attribute("class") == "script"
    assert (
        chrome.execute_script("return getComputedStyle(document.querySelector('.matrix')).borderCollapse") == "collapse"
    )


def test_hostile_texts_do_not_run(show: Show, example: Report) -> None:
    """A message that would break out of its place is shown as it is."""
    attack = "</script></style><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
    acme = example.subjects[3].model_copy(update={"summary": attack, "version": attack, "level_reason": attack})
    for case in (case for check in acme.checks for case in check.cases):
        case.message = attack + case.message
    chrome = show(example.model_copy(update={"subjects": [acme], "environment": {attack: attack}}))
    assert chrome.execute_script("return window.hacked") is None
    assert entries(chrome, "browser") == []
    about = chrome.find_element("css selector", ".about").get_attribute("textContent")
    assert about is not None
    assert attack in about


def test_the_matrix_is_on_the_first_screen(show: Show) -> None:
    """Every tier of every store can be read before anybody scrolls."""
    chrome = show()
    bottom = chrome.execute_script("return document.querySelector('.matrix').getBoundingClientRect().bottom")
    assert bottom <= 850
    for place, word in (("c0-T2", "10 passed"), ("c3-T2", "1 crashed"), ("c2-T3", "1 known failure")):
        found = cell(chrome, place)
        assert found.is_displayed()
        assert word in found.text
        assert found.find_element("tag name", "svg").size["width"] >= 12


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_word_has_contrast(show: Show, *, dark: bool, width: int) -> None:
    """Text stands out from its ground by at least 4.5 to 1, with everything opened, in both schemes."""
    chrome = show(dark=dark, width=width)
    chrome.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert chrome.execute_script(POOR_CONTRAST) == {}


def test_dark_mode_is_dark(show: Show) -> None:
    """Whoever prefers dark gets a dark page, plots included."""
    ground = "return getComputedStyle(document.querySelector(arguments[0])).backgroundColor"
    values = {}
    for dark in (False, True):
        chrome = show(dark=dark)
        for part in ("body", ".matrix", ".plot"):
            colour = chrome.execute_script(ground, part)
            values[part, dark] = sum(int(each) for each in colour[4:-1].split(",")[:3])
    assert all(value > 600 for (_, dark), value in values.items() if not dark)
    assert all(value < 150 for (_, dark), value in values.items() if dark)


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 2000])
def test_nothing_is_wider_than_the_page(show: Show, width: int) -> None:
    """No page scrolls sideways, with everything opened; a wide table scrolls in a box of its own."""
    chrome = show(width=width)
    chrome.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert chrome.execute_script("return document.documentElement.scrollWidth") <= width
    assert chrome.execute_script(WIDER_THAN_THE_PAGE) == []


@pytest.mark.parametrize("width", [390, 1280])
def test_words_without_an_end_are_broken(show: Show, example: Report, width: int) -> None:
    """An address, a digest or a list without spaces widens no page."""
    long = "x" * 400
    acme = example.subjects[3].model_copy(
        update={"level_reason": long, "summary": long, "version": "1.0.dev" + "9" * 60}
    )
    for check in acme.checks:
        check.meaning = long
        for case in check.cases:
            case.message, case.reproduction, case.reason = long, long, long
    acme.config["path"] = long
    chrome = show(example.model_copy(update={"subjects": [acme], "environment": {"path": long}}), width=width)
    chrome.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert chrome.execute_script("return document.documentElement.scrollWidth") <= width
    assert chrome.execute_script(WIDER_THAN_THE_PAGE) == []


def test_four_stores_fit_a_phone(show: Show) -> None:
    """The matrix need not be scrolled at 390 pixels, and its words are not cut off."""
    chrome = show(width=390)
    box, table = (chrome.find_element("css selector", name) for name in (".scroll", ".matrix"))
    assert table.size["width"] <= box.size["width"]
    cut = "return Array.from(document.querySelectorAll('.matrix:not(.single) .cell')).filter("
    assert chrome.execute_script(f"{cut}(c) => c.scrollWidth > c.clientWidth).map((c) => c.textContent)") == []


def test_tab_and_enter_drill_down(show: Show) -> None:
    """A cell opens its tier, failed checks first; Enter there opens a check; Escape leads back to the cell."""
    chrome = show()
    first = cell(chrome, "c3-T1")
    chrome.execute_script("arguments[0].focus()", first)
    press(chrome, "\ue015")  # down
    assert focused(chrome) == "1 crashed 3 failed, 6 passed (vector_store:acme, T2 search)"
    press(chrome, "\ue007")  # Enter
    assert chrome.current_url.endswith("#c3-T2")
    assert focused(chrome).startswith("T2 search")
    tier = chrome.find_element("id", "c3-T2").find_element("xpath", "..")
    assert tier.get_attribute("open") is not None
    where = chrome.execute_script("return document.activeElement.getBoundingClientRect().top")
    filter_end = chrome.execute_script("return document.getElementById('filter').getBoundingClientRect().bottom")
    assert filter_end <= where < 850, "the tier's own line can be seen, and the filter does not hide it"
    press(chrome, "\ue004")  # Tab
    assert focused(chrome).startswith("crashed")
    press(chrome, "\ue007")
    check = chrome.find_element("id", "c3-T2-zero_queries")
    assert check.is_displayed()
    assert "zero vector under cosine raise InvalidQueryError" in check.text
    press(chrome, "\ue00c")  # Escape
    assert focused(chrome).endswith("(vector_store:acme, T2 search)")


def test_arrows_stay_inside_the_matrix(show: Show) -> None:
    """At an edge the focus stays, and elsewhere it moves by one cell."""
    chrome = show()
    chrome.execute_script("arguments[0].focus()", cell(chrome, "c0-T0"))
    press(chrome, "\ue012", "\ue013")  # left, up
    assert focused(chrome).endswith("(vector_store:exact, T0 plugin)")
    press(chrome, "\ue014", "\ue015", "\ue014")  # right, down, right
    assert focused(chrome).endswith("(vector_store:faiss (HNSW), T1 records)")


def test_focus_can_be_seen(show: Show) -> None:
    """Whoever uses the keyboard sees where they are."""
    chrome = show()
    for _ in range(4):
        press(chrome, "\ue004")
        style = (
            "const s = getComputedStyle(document.activeElement); return [s.outlineStyle, parseFloat(s.outlineWidth)]"
        )
        kind, wide = chrome.execute_script(style)
        assert kind == "solid"
        assert wide >= 2


def test_a_click_on_a_cell_drills_down(show: Show) -> None:
    """The mouse does what the keys do, also when the filter hides the place at first."""
    chrome = show()
    chrome.find_element("css selector", 'button[data-outcome="known"]').click()
    assert len(shown_checks(chrome)) == 1
    cell(chrome, "c0-T2").click()
    assert len(shown_checks(chrome)) > 1
    assert chrome.find_element("id", "c0-T2").is_displayed()
    chrome.back()
    assert "#c0-T2" not in chrome.current_url


def test_a_link_from_what_is_wrong_opens_its_check(show: Show) -> None:
    """The short account of a failure leads to the whole one."""
    chrome = show()
    chrome.find_element(
        "css selector", '.shown-by a[href="#c3-T6-damaged_files"], .shown-by a[href$="law_of_k"]'
    ).click()
    found = chrome.find_element("id", "c3-T2-law_of_k")
    assert found.is_displayed()
    assert "store.query([1, 0, 0], 3" in found.text


def test_an_address_with_a_place_opens_it(show: Show) -> None:
    """A link to one check can be sent to somebody."""
    chrome = show(place="#c2-T3-recall_when_near_ones_are_filtered_out")
    found = chrome.find_element("id", "c2-T3-recall_when_near_ones_are_filtered_out")
    assert found.is_displayed()
    assert 0 <= chrome.execute_script("return arguments[0].getBoundingClientRect().top", found) < 850


def test_the_filter_narrows_by_outcome(show: Show) -> None:
    """One outcome, two outcomes, and back; what was opened for it is closed again."""
    chrome = show()
    status = chrome.find_element("id", "count")
    assert status.text == "312 checks"
    known = chrome.find_element("css selector", 'button[data-outcome="known"]')
    known.click()
    assert shown_checks(chrome) == ["recall_when_near_ones_are_filtered_out"]
    assert status.text == "1 of 312 checks"
    assert known.get_attribute("aria-pressed") == "true"
    chrome.find_element("css selector", 'button[data-outcome="advisory"]').click()
    assert shown_checks(chrome)[1:] == ["opening_and_closing_leaks_nothing"]
    chrome.find_element("css selector", "#filter button[type=reset]").click()
    assert status.text == "312 checks"
    assert chrome.execute_script("return document.querySelectorAll('.tier[open]').length") == 0


def test_the_filter_searches_every_text(show: Show) -> None:
    """A slash leads to the search, which finds words of messages and clauses; a component can be chosen beside it."""
    from selenium.webdriver.support.select import Select  # noqa: PLC0415

    chrome = show()
    press(chrome, "/")
    press(chrome, "Segmentation FAULT")
    assert shown_checks(chrome) == ["zero_queries"]
    press(chrome, "\ue00c")
    assert chrome.find_element("id", "count").text == "312 checks"
    press(chrome, "law-of-k recall")
    assert set(shown_checks(chrome)) == {"recall_under_filters"}
    assert len(shown_checks(chrome)) == 4
    Select(chrome.find_element("id", "whom")).select_by_visible_text("vector_store:acme")
    assert len(shown_checks(chrome)) == 1
    press(chrome, "/")
    chrome.find_element("id", "search").send_keys(" no such word")
    assert shown_checks(chrome) == []
    assert chrome.find_element("id", "count").text == "0 of 312 checks"


def test_a_command_can_be_copied(show: Show) -> None:
    """The button gives the command, the whole command and nothing else."""
    chrome = show()
    grant = {"permission": {"name": "clipboard-read"}, "setting": "granted"}
    chrome.execute_cdp_cmd("Browser.setPermission", grant)
    block = chrome.find_element("css selector", ".wrong header .code")
    button = block.find_element("tag name", "button")
    assert button.get_attribute("aria-label") == "copy command to run it again"
    button.click()
    pasted = "navigator.clipboard.readText().then(arguments[0], (e) => arguments[0](String(e)))"
    assert chrome.execute_async_script(pasted) == "ctxkit conformance run vector_store:acme --seed 0"


def test_it_can_be_read_without_a_script(show: Show) -> None:
    """Without JavaScript there is no dead control, and links and details still open everything."""
    chrome = show(script=False, place="#c3-T2-law_of_k")
    assert not chrome.find_element("id", "filter").is_displayed()
    assert chrome.find_elements("css selector", ".copy") == []
    law = chrome.find_element("id", "c3-T2-law_of_k")
    assert law.is_displayed(), "the browser itself opens what the place lies in"
    assert "min(k, number of records" in law.text
    summary = chrome.find_element("css selector", ".tier > summary")
    summary.click()
    assert chrome.find_element("id", "c0-T0").is_displayed()


def test_it_prints(show: Show) -> None:
    """On paper nothing is cut off at a box that scrolls, and controls are left out."""
    chrome = show()
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    hidden = (
        "return Array.from(document.querySelectorAll('nav, #filter, .copy')).every((e) => !e.getClientRects().length)"
    )
    assert chrome.execute_script(hidden)
    assert chrome.execute_script("return getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"
    made = chrome.execute_cdp_cmd("Page.printToPDF", {})
    assert len(made["data"]) > 50_000
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})

"""Make the pictures of docs/inspector.md, in docs/images or in the folder that is named.

    python scripts/screenshots.py [FOLDER]

The store holds the conversation and the documentation of `ctxkit demo`, the last session without a name, as a
conversation that goes on. Needs selenium, Chromium and its driver (requirements-full.txt).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from ctxkit import ContextManager
from ctxkit.demo.documentation import documents
from ctxkit.demo.remember import configuration
from ctxkit.demo.script import BUDGET, load_turns
from ctxkit.inspector import Inspector, write_html

QUESTION = "Which cousin is allergic to hazelnuts, Ralf or Rolf, and when did we last speak of it?"
PREVIOUS = "Which cousin is allergic to hazelnuts, Ralf or Rolf?"
LARGEST = 200_000  # bytes of one picture
PHONE = 500  # pixels, below which a screen is a phone's
# Name, dark, width, height, the place that is scrolled to, and whether its first candidate is opened.
PICTURES = (
    ("inspector-light", False, 1280, 1000, "", True),
    ("inspector-dark", True, 1280, 900, "sessions", False),
    ("inspector-phone", False, 390, 844, "", False),
)


def make_page(folder: Path) -> Path:
    """Fill a store and write the page of one question."""
    turns = load_turns()
    current = turns[-1].session_id
    with ContextManager(configuration(), path=folder / "store") as manager:
        for turn in turns:
            session = {} if turn.session_id == current else {"session_id": turn.session_id}
            manager.observe(turn.user, turn.assistant, turn_id=turn.turn_id, timestamp=turn.timestamp, metadata=session)
        for name, text in documents().items():
            manager.ingest_text(text, source_id=name)
        inspector = Inspector(manager, budget=BUDGET)
        inspector.prepare(PREVIOUS)
        found = inspector.inspect(QUESTION)
    found["components"]["path"] = "~/memory"
    write_html(found, folder / "page.html")
    return folder / "page.html"


def take(browser: webdriver.Chrome, page: Path, target: Path) -> None:
    """Take every picture of a page."""
    for name, dark, width, height, place, opened in PICTURES:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < PHONE}
        scheme = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        browser.get("about:blank")
        browser.get(f"{page.as_uri()}#{place}" if place else page.as_uri())
        if place:
            browser.execute_script("document.getElementById(arguments[0]).scrollIntoView()", place)
        if opened:
            browser.execute_script("document.querySelector('.c-rank:not(:empty) ~ td .opener').click()")
        picture = target / f"{name}.png"
        picture.write_bytes(browser.get_screenshot_as_png())
        size_of = picture.stat().st_size
        print(f"{picture}: {size_of} bytes")
        if size_of > LARGEST:
            sys.exit(f"{picture} is larger than {LARGEST} bytes")


def main() -> None:
    """Make the pictures in docs/images, or in the folder that is named."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "docs" / "images"
    target.mkdir(parents=True, exist_ok=True)
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    with tempfile.TemporaryDirectory() as folder:
        page = make_page(Path(folder))
        browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            take(browser, page, target)
        finally:
            browser.quit()


if __name__ == "__main__":
    main()

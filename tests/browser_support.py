"""A headless browser for tests of pages, and what is measured in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

# Every word that stands out from its ground by less than 4.5 to 1 (WCAG 2.2, success criterion 1.4.3), by its element.
POOR_CONTRAST = """
    const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const luminance = (colour) => {
      const [r, g, b] = numbers(colour).map(linear);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (node) => {
      for (let at = node; at; at = at.parentElement) {
        const colour = getComputedStyle(at).backgroundColor;
        if (numbers(colour)[3] !== 0) return colour;
      }
      return "rgb(255, 255, 255)";
    };
    const poor = {};
    for (const node of document.querySelectorAll("body *")) {
      const says = Array.from(node.childNodes).some((each) => each.nodeType === 3 && each.textContent.trim());
      if (!says || node.closest("script, style, title, option, noscript") || !node.getClientRects().length) continue;
      const style = getComputedStyle(node);
      const both = [luminance(node.closest("svg") ? style.fill : style.color), luminance(ground(node))];
      const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
      if (ratio < 4.5) poor[`${node.tagName}.${node.getAttribute("class")}`] = ratio;
    }
    return poor;
"""


@contextmanager
def new_chrome() -> Iterator[Chrome]:
    """Yield a browser without a window that logs what it asks the network for."""
    from selenium import webdriver  # noqa: PLC0415 - it is there only where these tests run
    from selenium.webdriver.chrome.service import Service  # noqa: PLC0415

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def emulate(chrome: Chrome, *, width: int = 1280, dark: bool = False, still: bool = False) -> None:
    """Give the browser a width in pixels, and its reader's liking for dark pages and for nothing that moves."""
    size = {"width": width, "height": 850, "deviceScaleFactor": 1, "mobile": width < 500}
    likings = [
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
        {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
    ]
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": likings})


def entries(chrome: Any, kind: str) -> list[dict[str, Any]]:
    """Return what the browser has logged since the last call; selenium says nothing of the types."""
    found: list[dict[str, Any]] = chrome.get_log(kind)
    return found


def press(chrome: Chrome, *keys: str) -> None:
    """Type into whatever has the focus."""
    for key in keys:
        chrome.switch_to.active_element.send_keys(key)

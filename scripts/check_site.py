"""Check the built site: the reference is whole, every link leads somewhere, and nothing comes from another host.

    zensical build --strict && python scripts/check_site.py

A class or a function of `ctxkit` and `ctxkit.interfaces`, or a public method of such a class, that the reference does
not show is an error, and so is a link within the site whose page or heading does not exist.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import ctxkit
from ctxkit import interfaces

ROOT = Path(__file__).parents[1]
SITE = ROOT / "build" / "site"
# Attributes whose address a browser fetches without being asked.
FETCHED = {("img", "src"), ("link", "href"), ("script", "src"), ("iframe", "src"), ("source", "src")}


class Page(HTMLParser):
    """One page: its anchors, where its links lead, and what it fetches."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of what a tag names and of what it leads to."""
        given = dict(attrs)
        self.anchors.update(value for name in ("id", "name") if (value := given.get(name)))
        if tag == "a" and (link := given.get("href")):
            self.links.append(link)
        canonical = given.get("rel") == "canonical"
        self.fetched += [value for name, value in attrs if (tag, name) in FETCHED and value and not canonical]


def main() -> int:
    """Print what is wrong, and return whether anything is."""
    pages = {path: Page(path) for path in sorted(SITE.rglob("*.html"))}
    found = [*missing_from_the_reference(pages), *dead_links(pages), *foreign(pages)]
    for problem in found:
        print(problem)
    print(f"{len(pages)} pages, {sum(len(page.links) for page in pages.values())} links, {len(found)} problems")
    return bool(found) or not pages


def missing_from_the_reference(pages: dict[Path, Page]) -> Iterator[str]:
    """Yield each public name that has no entry of its own."""
    shown = {anchor for path, page in pages.items() if path.parent.name == "reference" for anchor in page.anchors}
    for module in (ctxkit, interfaces):
        for name in module.__all__:
            value = getattr(module, name)
            if not (inspect.isclass(value) or inspect.isfunction(value)):
                continue  # constants and names of types
            places = {f"ctxkit.{name}", f"{module.__name__}.{name}", f"{_home(value)}.{name}"} & shown
            if not places:
                yield f"{module.__name__}.{name} is not in the reference"
            elif inspect.isclass(value):
                for member in public_members(value):
                    if not any(f"{place}.{member}" in shown for place in places):
                        yield f"{module.__name__}.{name}.{member} is not in the reference"


def public_members(kind: type) -> list[str]:
    """Return the methods and properties that a class defines itself, pydantic's own left out."""
    kinds = (property, classmethod, staticmethod)
    return [
        name
        for name, value in vars(kind).items()
        if not name.startswith(("_", "model_")) and (inspect.isfunction(value) or isinstance(value, kinds))
    ]


def _home(value: object) -> str:
    """Return the package from which a value is meant to be imported: the second floor of its module's name."""
    return ".".join(str(getattr(value, "__module__", "")).split(".")[:2])


def dead_links(pages: dict[Path, Page]) -> Iterator[str]:
    """Yield each link within the site that leads to a page or a heading that there is not."""
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            named = unquote(parts.path)
            base = SITE if named.startswith("/") else path.parent
            target = (base / named.lstrip("/")).resolve() if named else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                yield f"{path.relative_to(SITE)}: no page {link}"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{path.relative_to(SITE)}: no heading {link}"


def foreign(pages: dict[Path, Page]) -> Iterator[str]:
    """Yield what a page fetches from another host."""
    for path, page in pages.items():
        for address in page.fetched:
            if urlsplit(address).netloc:
                yield f"{path.relative_to(SITE)}: fetches {address}"


if __name__ == "__main__":
    sys.exit(main())

"""HTML made from values: what is no markup already is escaped, so that no text of a component becomes a tag."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Final, TypeAlias

from ctxkit_conformance.report.outcomes import LOOKS
from ctxkit_conformance.report.texts import visible
from ctxkit_conformance.results import Outcome


class Markup(str):
    """Text that is HTML; only the functions of this module make it from other text."""

    __slots__ = ()


Child: TypeAlias = "str | int | float | Markup | Iterable[Child] | None"
_VOID: Final = frozenset({"br", "col", "hr", "input", "meta", "wbr"})
_WEB: Final = ("https://", "http://")
_LONGEST: Final = 20_000  # characters of one text; the JSON report holds all of it


def tag(name: str, *children: Child, **attributes: str | bool | float | None) -> Markup:
    """Return an element; `class_` and `for_` lose their underscore, others become dashes, None and False go."""
    written = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = key.rstrip("_").replace("_", "-")
        written.append(f" {label}" if value is True else f' {label}="{html.escape(visible(value))}"')
    opening = f"<{name}{''.join(written)}>"
    return Markup(opening if name in _VOID else f"{opening}{markup(*children)}</{name}>")


def markup(*children: Child) -> Markup:
    """Return children one after the other, text among them escaped."""
    return Markup("".join(_written(child) for child in children))


def _written(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, (str, int, float)):
        return html.escape(visible(child), quote=False)
    return "".join(_written(each) for each in child)


def breakable(text: str) -> Markup:
    """Return a text that may be broken after each underscore, so that a long name does not widen its column."""
    first, *rest = text.split("_")
    return markup(first, [("_", tag("wbr"), part) for part in rest])


def icon(outcome: Outcome) -> Markup:
    """Return the symbol of an outcome; its word stands beside it, so it says nothing to a screen reader."""
    use = tag("use", href=f"#i-{outcome}")
    return tag("svg", use, class_=f"icon {LOOKS[outcome].tone}", viewBox="0 0 16 16", aria_hidden="true")


def outcome_mark(outcome: Outcome, text: str = "") -> Markup:
    """Return an outcome as symbol and word, or symbol and `text`."""
    look = LOOKS[outcome]
    return tag("span", icon(outcome), tag("span", text or look.word), class_=f"mark {look.tone}")


def code_block(text: str, *, label: str, copy: bool = False) -> Markup:
    """Return a text whose lines and spaces count; with `copy` the script puts a button beside it.

    A long one scrolls inside, so it can be reached with the keyboard.
    """
    kept = text.strip("\n")
    cut = len(kept) > _LONGEST
    shown = kept[:_LONGEST] if cut else kept
    note = tag("p", f"{len(kept) - _LONGEST} more characters stand in the JSON report.", class_="note") if cut else None
    long = shown.count("\n") > 18 or len(shown) > 2400
    scrolls = {"tabindex": "0", "role": "region", "aria_label": label} if long else {}
    pre = tag("pre", tag("code", shown), class_="long" if long else None, **scrolls)
    return markup(tag("div", pre, class_="code", data_copy=label if copy else None), note)


def link(target: str, text: Child = None) -> Markup:
    """Return a link to the web, or the bare text when the address is of another sort, for example javascript:."""
    shown = target if text is None else text
    if not target.lower().startswith(_WEB):
        return markup(shown if text is None else (text, f" ({target})" if target else ""))
    return tag("a", shown, href=target, rel="noopener noreferrer")


def scrolling(label: str, *children: Child) -> Markup:
    """Return a box that scrolls sideways where its content is wider than the page."""
    return tag("div", *children, class_="scroll", role="region", aria_label=label, tabindex="0")

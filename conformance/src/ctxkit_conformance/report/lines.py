"""Lines of a terminal: labels and texts side by side, marks, and what an old terminal cannot write."""

from __future__ import annotations

from typing import Final

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from ctxkit_conformance.report.outcomes import LOOKS, Tone
from ctxkit_conformance.report.texts import visible
from ctxkit_conformance.results import Outcome

STYLES: Final[dict[Tone, str]] = {"bad": "bold red", "warn": "yellow", "good": "green", "quiet": "dim"}
LABEL: Final = 11  # columns of a label
_WIDEST: Final = 120
_NARROWEST: Final = 40
_PLAIN: Final = str.maketrans({"…": "...", **{look.symbol: look.plain for look in LOOKS.values()}})


def room(console: Console) -> int:
    """Return how many columns are filled: those of the terminal, at most 120."""
    return max(_NARROWEST, min(console.width, _WIDEST))


def show(console: Console, item: RenderableType | str, style: str = "") -> None:
    """Print a text or a table; square brackets in it mean nothing."""
    shown = Text(visible(item), style=style) if isinstance(item, str) else item
    console.print(shown, width=room(console), highlight=False)


def mark(outcome: Outcome) -> Text:
    """Return the symbol and the word of an outcome."""
    return Text(f"{LOOKS[outcome].symbol} {LOOKS[outcome].word}", style=STYLES[LOOKS[outcome].tone])


def told(console: Console, label: str, text: str, after: str = "") -> None:
    """Print a label, and beside it a text whose lines stay beneath each other."""
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(width=LABEL, style="dim", no_wrap=True, justify="right")
    table.add_column(overflow="fold", max_width=room(console) - LABEL - 2)
    body = Text(visible(text))
    if after:
        body.append(f" {visible(after)}", style="dim")
    table.add_row(label, body)
    show(console, table)


def command(console: Console, label: str, text: str) -> None:
    """Print a command on one line, however long: whoever copies it gets no line end."""
    line = Text.assemble((f"{label:>{LABEL}} ", "dim"), (visible(text), "cyan"))
    console.print(line, soft_wrap=True, highlight=False)


def for_encoding(text: str, encoding: str) -> str:
    """Return text with the characters that an encoding has; others become ASCII signs or escapes."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return text

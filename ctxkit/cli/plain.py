"""Tables and colours without rich, whose import takes longer than finding out what a listing says."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import typer

from ctxkit.cli.output import harmless

_WIDEST = 120
_NARROWEST = 40
_LAST = 24  # what the last column gets at least


Colour: TypeAlias = str | Mapping[str, str]


def width() -> int:
    """Return how many columns may be filled: the terminal's, at most 120."""
    return max(_NARROWEST, min(shutil.get_terminal_size((80, 24)).columns, _WIDEST))


def styled(text: str, colour: str = "", *, bold: bool = False, dim: bool = False) -> str:
    """Return text with its colour codes, where standard output is a terminal that wants them."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return typer.style(text, fg=colour or None, bold=bold or None, dim=dim or None)


def heading(text: str) -> None:
    """Print a line in bold."""
    typer.echo(styled(harmless(text), bold=True))


def paragraph(text: str, colour: str = "", *, dim: bool = False) -> None:
    """Print one text as it is; the terminal wraps it."""
    typer.echo(styled(harmless(text), colour, dim=dim))


def table(rows: Sequence[Sequence[str]], colours: Sequence[Colour] = (), titles: Sequence[str] = ()) -> None:
    """Print rows in columns; the last column is wrapped, the others are as wide as they need to be.

    `colours` has one for each column, or a mapping from what a cell says to its colour. A line end in the last cell
    begins a new line, which is dimmed.
    """
    cleaned = [[harmless(cell) for cell in row] for row in ([titles, *rows] if titles else rows)]
    if not cleaned:
        return
    fixed = [max(len(row[column]) for row in cleaned) for column in range(len(cleaned[0]) - 1)]
    indent = sum(size + 2 for size in fixed) + 2
    room = max(_LAST, width() - indent)
    for number, row in enumerate(cleaned):
        is_title = bool(titles) and number == 0
        lines = [
            (line, part > 0)
            for part, text in enumerate(row[-1].split("\n"))
            for line in textwrap.wrap(text, room, break_on_hyphens=False) or [""]
        ]
        first = [
            styled(cell.ljust(size), "" if is_title else _colour(colour, cell), dim=is_title)
            for cell, size, colour in zip(row, fixed, [*colours, *[""] * len(fixed)], strict=False)
        ]
        typer.echo(f"  {'  '.join([*first, styled(lines[0][0], dim=is_title)])}".rstrip())
        for line, later in lines[1:]:
            typer.echo(" " * indent + styled(line, dim=later))


def _colour(colour: Colour, cell: str) -> str:
    return colour if isinstance(colour, str) else colour.get(cell, "")

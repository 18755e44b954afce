"""How things look: plain JSON for programs; text, tables and bars for people, at any width and on any terminal."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# name -> (glyph without colour, colour); the sixteen named colours follow the reader's own light or dark theme.
PARTS: Mapping[str, tuple[str, str]] = {
    "summary": ("░", "magenta"),
    "memory": ("█", "cyan"),
    "recent": ("▓", "blue"),
    "question": ("▒", "green"),
}
_LABELS = {"summary": "summary", "memory": "memories", "recent": "recent", "question": "question"}
_FREE = ("·", "dim")  # not grey: some themes draw grey in the colour of the background
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_WORD = re.compile(r"\w+")
_WIDEST = 120
_TELLING = 3  # letters that a word needs to say something
_GIVES = {
    "embedder static": ("ctxkit-static", "search by meaning, not only by words."),
    "vector store faiss": ("ctxkit-faiss", "faster search in large stores."),
}


def console(*, stderr: bool = False) -> Console:
    """Return a console that writes to what is standard output (or error) now; very wide terminals are not filled."""
    from rich.console import Console  # noqa: PLC0415 - start-up stays light

    made = Console(stderr=stderr, highlight=False, emoji=False, markup=False)
    made.width = min(made.width, _WIDEST)
    return made


def print_json(value: object, *, indent: int | None = 2) -> None:
    """Write one JSON value and a line end to standard output; no character in it can steer a terminal.

    Without an `indent` it is one line.
    """
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    written = json.dumps(value, ensure_ascii=not unicode, indent=indent)
    sys.stdout.write(_CONTROL.sub(_escaped, written) + "\n")


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"


def harmless(text: str) -> str:
    """Return stored text without the control characters by which it could steer a terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n"))


def number(value: float) -> str:
    """Return a count with thin groups of three: 12 345."""
    return f"{value:,}".replace(",", "\N{NO-BREAK SPACE}")


def counted(value: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun in the right form."""
    return f"{number(value)} {noun if value == 1 else plural or noun + 's'}"


def shortened(text: str, width: int, words: Iterable[str] = ()) -> str:
    """Return one line of at most `width` characters (8 at least): the part of the text with most of the words."""
    width = max(width, 8)
    line = " ".join(harmless(text).split())
    if len(line) <= width:
        return line
    wanted = {word.lower() for phrase in words for word in _WORD.findall(phrase) if len(word) >= _TELLING}
    places = [match.start() for match in _WORD.finditer(line) if match.group().lower() in wanted]
    best = max(places, key=lambda at: sum(at <= other < at + width - 8 for other in places), default=0)
    start = _beginning(line, best, room=width // 4)
    piece = line[start:]
    lead = "…" if start else ""
    if len(piece) > width - len(lead):
        piece = piece[: max(width - len(lead) - 1, 1)]
        # A word is cut only when there is no other way.
        piece = f"{piece.rsplit(' ', 1)[0].rstrip(' ,;:')}…"
    return lead + piece


def _beginning(line: str, place: int, *, room: int) -> int:
    """Return where to begin reading so that `place` comes soon: its sentence, or a few words before it."""
    earliest = max(0, place - room)
    sentence = max(line.rfind(mark, earliest, place) for mark in (". ", "? ", "! ", "; ", ": "))
    if sentence >= 0:
        return sentence + 2
    return 0 if earliest == 0 else line.find(" ", earliest, place) + 1 or place


def size(count: int | None) -> str:
    """Return a number of bytes as people read it."""
    if count is None:
        return "unknown"
    value = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":  # noqa: PLR2004
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"


def token_bar(parts: Mapping[str, int], budget: int, target: Console) -> Text:
    """Return a bar of what each part of a context takes of the budget; without colour the glyphs tell them apart."""
    from rich.text import Text  # noqa: PLC0415

    coloured = target.color_system is not None and not target.no_color
    width = max(20, min(target.width - 12, 66))
    cells = {name: max(1, width * parts[name] // budget) for name in PARTS if parts.get(name)}
    while sum(cells.values()) > width:
        # A part of a few tokens keeps its cell, at the cost of the longest.
        cells[max(cells, key=lambda name: cells[name])] -= 1
    bar = Text()
    for name, count in cells.items():
        glyph, colour = PARTS[name]
        bar.append(("█" if coloured else glyph) * count, style=colour)
    bar.append(_FREE[0] * (width - len(bar)), style=_FREE[1])
    return bar


def token_legend(parts: Mapping[str, int], target: Console) -> Text:
    """Return what the glyphs or colours of a token bar stand for, with the tokens of each part."""
    from rich.text import Text  # noqa: PLC0415

    coloured = target.color_system is not None and not target.no_color
    legend = Text()
    for name, tokens in ((name, parts[name]) for name in PARTS if parts.get(name)):
        glyph, colour = PARTS[name]
        legend.append("   " if legend else "")
        legend.append("█" if coloured else glyph, style=colour)
        legend.append(f" {_LABELS[name]} {number(tokens)}")
    return legend


@contextmanager
def progress(label: str, *, quiet: bool = False) -> Iterator[Callable[[int, int, object], None]]:
    """Show a bar on standard error while the block runs, if one can move there; yields `update(done, total, what)`."""
    target = console(stderr=True)
    if quiet or not target.is_interactive:
        yield lambda _done, _total, _what: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[what]}", markup=False), console=target, transient=True) as bars:
        task = bars.add_task(label, total=None, what="")

        def update(done: int, total: int, what: object) -> None:
            name = shortened(str(what), max(8, target.width - len(label) - 56))
            bars.update(task, completed=done, total=total, what=name)

        yield update


def near(place: str) -> str:
    """Return a path relative to the current folder where it lies below that, else as it is."""
    return harmless(place).removeprefix(f"{Path.cwd().as_posix()}/")


def plain(value: Any) -> str:
    """Return a value of a table as text."""
    return "-" if value is None else harmless(str(value))


def fallback_lines(stats: Mapping[str, Any]) -> list[str]:
    """Return which default components are not installed, what stands in, and what installing them gives."""
    from ctxkit.plugins.installing import pip_install  # noqa: PLC0415 - start-up stays light

    lines = []
    for line in stats["fallbacks"]:
        lines.append(f"Note: {line}.")
        lines.extend(
            f"      `{pip_install(distribution)}` gives {gain}"
            for name, (distribution, gain) in _GIVES.items()
            if name in line
        )
    return lines

"""Texts that come from a component, made fit to be shown: nothing in them steers a terminal or hides."""

from __future__ import annotations

import os
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

import ctxkit_conformance
from ctxkit import errors

# Colours and cursor movements, which a library's own message may hold.
_ANSI: Final = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]")
# Control characters, marks that turn the direction of writing round, and halves of characters.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

_FRAMES: Final = 4  # of a stack that are kept
_FRAME: Final = re.compile(r'\s*File "([^"]+)", line \d+')
_PYTHONS: Final = re.compile(r"[/\\]lib[/\\]python[\d.]+[/\\](?!site-packages)|[/\\](_pytest|pluggy)[/\\]|^<")
_OURS: Final = tuple(f"{Path(file).parent}{os.sep}" for file in (errors.__file__, ctxkit_conformance.__file__))
_EMPTY_WORDS: Final = frozenset({"Use -v to get more diff", "Use -v to get the full diff"})  # pytest's, of no use here


def visible(text: object) -> str:
    """Return a text in which characters that cannot be seen, or that do something, stand as Python escapes."""
    plain = _ANSI.sub("", str(text).replace("\r\n", "\n"))
    return _UNSEEN.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), plain)


def counted(value: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun in the right form."""
    return f"{value} {noun if value == 1 else plural or noun + 's'}"


def joined(names: list[str], most: int = 0) -> str:
    """Return names as a list in a sentence; with `most`, the first ones and how many more there are."""
    if most and len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def shortened(text: str, width: int) -> str:
    """Return one line of at most `width` characters, cut between words where that leaves most of it."""
    line = " ".join(visible(text).split())
    if len(line) <= width:
        return line
    piece = line[: max(width - 1, 1)]
    words = piece.rsplit(" ", 1)[0]
    return f"{(words if len(words) > width / 2 else piece).rstrip(' ,;:')}…"


def head(text: str, lines: int, width: int) -> list[str]:
    """Return the first lines of a text, each shortened; the last one says how many more there are.

    Of the others those stay that name a line of code which is neither Python's nor the suite's own: the author's.
    """
    found = [line for line in visible(text).split("\n") if line.strip() and line.strip() not in _EMPTY_WORDS]
    # One more line costs no more room than the note that it is missing.
    if len(found) <= lines + 1:
        return [_cut(line, width) for line in found]
    frames = [line for line in found[lines:] if _is_of_the_author(line)][:_FRAMES]
    shown = [*found[:lines], *frames]
    return [*(_cut(line, width) for line in shown), f"… {counted(len(found) - len(shown), 'more line')}"]


def seconds(value: float) -> str:
    """Return a duration as people read it."""
    if value < 0.01:
        return "< 0.01 s"
    if value < 10:
        return f"{value:.2f} s"
    if value < 60:
        return f"{value:.1f} s"
    whole = round(value)
    return f"{whole // 60} min {whole % 60:02d} s"


def moment(written: str) -> str:
    """Return a moment of ISO 8601 as people read it; other text as it is."""
    try:
        found = datetime.fromisoformat(written.replace("Z", "+00:00"))
    except ValueError:
        return written
    if found.tzinfo is None:
        return f"{found:%Y-%m-%d %H:%M}"
    return f"{found.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


def _is_of_the_author(line: str) -> bool:
    found = _FRAME.match(line)
    return found is not None and not found[1].startswith(_OURS) and not _PYTHONS.search(found[1])


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else f"{line[: width - 1]}…"

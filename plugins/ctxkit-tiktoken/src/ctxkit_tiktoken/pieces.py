"""Where text can be taken apart so that the parts have exactly the tokens of the whole.

tiktoken cuts text into pieces by an expression and encodes each piece alone. Text may be divided wherever the
expression always begins a piece and cuts what stands before as if the text ended there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

BLOCK: Final = 1 << 16
"""Characters of a long text that are encoded at a time."""

LONG_RUN: Final = 1 << 17
"""Blanks in a row from which on they are not left to tiktoken, whose expression overflows its stack at a million."""

_BLANK = "\t\x0b\x0c \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029"
_BLANK += "\u202f\u205f\u3000"
BREAKS: Final = "\r\n"
SPACE: Final = _BLANK + BREAKS
"""White space as Rust's expressions see it, which is not what Python's see."""

# Before a blank after ink, between a letter and a digit, and where Chinese or Japanese letters meet punctuation.
_CUT = re.compile(
    rf"(?<=[^{SPACE}])(?=[ \t])|(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])"
    r"|(?<=[\u3041-\u3096\u30a1-\u30fa\u4e00-\u9ffc])(?=[\u3001\u3002\uff01\uff0c\uff1f])"
)


def blocks(text: str) -> Iterator[str]:
    """Yield parts of BLOCK characters or a little more; their tokens are those of the text."""
    start = 0
    while len(text) - start > BLOCK:
        cut = _CUT.search(text, start + BLOCK)
        if cut is None:
            break
        yield text[start : cut.start()]
        start = cut.start()
    yield text[start:] if start else text


def last_cut(text: str, before: int) -> int:
    """Return the last place at or before `before` where text can be taken apart; 0 if there is none."""
    return _nearest(text, before, backwards=True)


def first_cut(text: str, after: int) -> int:
    """Return the first place at or after `after` where text can be taken apart; the length if there is none."""
    return _nearest(text, after, backwards=False)


def _nearest(text: str, place: int, *, backwards: bool) -> int:
    if not backwards:
        found = _CUT.search(text, max(place, 0))
        return found.start() if found else len(text)
    reach = 256
    while place > 0:
        start = max(place - reach, 0)
        cuts = [cut.start() for cut in _CUT.finditer(text, start, min(place + 1, len(text)))]
        if cuts or start == 0:
            return cuts[-1] if cuts else 0
        reach *= 4
    return 0


def long_runs(text: str, *, breaks_lines: bool) -> Iterator[tuple[int, int]]:
    """Yield the places of the blanks of each long run that are one piece.

    With `breaks_lines`, the expression ends a piece after the last line break of a run, and what follows is the run
    here; what precedes is no trouble. The last blank before ink belongs to what follows it.
    """
    blank = _BLANK if breaks_lines else SPACE
    end = 0
    for place in range(LONG_RUN - 1, len(text), LONG_RUN):
        if place < end or text[place] not in blank:
            continue
        start = end + len(text[end:place].rstrip(blank))
        end = _end_of_run(text, place, blank)
        if end - start < LONG_RUN or text[end : end + 1] in {"\r", "\n"}:
            continue
        yield start, end - (end < len(text))


def _end_of_run(text: str, place: int, blank: str) -> int:
    run = re.compile(f"[{blank}]*").match(text, place)
    return run.end() if run else place

"""How a context reads. Wording and order follow from the content alone, so equal content renders equally."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from itertools import count

from ctxkit.memory.entries import DOCUMENT, KIND
from ctxkit.retrieval import MONTHS, Candidate

TITLES = {
    "summary": "## Earlier in this conversation\n",
    "memory": "## Memories\n",
    "recent": "## Recent turns\n",
    "question": "## Question\n",
}
CUT = " [...]"
_LONGEST_NAME = 80
# White space of every kind, the line breaks of Unicode among it, and control characters.
_BREAK = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_DAY = re.compile(r"\d{1,2} [A-Z][a-z]+( \d{4,})?|undated")


class Headings:
    """One heading for each day and each document; two documents never share one.

    A day is named with its year where that begins, "[8 May 2023]", and without it from then on: "[20 June]". A document
    is named by its file and folder, because a whole path would cost tokens in every prompt, and by as much more of its
    path as tells it from the documents shown before.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def of(self, candidate: Candidate) -> str:
        """Return the heading under which a memory would stand, a day without its year."""
        source = _source(candidate)
        return f"[{_day(candidate.timestamp).name if source is None else self._name(source)}]\n"

    def year(self, candidate: Candidate) -> str:
        """Return what stands in the heading too, once for each year; nothing for a document or without a day."""
        return _day(candidate.timestamp).year if _source(candidate) is None else ""

    def keep(self, candidate: Candidate) -> None:
        """Give the memory's document the heading that it has now, for good."""
        source = _source(candidate)
        if source is not None:
            self._names[source] = self._name(source)

    def place(self, candidate: Candidate) -> tuple[float, str]:
        """Return what memories are ordered by: documents, then days, then what has no day."""
        known = _source(candidate) is None
        return (_day(candidate.timestamp).number if known else float("-inf"), self.of(candidate))

    def _name(self, source: str) -> str:
        known = self._names.get(source)
        if known is not None:
            return known
        taken = set(self._names.values())
        return next(name for name in _names(source) if name not in taken and not _DAY.fullmatch(name))


@dataclass(frozen=True, slots=True)
class _Day:
    """The day of a memory: what it is ordered by, its name, and its year as it stands behind the name."""

    number: float = float("inf")
    name: str = "undated"
    year: str = ""


@lru_cache(maxsize=4096)
def _day(timestamp: float | None) -> _Day:
    """Return the day of a moment in UTC; the same few sessions are shown again and again."""
    if timestamp is None:
        return _Day()
    try:
        day = datetime.fromtimestamp(timestamp, tz=timezone.utc)
    except (OverflowError, OSError, ValueError):
        return _Day()
    return _Day(float(day.toordinal()), f"{day.day} {MONTHS[day.month - 1].capitalize()}", f" {day.year}")


def memory_line(candidate: Candidate) -> str:
    """Return a memory as it stands in the prompt: its speaker once, or a dash, then its text verbatim."""
    speaker = _one_line(candidate.speaker or "")
    if not speaker:
        return f"- {candidate.text}\n"
    return f"{candidate.text}\n" if candidate.text.startswith(f"{speaker}:") else f"{speaker}: {candidate.text}\n"


def memories(candidates: Sequence[Candidate], headings: Headings) -> str:
    """Return the memories under one heading per day or document, documents first, then days in their order."""
    ordered = sorted(
        candidates, key=lambda c: (*headings.place(c), c.timestamp or 0.0, c.thread or "", c.position, c.id)
    )
    lines: list[str] = []
    heading, years = ("", ""), {""}
    for candidate in ordered:
        own, year = headings.of(candidate), headings.year(candidate)
        if (own, year) != heading:
            lines.append(own if year in years else own.replace("]", f"{year}]"))
            heading = (own, year)
            years.add(year)
        lines.append(memory_line(candidate))
    return "".join(lines)


def section(name: str, body: str) -> str:
    """Return a section with its title, or nothing when the body is empty."""
    return f"{TITLES[name]}{body}\n" if body else ""


def _source(candidate: Candidate) -> str | None:
    source = candidate.metadata.get("source_id")
    return source if isinstance(source, str) and candidate.metadata.get(KIND) == DOCUMENT else None


def _names(source: str) -> Iterator[str]:
    """Yield names for a document, the shortest first, without end."""
    parts = [part for part in source.split("/") if part]
    for length in range(2, len(parts) + 1):
        yield _one_line("/".join(parts[-length:]))
    whole = _one_line(source) or "document"
    yield whole
    for number in count(2):
        mark = f" ({number})"
        yield f"{whole[: _LONGEST_NAME - len(mark)]}{mark}"


@lru_cache(maxsize=1024)
def _one_line(name: str) -> str:
    """Return a name in one line and of bounded length, its end if it is too long, so that it cannot pass for more."""
    name = _BREAK.sub(" ", name).strip()
    return name if len(name) <= _LONGEST_NAME else f"...{name[3 - _LONGEST_NAME :]}"

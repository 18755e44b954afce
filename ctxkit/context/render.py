"""How a context reads. Wording and order follow from the content alone, so equal content renders equally."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from itertools import count

from ctxkit.memory.entries import DOCUMENT, KIND
from ctxkit.records import Metadata
from ctxkit.retrieval import Candidate

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
_DAY = re.compile(r"\d{4,}-\d\d-\d\d|undated")


class Headings:
    """One heading for each day and each document; two documents never share one.

    A document is named by its file and folder, because a whole path would cost tokens in every prompt, and by as
    much more of its path as tells it from the documents shown before.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def of(self, candidate: Candidate) -> str:
        """Return the heading under which a memory would stand."""
        source = _source(candidate.metadata)
        return f"[{_day(candidate.timestamp)[1] if source is None else self._name(source)}]\n"

    def keep(self, candidate: Candidate) -> None:
        """Give the memory's document the heading that it has now, for good."""
        source = _source(candidate.metadata)
        if source is not None:
            self._names[source] = self._name(source)

    def place(self, candidate: Candidate) -> tuple[float, str]:
        """Return what memories are ordered by: documents, then days, then what has no day."""
        known = _source(candidate.metadata) is None
        return (_day(candidate.timestamp)[0] if known else float("-inf"), self.of(candidate))

    def _name(self, source: str) -> str:
        known = self._names.get(source)
        if known is not None:
            return known
        taken = set(self._names.values())
        return next(name for name in _names(source) if name not in taken and not _DAY.fullmatch(name))


def memory_line(candidate: Candidate) -> str:
    """Return a memory as it stands in the prompt: its speaker once, then its text verbatim."""
    given = candidate.metadata.get("speaker")
    speaker = _one_line(given) if isinstance(given, str) else ""
    if speaker and not candidate.text.startswith(f"{speaker}:"):
        return f"- {speaker}: {candidate.text}\n"
    return f"- {candidate.text}\n"


def memories(candidates: Sequence[Candidate], headings: Headings) -> str:
    """Return the memories under one heading per day or document, documents first, then days in their order."""
    ordered = sorted(
        candidates, key=lambda c: (*headings.place(c), c.timestamp or 0.0, c.thread or "", c.position, c.id)
    )
    lines: list[str] = []
    heading = ""
    for candidate in ordered:
        own = headings.of(candidate)
        if own != heading:
            lines.append(own)
            heading = own
        lines.append(memory_line(candidate))
    return "".join(lines)


def section(name: str, body: str) -> str:
    """Return a section with its title, or nothing when the body is empty."""
    return f"{TITLES[name]}{body}\n" if body else ""


def _day(timestamp: float | None) -> tuple[float, str]:
    """Return (number, name) of the day of a memory."""
    if timestamp is not None:
        try:
            day = datetime.fromtimestamp(timestamp, tz=timezone.utc)
        except (OverflowError, OSError, ValueError):
            return (float("inf"), "undated")
        return (float(day.toordinal()), f"{day:%Y-%m-%d}")
    return (float("inf"), "undated")


def _source(metadata: Metadata) -> str | None:
    source = metadata.get("source_id")
    return source if isinstance(source, str) and metadata.get(KIND) == DOCUMENT else None


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


def _one_line(name: str) -> str:
    """Return a name in one line and of bounded length, its end if it is too long, so that it cannot pass for more."""
    name = _BREAK.sub(" ", name).strip()
    return name if len(name) <= _LONGEST_NAME else f"...{name[3 - _LONGEST_NAME :]}"

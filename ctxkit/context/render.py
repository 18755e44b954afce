"""How a context reads. Wording and order follow from the content alone, so equal content renders equally."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import PurePosixPath

from ctxkit.records import Metadata
from ctxkit.retrieval import Candidate

TITLES = {
    "summary": "## Earlier in this conversation\n",
    "memory": "## Memories\n",
    "recent": "## Recent turns\n",
    "question": "## Question\n",
}
CUT = " [...]"


def group_of(candidate: Candidate) -> tuple[float, str]:
    """Return (sort key, heading) of the group in which a memory is shown: its day, or its document."""
    source = _source(candidate.metadata)
    if source is not None:
        return (float("-inf"), f"[{source}]\n")
    if candidate.timestamp is None:
        return (float("inf"), "[undated]\n")
    try:
        day = datetime.fromtimestamp(candidate.timestamp, tz=timezone.utc)
    except (OverflowError, OSError, ValueError):
        return (float("inf"), "[undated]\n")
    return (float(day.toordinal()), f"[{day:%Y-%m-%d}]\n")


def memory_line(candidate: Candidate) -> str:
    """Return a memory as it stands in the prompt: its speaker once, then its text verbatim."""
    speaker = candidate.metadata.get("speaker")
    if isinstance(speaker, str) and speaker and not candidate.text.startswith(speaker):
        return f"- {speaker}: {candidate.text}\n"
    return f"- {candidate.text}\n"


def memories(candidates: Sequence[Candidate]) -> str:
    """Return the memories under one heading per day or document, documents first, then days in their order."""
    ordered = sorted(candidates, key=lambda c: (*group_of(c), c.timestamp or 0.0, c.thread or "", c.position, c.id))
    lines: list[str] = []
    heading = ""
    for candidate in ordered:
        _, own = group_of(candidate)
        if own != heading:
            lines.append(own)
            heading = own
        lines.append(memory_line(candidate))
    return "".join(lines)


def section(name: str, body: str) -> str:
    """Return a section with its title, or nothing when the body is empty."""
    return f"{TITLES[name]}{body}\n" if body else ""


def _source(metadata: Metadata) -> str | None:
    source = metadata.get("source_id")
    if not isinstance(source, str) or metadata.get("_ctx_kind") != "document":
        return None
    # The name and its folder tell documents apart; a whole path would cost tokens in every prompt.
    return "/".join(PurePosixPath(source).parts[-2:])

"""Summary records: what stands for turns that left the short-term view, and for summaries of those."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ctxkit.interfaces import LLM, Tokenizer
from ctxkit.memory.entries import (
    DUE,
    FRONTIER,
    KIND,
    LEVEL,
    LINEAGE,
    ORDER,
    SEQ,
    SUMMARY,
    THREAD,
    WRITTEN_BY,
    Turn,
    digest,
)
from ctxkit.memory.scope import OWNERS
from ctxkit.records import Metadata, Record

_log = logging.getLogger(__name__)
LEVELS: Final = ("chunk", "session", "topic")
NOBODY: Final = "none"
_MIN_TOKENS = 32
_MAX_TOKENS = 1000


@dataclass(frozen=True, slots=True)
class Member:
    """What a summary stands for: a turn, or a summary of the level below. `order` is that of its last turn."""

    id: str
    text: str
    tokens: int
    order: int
    metadata: Metadata

    @classmethod
    def of_turn(cls, turn: Turn) -> Member:
        """Return a turn as a member."""
        metadata: Metadata = {**turn.metadata, SEQ: turn.position, "timestamp": turn.timestamp}
        return cls(turn.id, turn.text, turn.tokens, turn.order, metadata)

    @classmethod
    def of_record(cls, record: Record, tokenizer: Tokenizer) -> Member:
        """Return a stored turn or summary as a member."""
        metadata = dict(record.metadata)
        order = metadata.get(FRONTIER, metadata.get(ORDER, 0))
        return cls(record.id, record.text, tokenizer.count(record.text), int(str(order)), metadata)


@dataclass(frozen=True, slots=True)
class Style:
    """How summaries are made: `writer` writes them at once, to `ratio` of the length; None: without a text.

    `due`: they shall be written (again) later.
    """

    writer: LLM | None
    ratio: float
    due: bool


def summary_record(
    members: Sequence[Member], style: Style, *, thread: str, level: str, frontier: int | None = None
) -> Record:
    """Return the summary of some members, oldest first.

    Its id follows from the members, so that making it twice makes one record. A writer that fails costs the text of
    the summary only: the links stand. `frontier` is given where the last turn it stands for is no longer there.
    """
    first = members[0].metadata
    text, by = written(members, style)
    metadata: Metadata = {
        **{name: first[name] for name in OWNERS if name in first},
        KIND: SUMMARY,
        THREAD: thread,
        SEQ: first[SEQ],
        LEVEL: level,
        LINEAGE: [member.id for member in members],
        FRONTIER: max(member.order for member in members) if frontier is None else frontier,
        WRITTEN_BY: by,
        "timestamp": max(float(str(member.metadata.get("timestamp", 0.0))) for member in members),
    }
    if style.due:
        metadata[DUE] = True
    own = (thread,) if level == LEVELS[0] else (level, thread)
    return Record(f"summary-{digest(*own, *(member.id for member in members))}", text, None, metadata)


def emptied(record: Record) -> Record:
    """Return a summary that was deleted: without a text it still says which turns have left the short-term view."""
    metadata = {key: value for key, value in record.metadata.items() if key != DUE}
    return Record(record.id, "", None, {**metadata, WRITTEN_BY: NOBODY})


def length(size: int, ratio: float) -> int:
    """Return how many tokens a summary of `size` tokens may have."""
    return min(max(int(size * ratio), _MIN_TOKENS), _MAX_TOKENS)


def written(members: Sequence[Member], style: Style) -> tuple[str, str]:
    """Return a summary's text and who wrote it, nobody where the writer fails."""
    if style.writer is None:
        return "", NOBODY
    limit = length(sum(member.tokens for member in members), style.ratio)
    prompt = "\n".join(member.text for member in members)
    try:
        completion = style.writer.complete([{"role": "user", "content": prompt}], max_tokens=limit)
    except Exception as exc:  # noqa: BLE001 - a summary is never worth a turn
        _log.warning("summarising %d turns failed (%s); the turns are stored", len(members), type(exc).__name__)
        return "", NOBODY
    return completion.text, completion.model

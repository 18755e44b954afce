"""What is left in view of turns that leave it: a summary that links to them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ctxkit.interfaces import LLM
from ctxkit.memory.entries import (
    FRONTIER,
    KIND,
    LEVEL,
    LINEAGE,
    SEQ,
    SUMMARY,
    THREAD,
    WRITTEN_BY,
    Turn,
    digest,
)
from ctxkit.memory.scope import Scope
from ctxkit.records import Record

_log = logging.getLogger(__name__)
_MIN_TOKENS = 32
_MAX_TOKENS = 1000


def summarize(turns: Sequence[Turn], summarizer: LLM, *, scope: Scope, thread: str, ratio: float) -> Record:
    """Return the summary record of some turns, at most `ratio` of their tokens long.

    Its id follows from the turns, so that doing it twice makes one record. A summariser that fails costs the
    text of the summary only: the turns and their links stand.
    """
    size = sum(turn.tokens for turn in turns)
    limit = min(max(int(size * ratio), _MIN_TOKENS), _MAX_TOKENS)
    prompt = "\n".join(turn.text for turn in turns)
    by = "none"
    try:
        completion = summarizer.complete([{"role": "user", "content": prompt}], max_tokens=limit)
        text, by = completion.text, completion.model
    except Exception as exc:  # noqa: BLE001 - a summary is never worth a turn
        _log.warning("summarising %d turns failed (%s); the turns are stored", len(turns), type(exc).__name__)
        text = ""
    metadata = scope.stamp(
        {
            KIND: SUMMARY,
            THREAD: thread,
            SEQ: turns[0].position,
            LEVEL: "chunk",
            LINEAGE: [turn.id for turn in turns],
            FRONTIER: max(turn.order for turn in turns),
            WRITTEN_BY: by,
            "timestamp": max(turn.timestamp for turn in turns),
        }
    )
    return Record(f"summary-{digest(thread, *(turn.id for turn in turns))}", text, None, metadata)

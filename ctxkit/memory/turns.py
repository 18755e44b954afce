"""Storing turns and memories, long ones as linked parts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ctxkit.errors import InvalidRecordError
from ctxkit.ingest import split_text
from ctxkit.interfaces import Tokenizer
from ctxkit.memory.entries import (
    HEAD,
    KIND,
    PART,
    SEQ,
    SPLIT,
    THREAD,
    TURN,
    USER_CHARACTERS,
    Turn,
    digest,
    new_id,
    public_metadata,
    turn_from_record,
    turn_text,
)
from ctxkit.memory.scope import Scope
from ctxkit.memory.vault import Vault
from ctxkit.records import Record

_LONG = 2  # times the size of a part


def store_turn(
    vault: Vault,
    scope: Scope,
    tokenizer: Tokenizer,
    words: tuple[str, str],
    *,
    turn_id: str | None,
    timestamp: float,
    metadata: dict[str, Any],
    part_size: int,
) -> Turn:
    """Write one turn, (user, assistant), and return it; a turn stored before under `turn_id` is returned as it is."""
    user, assistant = words
    if not user.strip() and not assistant.strip():
        raise InvalidRecordError(
            "a turn is blank on both sides.", fix="observe turns in which somebody said something."
        )
    if not math.isfinite(timestamp):
        raise InvalidRecordError(f"the timestamp is {timestamp}.", fix="pass seconds since the epoch.")
    text = turn_text(user, assistant)
    tokens = tokenizer.count(text)
    stamped = scope.stamp(metadata)
    stamped.setdefault("timestamp", timestamp)
    thread = str(scope.thread(stamped, conversation=True))
    record_id = new_id("turn") if turn_id is None else f"turn-{digest(thread, turn_id)}"
    if turn_id is not None:
        (known,) = vault.store.get([record_id])
        if known is not None:
            return _same_turn(turn_from_record(known, tokens), text, turn_id)
    stamped |= {KIND: TURN, USER_CHARACTERS: len(user), THREAD: thread, SEQ: vault.next_position(thread)}
    head = Record(record_id, text, None, stamped)
    vault.write(list(with_parts(head, tokenizer, tokens=tokens, part_size=part_size)))
    return turn_from_record(head, tokens)


def with_parts(head: Record, tokenizer: Tokenizer, *, tokens: int, part_size: int) -> Iterator[Record]:
    """Yield the parts of a long record and then the record itself, so that it is there whole or not at all."""
    if tokens <= _LONG * part_size:
        yield head
        return
    shared = public_metadata(head.metadata)
    for chunk in split_text(head.text, tokenizer, size=part_size):
        own = {KIND: PART, HEAD: head.id, THREAD: head.id, SEQ: chunk.index}
        yield Record(f"{head.id}/{chunk.index}", chunk.text, None, {**shared, **own})
    yield Record(head.id, head.text, None, {**head.metadata, SPLIT: True})


def _same_turn(known: Turn, text: str, turn_id: str) -> Turn:
    if known.text != text:
        raise InvalidRecordError(
            f"the turn {turn_id!r} was stored before with other words.", fix="give a new turn a new turn_id."
        )
    return known

"""Storing turns and memories, long ones as linked parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ctxkit.errors import InvalidRecordError
from ctxkit.ingest import split_text
from ctxkit.interfaces import Tokenizer
from ctxkit.memory.entries import (
    FIELDS,
    HEAD,
    KIND,
    ORDER,
    PART,
    SEQ,
    SPLIT,
    THREAD,
    TURN,
    USER_CHARACTERS,
    Turn,
    clean,
    digest,
    new_id,
    public_metadata,
    turn_from_record,
    turn_text,
)
from ctxkit.memory.scope import Scope
from ctxkit.memory.vault import Vault
from ctxkit.records import Record, check_metadata

_LONG = 2  # times the size of a part


def store_turn(
    vault: Vault,
    scope: Scope,
    tokenizer: Tokenizer,
    words: tuple[str, str],
    *,
    turn_id: str | None,
    metadata: Mapping[str, Any],
    part_size: int,
    after: int,
) -> Turn:
    """Write one turn, (user, assistant), and return it; a turn stored before under `turn_id` is returned as it is.

    `metadata` holds the timestamp; `after` is the order of the newest turn known.
    """
    user, assistant = words
    if not user.strip() and not assistant.strip():
        raise InvalidRecordError(
            "a turn is blank on both sides.", fix="observe turns in which somebody said something."
        )
    text = turn_text(user, assistant)
    tokens = tokenizer.count(text)
    stamped = dict(check_metadata(scope.stamp(dict(metadata)), record_id=turn_id or "the turn", fields=FIELDS))
    thread = str(scope.thread(stamped, conversation=True))

    def write(record_id: str) -> Turn:
        own = {KIND: TURN, USER_CHARACTERS: len(user), THREAD: thread}
        with vault.writing:  # both at once, so that they agree
            places = {SEQ: vault.next_position(thread), ORDER: vault.next_order(after)}
        head = Record(record_id, text, None, {**stamped, **own, **places})
        vault.write(list(with_parts(head, tokenizer, tokens=tokens, part_size=part_size)))
        return turn_from_record(head, tokens)

    if turn_id is None:
        return write(new_id("turn"))
    # Between looking for the turn and writing it nobody else of this process may do the same.
    with vault.writing:
        record_id = f"turn-{digest(thread, check_turn_id(turn_id))}"
        (known,) = vault.store.get([record_id])
        return write(record_id) if known is None else _same_turn(turn_from_record(known, tokens), text, turn_id)


def check_turn_id(turn_id: object) -> str:
    """Return the turn id as storable text, or raise InvalidRecordError when it is no non-empty str."""
    if not isinstance(turn_id, str) or not turn_id:
        raise InvalidRecordError(f"the turn_id is {turn_id!r}.", fix="pass a non-empty str, for example str(value).")
    return clean(turn_id)


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

"""Storing turns and memories, long ones as linked parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ctxkit.errors import InvalidRecordError
from ctxkit.ingest import split_text
from ctxkit.interfaces import Tokenizer
from ctxkit.memory.chats import chat_record
from ctxkit.memory.entries import (
    HEAD,
    KIND,
    ORDER,
    PART,
    SEQ,
    SPLIT,
    THREAD,
    TURN,
    UNDERSTOOD,
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


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was said in one turn; `chat` is what `check_chat` made of its messages."""

    user: str
    assistant: str
    chat: str | None = None


def store_turn(
    vault: Vault,
    scope: Scope,
    tokenizer: Tokenizer,
    exchange: Exchange,
    *,
    turn_id: str | None,
    metadata: Mapping[str, Any],
    part_size: int,
    after: int,
) -> Turn:
    """Write one turn and return it; a turn stored before under `turn_id` is returned as it is.

    `metadata` holds the timestamp; `after` is the order of the newest turn known.
    """
    user, assistant = exchange.user, exchange.assistant
    if not user.strip() and not assistant.strip():
        raise InvalidRecordError(
            "a turn is blank on both sides.", fix="observe turns in which somebody said something."
        )
    text = turn_text(user, assistant)
    tokens = tokenizer.count(text)
    stamped = dict(check_metadata(scope.stamp(dict(metadata)), record_id=turn_id or "the turn", fields=UNDERSTOOD))
    thread = str(scope.thread(stamped, conversation=True))

    record_id = new_id("turn") if turn_id is None else f"turn-{digest(thread, check_turn_id(turn_id))}"
    known = None if turn_id is None else vault.store.get([record_id])[0]
    if known is not None:
        return _same_turn(turn_from_record(known, tokens), text, turn_id)
    head = Record(record_id, text, None, {**stamped, KIND: TURN, USER_CHARACTERS: len(user), THREAD: thread})
    stored = head

    def placed(batch: Sequence[Record]) -> Sequence[Record]:
        """Give the turn its place at the last moment, so that none comes after it before it is there."""
        nonlocal stored
        if turn_id is not None and (known := vault.store.get([record_id])[0]) is not None:
            stored = known  # another thread or process has stored it meanwhile
            return []
        places = {SEQ: vault.next_position(thread), ORDER: vault.next_order(after)}
        stored = replace(batch[-1], metadata={**batch[-1].metadata, **places})
        return [*batch[:-1], stored]

    beside = [] if exchange.chat is None else [chat_record(head, exchange.chat)]
    vault.write([*beside, *with_parts(head, tokenizer, tokens=tokens, part_size=part_size)], finish=placed)
    return _same_turn(turn_from_record(stored, tokens), text, turn_id)


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


def _same_turn(known: Turn, text: str, turn_id: str | None) -> Turn:
    if known.text != text:
        raise InvalidRecordError(
            f"the turn {turn_id!r} was stored before with other words.", fix="give a new turn a new turn_id."
        )
    return known

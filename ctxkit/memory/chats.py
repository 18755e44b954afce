"""The messages of a turn as they were exchanged, tool calls and their results among them.

They are a record of their own beside the turn, which is what is searched and shown: a part of it that no search sees.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ctxkit.errors import InvalidRecordError, LLMError
from ctxkit.interfaces.llm import Message
from ctxkit.memory.entries import HEAD, KIND, PART, SEQ, SPLIT, THREAD, public_metadata
from ctxkit.memory.vault import Vault
from ctxkit.providers.forms import plain_chat
from ctxkit.providers.messages import checked_messages
from ctxkit.records import Record

_ROLES = ("user", "assistant", "tool")


def check_chat(messages: Sequence[Message] | None) -> str | None:
    """Return the messages of one turn as they are stored, None for none.

    They may be in OpenAI's form or in Anthropic's. Raises InvalidRecordError for what no provider would take back:
    other roles, contents that cannot be sent, a tool call without its result, a result without its call.
    """
    if messages is None:
        return None
    try:
        chat = plain_chat(checked_messages(messages, _ROLES, "observe"))
        _check_pairs(chat)
        return json.dumps(chat, ensure_ascii=False, allow_nan=False)
    except (LLMError, TypeError, ValueError) as exc:
        detail = exc.message if isinstance(exc, LLMError) else str(exc)
        raise InvalidRecordError(
            f"the messages of the turn cannot be kept: {detail}",
            fix="pass the turn's own messages, each tool call followed by its result.",
        ) from None


def chat_record(head: Record, chat: str) -> Record:
    """Return the record that keeps the messages of a turn; it goes when the turn goes."""
    own = {KIND: PART, HEAD: head.id, THREAD: head.id, SEQ: -1, SPLIT: True}
    return Record(_place(head.id), chat, None, {**public_metadata(head.metadata), **own})


def stored_chats(vault: Vault, turns: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the messages of those turns that were observed with them, by the turn's id."""
    ids = list(turns)
    found = vault.store.get([_place(turn) for turn in ids])
    return {turn: json.loads(record.text) for turn, record in zip(ids, found, strict=True) if record is not None}


def _place(turn: str) -> str:
    return f"{turn}/messages"


def _check_pairs(chat: Sequence[Message]) -> None:
    """Raise ValueError unless every call is answered, once and after it was made."""
    open_calls: set[str] = set()
    for message in chat:
        if message["role"] == "tool":
            call = message.get("tool_call_id")
            if call not in open_calls:
                raise ValueError(f"there is a result of the call {call!r}, which was not made before it.")
            open_calls.discard(str(call))
        elif open_calls:
            break
        open_calls.update(str(call.get("id")) for call in message.get("tool_calls") or ())
    if open_calls:
        raise ValueError(f"the call {min(open_calls)!r} has no result right after it.")

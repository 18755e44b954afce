"""How memories look as records, and records as memories.

Keys of our own begin with `_ctx_` and users cannot set them:

    _ctx_kind      "turn", "memory", "document", "part" (a piece of a long turn or memory) or "summary"
    _ctx_split     of a turn or memory: it is long, and its parts are searched in its place
    _ctx_thread    the conversation or document in which neighbouring positions mean something
    _ctx_seq       the position in that thread, from 0
    _ctx_order     of a turn: when it was observed, in microseconds, later than every turn before it
    _ctx_head      of a part: the id of the text it is a piece of
    _ctx_user      of a turn: how many characters the user's words take
    _ctx_lineage   of a summary: the ids of what it stands for, turns or summaries of the level below
    _ctx_level     of a summary: "chunk" (of turns), "session" (of chunks) or "topic" (of those)
    _ctx_frontier  of a summary: the order of the last turn it stands for
    _ctx_by        of a summary: what wrote it
    _ctx_due       of a summary: the language model has not written it yet
    _ctx_supersedes  of a memory: the id of the one whose place it took
    _ctx_digest    of a document's chunk: which text it was cut from, and how
    _ctx_pending   the record still waits for its vector
    _ctx_filler    the vector means nothing: the store wants one for every record
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ctxkit.errors import InvalidRecordError
from ctxkit.records import FieldType, Hit, Metadata, Record
from ctxkit.retrieval import Candidate

KIND, THREAD, SEQ, ORDER, HEAD = "_ctx_kind", "_ctx_thread", "_ctx_seq", "_ctx_order", "_ctx_head"
USER_CHARACTERS, PENDING, DIGEST, SPLIT = "_ctx_user", "_ctx_pending", "_ctx_digest", "_ctx_split"
LINEAGE, LEVEL, FRONTIER, WRITTEN_BY = "_ctx_lineage", "_ctx_level", "_ctx_frontier", "_ctx_by"
DUE, SUPERSEDES = "_ctx_due", "_ctx_supersedes"
VALID_FROM, VALID_UNTIL, EXPIRES_AT = "valid_from", "valid_until", "expires_at"
RESERVED, FILLER = "_ctx_", "_ctx_filler"

TURN, MEMORY, DOCUMENT, PART, SUMMARY = "turn", "memory", "document", "part", "summary"
SEARCHABLE: Mapping[str, Any] = {
    "_ctx_kind": {"$in": ["document", "memory", "part", "turn"]},
    "_ctx_split": {"$exists": False},
}

FIELDS: Mapping[str, FieldType] = {
    KIND: "str",
    THREAD: "str",
    SEQ: "int",
    ORDER: "int",
    FRONTIER: "int",
    HEAD: "str",
    DIGEST: "str",
    PENDING: "bool",
    FILLER: "bool",
    LEVEL: "str",
    SUPERSEDES: "str",
    VALID_FROM: "number",
    VALID_UNTIL: "number",
    EXPIRES_AT: "number",
    DUE: "bool",
    SPLIT: "bool",
    "session_id": "str",
    "task_id": "str",
    "user_id": "str",
    "agent_id": "str",
    "source_id": "str",
    "timestamp": "number",
}
# What a user's metadata is checked for; the importance is no field of the store, which may hold other values of before.
UNDERSTOOD: Mapping[str, FieldType] = {**FIELDS, "importance": "number"}
_USER, _ASSISTANT = "User: ", "\nAssistant: "


@dataclass(frozen=True, slots=True)
class Turn:
    """One exchange: what the user said and what the assistant answered. `tokens` is the length of `text`."""

    id: str
    user_input: str
    assistant_response: str
    timestamp: float
    position: int
    tokens: int
    order: int = 0
    metadata: Metadata = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Both sides, as they are stored and searched."""
        return turn_text(self.user_input, self.assistant_response)


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of long-term memory: a turn, a memory, a piece of a document or a summary."""

    id: str
    text: str
    kind: str
    timestamp: float | None
    metadata: Metadata = field(default_factory=dict)


def clean(text: str) -> str:
    """Return the text with lone surrogates replaced by U+FFFD, because no store can hold them."""
    if not isinstance(text, str):
        raise InvalidRecordError(f"expected text, found {type(text).__name__}.", fix="pass a str.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        # Through UTF-16 a proper pair, however it was written, becomes its character again.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return str.__str__(text)  # a subclass, an Enum say, could format itself otherwise


def new_id(prefix: str) -> str:
    """Return an id that no other process makes and that sorts by time."""
    return f"{prefix}-{time.time_ns() // 1_000_000:012x}{uuid.uuid4().hex[:16]}"


def digest(*parts: str) -> str:
    """Return a short name that is the same for the same parts and for no others."""
    joined = b"".join(len(raw).to_bytes(8, "big") + raw for raw in (part.encode("utf-8") for part in parts))
    return hashlib.sha256(joined).hexdigest()[:32]


def turn_text(user_input: str, assistant_response: str) -> str:
    """Return both sides of a turn as one text."""
    return f"{_USER}{user_input}{_ASSISTANT}{assistant_response}"


def turn_from_record(record: Record, tokens: int) -> Turn:
    """Read a turn back from its record."""
    length = int(record.metadata.get(USER_CHARACTERS, 0))
    start = len(_USER)
    return Turn(
        id=record.id,
        user_input=record.text[start : start + length],
        assistant_response=record.text[start + length + len(_ASSISTANT) :],
        timestamp=float(record.metadata.get("timestamp", 0.0)),
        position=int(record.metadata.get(SEQ, 0)),
        tokens=tokens,
        order=int(record.metadata.get(ORDER, 0)),
        metadata=public_metadata(record.metadata),
    )


def as_candidate(found: Hit | Record) -> Candidate:
    """Return a stored record as a candidate without scores."""
    about: Mapping[str, Any] = found.metadata
    timestamp = about.get("timestamp")
    is_turn = about.get(KIND) == TURN
    return Candidate(
        found.id,
        found.text,
        found.metadata,
        about.get(THREAD),
        int(about.get(SEQ, 0)),
        is_turn,
        None if timestamp is None else float(timestamp),
        _unanswered(found.text, int(about.get(USER_CHARACTERS, 0))) if is_turn else None,
    )


def _unanswered(text: str, length: int) -> str | None:
    """Return the user's words of a turn's text, of which they take so many characters, if nothing stands after them."""
    end = len(_USER) + length
    return text[len(_USER) : end] if len(text) == end + len(_ASSISTANT) else None


def entry_from_record(record: Record) -> Entry:
    """Read an item of long-term memory back from its record."""
    timestamp = record.metadata.get("timestamp")
    return Entry(
        id=record.id,
        text=record.text,
        kind=str(record.metadata.get(KIND, MEMORY)),
        timestamp=None if timestamp is None else float(timestamp),
        metadata=public_metadata(record.metadata),
    )


def public_metadata(metadata: Mapping[str, Any]) -> Metadata:
    """Return the metadata without our own keys."""
    return {key: value for key, value in metadata.items() if not key.startswith(RESERVED)}


def check_user_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a copy of the metadata a user passed, or raise InvalidRecordError when it uses our keys."""
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise InvalidRecordError(f"metadata is {type(metadata).__name__}, not a mapping.", fix="pass a dict.")
    given: Mapping[Any, Any] = metadata
    for key in given:
        if isinstance(key, str) and key.startswith(RESERVED):
            raise InvalidRecordError(
                f"the metadata key {key!r} is reserved.", fix=f"do not begin keys with {RESERVED}."
            )
    return {key: clean(value) if isinstance(value, str) else value for key, value in metadata.items()}

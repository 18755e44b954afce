"""Whose memories, and of which conversation: the filter that every search carries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ctxkit.errors import ConfigError, InvalidRecordError
from ctxkit.filters import Where

OWNERS = ("user_id", "agent_id", "session_id", "task_id")


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of a store that a manager sees.

    User and agent: None means only records without one, a value means equal; never crossed. Session and task:
    None means all of them inside that user and agent; a value means equal, unless `allow_cross_session` or
    `allow_cross_task` opens the view to all.
    """

    user_id: str | None = None
    agent_id: str | None = None
    session_id: str | None = None
    task_id: str | None = None
    allow_cross_session: bool = False
    allow_cross_task: bool = False

    def __post_init__(self) -> None:
        for name in OWNERS:
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value and _storable(value)):
                raise ConfigError(f"{name} is {value!r}, not a non-empty str or None.", fix=f"pass {name} as a str.")

    def where(self) -> dict[str, Any]:
        """Return the filter for everything this scope may see."""
        parts: list[dict[str, Any]] = [
            {name: {"$exists": False} if value is None else {"$eq": value}}
            for name, value in (("user_id", self.user_id), ("agent_id", self.agent_id))
        ]
        if self.session_id is not None and not self.allow_cross_session:
            parts.append({"session_id": {"$eq": self.session_id}})
        if self.task_id is not None and not self.allow_cross_task:
            parts.append({"task_id": {"$eq": self.task_id}})
        return {"$and": parts}

    def own_where(self) -> dict[str, Any]:
        """Return the filter for what is this scope's own: what may be seen across sessions may not be deleted."""
        return replace(self, allow_cross_session=False, allow_cross_task=False).where()

    def within(self, *conditions: Where) -> dict[str, Any]:
        """Return the scope's filter narrowed by further conditions."""
        return {"$and": [self.where(), *conditions]}

    def stamp(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """Write the scope into a record's metadata.

        A caller's metadata may name session and task only where the scope leaves them open, user and agent never;
        anything else raises InvalidRecordError, so that no record leaves its owner.
        """
        for name in OWNERS:
            own, given = getattr(self, name), metadata.get(name)
            if given is not None and not isinstance(given, str):
                raise InvalidRecordError(f"{name} in the metadata is {given!r}.", fix=f"pass {name} as a str.")
            if given is not None and given != own and (own is not None or name in ("user_id", "agent_id")):
                raise InvalidRecordError(
                    f"the metadata says {name}={given!r}, but this manager's is {own!r}.",
                    fix=f"leave {name} out, or use a manager made for it.",
                )
            if own is not None:
                metadata[name] = own
        return metadata

    def thread(self, metadata: Mapping[str, Any], *, conversation: bool) -> str | None:
        """Return the name of the thread in which a record's neighbours stand, None when it has none.

        Turns without a session are a conversation all the same; a memory without one stands alone.
        """
        if metadata.get("session_id") is None and not conversation:
            return None
        return json.dumps([metadata.get(name) for name in OWNERS], ensure_ascii=False)


def _storable(text: str) -> bool:
    """Whether the text can be written as UTF-8: a lone surrogate cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True

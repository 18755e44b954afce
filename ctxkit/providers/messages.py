"""Messages as callers write them: checked, copied, and in characters that can be sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ctxkit.errors import LLMError
from ctxkit.interfaces.llm import Message


def checked_messages(messages: Sequence[Message], roles: Collection[str], backend: str) -> list[dict[str, Any]]:
    """Return copies of the messages that share nothing with them; raises LLMError for what no provider would take.

    A content is a str or a list of parts as the provider writes them; an assistant that calls tools may have none.
    """
    if isinstance(messages, (str, bytes, Mapping)) or not messages:
        raise LLMError(
            "there is no message.", fix='pass a list such as [{"role": "user", "content": "..."}].', backend=backend
        )
    return [_checked(message, place, roles, backend) for place, message in enumerate(messages, start=1)]


def _checked(message: object, place: int, roles: Collection[str], backend: str) -> dict[str, Any]:
    if not isinstance(message, Mapping):
        raise LLMError(
            f"message {place} is a {type(message).__name__}.", fix="give it a role and a content.", backend=backend
        )
    role, content = message.get("role"), message.get("content")
    if role not in roles:
        raise LLMError(
            f"message {place} has the role {role!r}.", fix=f"use one of {', '.join(roles)}.", backend=backend
        )
    calls = role == "assistant" and message.get("tool_calls")
    if not isinstance(content, (str, list, tuple)) and not (content is None and calls):
        raise LLMError(
            f"message {place} has no content that could be sent ({type(content).__name__}).",
            fix="give it a str, which may be empty, or a list of parts.",
            backend=backend,
        )
    copied: dict[str, Any] = plain(message)
    return copied


def plain(value: Any) -> Any:
    """Return a value as dicts, lists and text that can be sent, sharing nothing that could be changed."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


def well_formed(text: str) -> str:
    """Return the text with surrogate pairs joined and lone surrogates replaced by U+FFFD: no format can carry them."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def text_of(content: Any) -> str:
    """Return the text of a content: itself, or that of its parts."""
    if isinstance(content, str):
        return content
    parts = [part.get("text", "") if isinstance(part, Mapping) else str(part) for part in content or ()]
    return "".join(part for part in parts if isinstance(part, str))

"""The two wire formats, as an adapter writes and reads them."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from ctxkit.errors import (
    AuthenticationFailedError,
    ContentRefusedError,
    ContextTooLongError,
    LLMError,
    ModelNotFoundError,
    ProviderUnavailableError,
    RateLimitedError,
)
from ctxkit.interfaces import Completion, Message, Usage

_REFUSED: Final = ("invalid_prompt", "content_filter", "content filtering policy")
_TOO_LONG: Final = ("context_length_exceeded", "prompt is too long")

_BY_STATUS: Final[Mapping[int, tuple[type[LLMError], str]]] = {
    401: (AuthenticationFailedError, "use a key of this provider."),
    403: (AuthenticationFailedError, "use a key that may call the model."),
    404: (ModelNotFoundError, "correct the option model."),
    413: (ContextTooLongError, "send fewer tokens."),
}


class Format:
    """What differs between providers; a stream's state is kept by whoever reads it."""

    path: ClassVar[str] = ""

    def headers(self, key: str) -> dict[str, str]:
        """Return the headers that carry the key."""
        raise NotImplementedError

    def body(self, messages: Sequence[Message], options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request for these messages."""
        raise NotImplementedError

    def completion(self, data: dict[str, Any]) -> Completion:
        """Return the answer that a whole body holds."""
        raise NotImplementedError

    def piece(self, event: dict[str, Any]) -> tuple[str, str | None]:
        """Return the text that an event adds, and the reason why the answer stops once it is known."""
        raise NotImplementedError

    def error(self, status: int, headers: Mapping[str, str], text: str) -> LLMError:
        """Return the error that a status other than 200 means; the words of the provider decide among the 400s."""
        words = f"the provider answered {status}: {text[:300]}"
        if status == 429:
            wait = seconds_to_wait(headers)
            return RateLimitedError(f"rate limit: {words}", fix="ask less often, or ask for more.", retry_after=wait)
        if status >= 500:
            return ProviderUnavailableError(words, fix="try again later.")
        kind, fix = _BY_STATUS.get(status, (LLMError, "correct what the message names."))
        if any(word in text for word in _TOO_LONG):
            kind, fix = ContextTooLongError, "send fewer tokens."
        elif any(word in text for word in _REFUSED):
            kind, fix = ContentRefusedError, "ask otherwise."
        return kind(words, fix=fix)


class OpenAIFormat(Format):
    """Chat completions."""

    path = "/chat/completions"

    def headers(self, key: str) -> dict[str, str]:
        """Return a bearer's."""
        return {"content-type": "application/json", "authorization": f"Bearer {key}"}

    def body(self, messages: Sequence[Message], options: Mapping[str, Any]) -> dict[str, Any]:
        """Send the messages as they are."""
        return {"messages": [dict(message) for message in messages], **options}

    def completion(self, data: dict[str, Any]) -> Completion:
        """Read the first choice."""
        choice = data["choices"][0]
        message = choice["message"]
        if message.get("refusal") or choice["finish_reason"] == "content_filter":
            raise refused()
        used = data["usage"]
        return Completion(
            text=message["content"] or "",
            model=data["model"],
            usage=Usage(input_tokens=used["prompt_tokens"], output_tokens=used["completion_tokens"]),
            finish_reason=choice["finish_reason"],
        )

    def piece(self, event: dict[str, Any]) -> tuple[str, str | None]:
        """Read the delta of the first choice; the chunk of the usage has none."""
        if "error" in event:
            raise ProviderUnavailableError("the stream reports an error.", fix="try again later.")
        if not event["choices"]:
            return "", None
        choice = event["choices"][0]
        if choice["delta"].get("refusal") or choice["finish_reason"] == "content_filter":
            raise refused()
        return choice["delta"].get("content") or "", choice["finish_reason"]


class AnthropicFormat(Format):
    """Messages."""

    path = "/v1/messages"
    reasons: ClassVar[Mapping[str, str]] = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}

    def headers(self, key: str) -> dict[str, str]:
        """Return a header of its own."""
        return {"content-type": "application/json", "x-api-key": key, "anthropic-version": "2023-06-01"}

    def body(self, messages: Sequence[Message], options: Mapping[str, Any]) -> dict[str, Any]:
        """Send the system's messages apart from the others."""
        system = "\n\n".join(message["content"] for message in messages if message["role"] == "system")
        turns = [dict(message) for message in messages if message["role"] != "system"]
        instructions = {"system": system} if system else {}
        return {"messages": turns, **instructions, "max_tokens": 4096, **options}

    def completion(self, data: dict[str, Any]) -> Completion:
        """Read the blocks of text."""
        reason = self._reason(data["stop_reason"])
        used = data["usage"]
        return Completion(
            text="".join(block["text"] for block in data["content"] if block["type"] == "text"),
            model=data["model"],
            usage=Usage(input_tokens=used["input_tokens"], output_tokens=used["output_tokens"]),
            finish_reason=reason,
        )

    def piece(self, event: dict[str, Any]) -> tuple[str, str | None]:
        """Read a delta of text, or the reason to stop."""
        if event["type"] == "error":
            raise ProviderUnavailableError("the stream reports an error.", fix="try again later.")
        if event["type"] == "content_block_delta":
            return event["delta"].get("text", ""), None
        return "", self._reason(event["delta"]["stop_reason"]) if event["type"] == "message_delta" else None

    def _reason(self, word: str | None) -> str:
        if word is None:
            raise ProviderUnavailableError("the answer has no reason why it stopped.", fix="try again later.")
        if word == "refusal":
            raise refused()
        return self.reasons.get(word, word)


def refused() -> ContentRefusedError:
    """Return the error of a refusal with status 200."""
    return ContentRefusedError("the model, or a filter before it, refused.", fix="ask otherwise.")


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """Return what Retry-After asks for, as milliseconds, as seconds or as a date; None where it cannot be read."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
    date = email.utils.parsedate_tz(headers.get("retry-after", ""))
    return None if date is None else max(email.utils.mktime_tz(date) - time.time(), 0.0)


class Events:
    """Server-sent events from bytes, in whatever portions they come."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, part: bytes) -> Iterator[dict[str, Any]]:
        """Yield the events that are complete now; what is no JSON raises ValueError."""
        self._rest += part
        *whole, self._rest = self._rest.split(b"\n\n")
        for event in whole:
            # Only a line feed ends a line here; str.splitlines would also split at U+2028.
            lines = event.split(b"\n")
            data = b"".join(line.removeprefix(b"data:").strip() for line in lines if line.startswith(b"data:"))
            if data and data != b"[DONE]":
                yield json.loads(data)

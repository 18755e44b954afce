"""Messages: Anthropic's endpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ctxkit.interfaces import Completion, ToolCall, Usage
from ctxkit.providers import Dialect, StreamReader, refused, unreadable
from ctxkit.providers.forms import system_of, turns_of
from ctxkit_anthropic.client import ANTHROPIC
from ctxkit_anthropic.format import tool_call, tool_of

_MARK: Final = {"type": "ephemeral"}
_FINISH: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}


class Messages(Dialect):
    """POST /v1/messages. `cache` marks the end of what every call repeats."""

    def __init__(self, *, cache: bool) -> None:
        self._cache = cache

    def create(self, client: Any) -> Callable[..., Any]:
        """Return the method."""
        method: Callable[..., Any] = client.messages.create
        return method

    def arguments(self, model: str, messages: list[dict[str, Any]], options: Mapping[str, Any]) -> dict[str, Any]:
        """Return its arguments: the system's messages stand beside the others."""
        given = dict(options)
        if self._cache:
            given.setdefault("cache_control", _MARK)
        if "tools" in given:
            given["tools"] = [tool_of(tool) for tool in given["tools"]]
        system = system_of(messages)
        if system:
            given.setdefault("system", system)
        return {"model": model, "messages": turns_of(messages), **given}

    def streaming(self) -> dict[str, Any]:
        """Ask for events."""
        return {"stream": True}

    def completion(self, answer: Any) -> Completion:
        """Return what an answer holds."""
        if not hasattr(answer, "content"):
            raise unreadable(ANTHROPIC, "what came is not an answer but perhaps a page")
        texts: list[str] = []
        calls: list[ToolCall] = []
        for block in answer.content or ():
            if block.type == "text":
                texts.append(block.text or "")
            elif block.type == "tool_use":
                calls.append(tool_call(block.id, block.name, block.input))
        usage = _Counted()
        usage.add(answer.usage)
        return _finished("".join(texts), calls, answer.stop_reason, answer.model, usage)

    def reader(self) -> StreamReader:
        """Return a reader for one stream."""
        return _MessagesReader()


class _MessagesReader(StreamReader):
    def __init__(self) -> None:
        self._text: list[str] = []
        self._calls: dict[int, dict[str, str]] = {}
        self._model = ""
        self._usage = _Counted()
        self._stop: str | None = None
        self._ended = False

    def feed(self, event: Any) -> str:
        """Return the text of one event."""
        kind = event.type
        if kind == "message_start":
            self._model = event.message.model
            self._usage.add(event.message.usage)
        elif kind == "content_block_start" and event.content_block.type == "tool_use":
            block = event.content_block
            self._calls[event.index] = {"id": block.id, "name": block.name, "arguments": ""}
        elif kind == "content_block_delta":
            return self._delta(event.index, event.delta)
        elif kind == "message_delta":
            self._stop = event.delta.stop_reason or self._stop
            self._usage.add(event.usage)
        elif kind == "message_stop":
            self._ended = True
        return ""

    def _delta(self, index: int, delta: Any) -> str:
        if delta.type == "input_json_delta":
            self._calls[index]["arguments"] += delta.partial_json or ""
        if delta.type != "text_delta":
            return ""
        text = str(delta.text or "")
        self._text.append(text)
        return text

    def completion(self) -> Completion:
        """Return the whole answer."""
        if not self._ended:
            raise unreadable(ANTHROPIC, "the stream ended before the answer did")
        found = [self._calls[index] for index in sorted(self._calls)]
        calls = [ToolCall(**{**call, "arguments": call["arguments"] or "{}"}) for call in found]
        return _finished("".join(self._text), calls, self._stop, self._model, self._usage)


class _Counted:
    """Adds up what the parts of an answer say of its tokens: later numbers replace earlier ones."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, usage: Any) -> None:
        """Take over the numbers that are given."""
        for name in ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"):
            found = getattr(usage, name, None)
            if found is not None:
                self._counts[name] = found

    def usage(self) -> Usage:
        """Return all tokens that were read, those of the cache too, and those that were written."""
        count = self._counts.get
        cached = count("cache_read_input_tokens", 0)
        read = count("input_tokens", 0) + count("cache_creation_input_tokens", 0) + cached
        return Usage(input_tokens=read, output_tokens=count("output_tokens", 0), cached_tokens=cached)


def _finished(text: str, calls: list[ToolCall], stop: str | None, model: str, counted: _Counted) -> Completion:
    if stop is None:
        raise unreadable(ANTHROPIC, "an answer without an end came")
    if stop == "refusal":
        raise refused(ANTHROPIC, "the model declined, or a filter stopped it.")
    reason = _FINISH.get(stop, stop)
    return Completion(text=text, model=model, usage=counted.usage(), finish_reason=reason, tool_calls=tuple(calls))

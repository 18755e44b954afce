"""Responses: OpenAI's newer endpoint, which few other servers have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ctxkit.errors import LLMError, ProviderUnavailableError, RateLimitedError
from ctxkit.interfaces import Completion, ToolCall, Usage
from ctxkit.providers import Dialect, StreamReader, masked, refused, unreadable
from ctxkit.providers.messages import text_of
from ctxkit_openai.client import OPENAI

_INSTRUCTIONS: Final = ("system", "developer")
_ENDINGS: Final = ("response.completed", "response.incomplete", "response.failed")


class Responses(Dialect):
    """POST /responses. Nothing is kept at the provider unless the option `store` says so."""

    def create(self, client: Any) -> Callable[..., Any]:
        """Return the method."""
        method: Callable[..., Any] = client.responses.create
        return method

    def arguments(self, model: str, messages: list[dict[str, Any]], options: Mapping[str, Any]) -> dict[str, Any]:
        """Return its arguments: the system's messages are instructions, all others are items of the input."""
        given = {"store": False, **options}
        if "max_tokens" in given:
            given["max_output_tokens"] = given.pop("max_tokens")
        if "tools" in given:
            given["tools"] = [_flat(tool) for tool in given["tools"]]
        instructions = [text_of(each["content"]) for each in messages if each["role"] in _INSTRUCTIONS]
        if instructions:
            given.setdefault("instructions", "\n\n".join(instructions))
        items = [item for each in messages if each["role"] not in _INSTRUCTIONS for item in _items(each)]
        return {"model": model, "input": items, **given}

    def streaming(self) -> dict[str, Any]:
        """Ask for events."""
        return {"stream": True}

    def completion(self, answer: Any) -> Completion:
        """Return what an answer holds."""
        if not hasattr(answer, "output"):
            raise unreadable(OPENAI, "what came is not an answer but perhaps a page")
        return _finished(answer)

    def reader(self) -> StreamReader:
        """Return a reader for one stream."""
        return _ResponsesReader()


class _ResponsesReader(StreamReader):
    def __init__(self) -> None:
        self._last: Any = None

    def feed(self, event: Any) -> str:
        """Return the text of one event; raises the error that one reports."""
        if event.type == "error":
            raise _reported(event.code, event.message)
        if event.type in _ENDINGS:
            self._last = event.response
        return str(event.delta) if event.type == "response.output_text.delta" else ""

    def completion(self) -> Completion:
        """Return the whole answer, which the last event repeats."""
        if self._last is None:
            raise unreadable(OPENAI, "the stream ended before the answer did")
        return _finished(self._last)


def _finished(answer: Any) -> Completion:
    if answer.error is not None:
        raise _reported(answer.error.code, answer.error.message)
    if not answer.output and answer.status != "incomplete":
        raise unreadable(OPENAI, "an answer without any output came")
    reason = getattr(answer.incomplete_details, "reason", None)
    if reason == "content_filter":
        raise refused(OPENAI, "a filter stopped the answer.")
    texts: list[str] = []
    calls: list[ToolCall] = []
    for item in answer.output:
        if item.type == "function_call":
            calls.append(ToolCall(id=item.call_id, name=item.name, arguments=item.arguments or ""))
        elif item.type == "message":
            texts += _texts(item)
    finish = "tool_calls" if calls else "stop"
    if answer.status == "incomplete":
        finish = "length" if reason in {None, "max_output_tokens"} else str(reason)
    usage = _usage(answer.usage)
    return Completion(
        text="".join(texts), model=answer.model, usage=usage, finish_reason=finish, tool_calls=tuple(calls)
    )


def _texts(message: Any) -> Iterator[str]:
    for part in message.content or ():
        if part.type == "refusal":
            raise refused(OPENAI, part.refusal)
        if part.type == "output_text":
            yield part.text or ""


def _usage(usage: Any) -> Usage:
    if usage is None:
        return Usage()
    return Usage(
        input_tokens=usage.input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        cached_tokens=getattr(usage.input_tokens_details, "cached_tokens", 0) or 0,
    )


def _reported(code: str | None, message: str | None) -> LLMError:
    """Return the error for one that came in the middle of an answer."""
    words = masked(f"{message or 'it did not say why.'} ({code or 'no code'})")
    if code == "rate_limit_exceeded":
        return RateLimitedError(f"rate limit of OpenAI: {words}", fix="ask less often.", backend=OPENAI.name)
    return ProviderUnavailableError(f"OpenAI failed: {words}", fix="try again later.", backend=OPENAI.name)


def _flat(tool: Any) -> Any:
    """Return a tool as this endpoint writes it, given as chat completions do or as it is."""
    if isinstance(tool, Mapping) and isinstance(tool.get("function"), Mapping):
        return {"type": "function", **tool["function"]}
    return tool


def _items(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a message as items of the input: its text, the calls of an assistant, or the result of a tool."""
    if message["role"] == "tool":
        result = text_of(message["content"])
        yield {"type": "function_call_output", "call_id": message.get("tool_call_id", ""), "output": result}
        return
    calls = message.get("tool_calls") or ()
    if message["content"] or not calls:
        yield {"role": message["role"], "content": message["content"] or ""}
    for call in calls:
        function = call.get("function") or call
        yield {
            "type": "function_call",
            "call_id": call.get("id", ""),
            "name": function.get("name", ""),
            "arguments": function.get("arguments", "{}"),
        }

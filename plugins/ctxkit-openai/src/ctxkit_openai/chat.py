"""Chat completions: what OpenAI's models and every compatible server understand."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ctxkit.interfaces import Completion, ToolCall, Usage
from ctxkit.providers import Dialect, ReportedError, StreamReader, refused, unreadable
from ctxkit.providers.messages import text_of
from ctxkit_openai.client import OPENAI

_FINISH: Final[Mapping[str, str]] = {"function_call": "tool_calls"}


class Chat(Dialect):
    """POST /chat/completions. `own` says that it is OpenAI's, where a limit of tokens has its newer name."""

    def __init__(self, *, own: bool) -> None:
        self._limit = "max_completion_tokens" if own else "max_tokens"

    def create(self, client: Any) -> Callable[..., Any]:
        """Return the method."""
        method: Callable[..., Any] = client.chat.completions.create
        return method

    def arguments(self, model: str, messages: list[dict[str, Any]], options: Mapping[str, Any]) -> dict[str, Any]:
        """Return its arguments; marks for a cache are left out, since this one needs none."""
        for message in messages:
            message.pop("cache_control", None)
        given = dict(options)
        if "max_tokens" in given:
            given[self._limit] = given.pop("max_tokens")
        return {"model": model, "messages": messages, **given}

    def streaming(self) -> dict[str, Any]:
        """Ask for the usage too, which otherwise is not sent."""
        return {"stream": True, "stream_options": {"include_usage": True}}

    def completion(self, answer: Any) -> Completion:
        """Return what an answer holds."""
        if not hasattr(answer, "choices"):
            raise unreadable(OPENAI, "what came is not an answer but perhaps a page")
        if getattr(answer, "error", None):
            raise ReportedError({"error": answer.error})  # llama.cpp and some gateways send it with status 200
        if not answer.choices:
            raise unreadable(OPENAI, "an answer without any choice came")
        choice = answer.choices[0]
        message = choice.message
        calls = [
            _tool_call(call.id, call.function.name, call.function.arguments)
            for call in message.tool_calls or ()
            if getattr(call, "function", None) is not None
        ]
        finish = choice.finish_reason or "stop"
        refusal = getattr(message, "refusal", None)
        return _finished(text_of(message.content), calls, finish, refusal, (answer.model, answer.usage))

    def reader(self) -> StreamReader:
        """Return a reader for one stream."""
        return _ChatReader()


@dataclass
class _Call:
    """A call as far as its parts have come."""

    id: str = ""
    name: str = ""
    arguments: str = ""


class _ChatReader(StreamReader):
    def __init__(self) -> None:
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: list[_Call] = []
        self._at: dict[int, _Call] = {}
        self._begun = False
        self._finish: str | None = None
        self._about: tuple[str, Any] = ("", None)

    def feed(self, event: Any) -> str:
        """Return the text of one chunk."""
        self._about = (event.model or self._about[0], event.usage or self._about[1])
        if not event.choices:
            if event.usage is not None and self._begun:
                # It comes after everything else, so the answer is whole, though nothing else says so.
                self._finish = self._finish or "stop"
            return ""
        self._begun = True
        choice = event.choices[0]
        self._finish = choice.finish_reason or self._finish
        delta = choice.delta
        if delta is None:
            return ""
        for call in delta.tool_calls or ():
            self._add(call)
        if getattr(delta, "refusal", None):
            self._refusal.append(delta.refusal)
        text = text_of(delta.content)
        self._text.append(text)
        return text

    def _add(self, part: Any) -> None:
        """Add a part of a call: its name comes once, its arguments in pieces, or everything at once."""
        function = part.function
        call = self._at.get(part.index or 0)
        if call is None or _begins_another(call, part.id, function):
            # Some servers number no call, or each of them 0.
            call = self._at[part.index or 0] = _Call()
            self._calls.append(call)
        call.id = part.id or call.id
        if function is not None:
            call.name = function.name or call.name
            call.arguments += _arguments(function.arguments)

    def completion(self) -> Completion:
        """Return the whole answer."""
        if self._finish is None:
            raise unreadable(OPENAI, "the stream ended before the answer did")
        calls = [_tool_call(call.id, call.name, call.arguments) for call in self._calls]
        return _finished("".join(self._text), calls, self._finish, "".join(self._refusal), self._about)


def _begins_another(call: _Call, identity: str | None, function: Any) -> bool:
    """Whether a part belongs to another call than the one that has its number."""
    if identity and call.id:
        return identity != call.id
    return bool(function is not None and function.name) and _is_whole(call.arguments)


def _is_whole(arguments: str) -> bool:
    try:
        json.loads(arguments)
    except ValueError:
        return False
    return True


def _tool_call(identity: str | None, name: str, arguments: Any) -> ToolCall:
    """Return a call; one that came without a name of its own is given one, by which its result finds it."""
    return ToolCall(id=identity or f"call_{uuid.uuid4().hex}", name=name, arguments=_arguments(arguments))


def _arguments(found: Any) -> str:
    """Return the arguments of a call as text, which some servers send as values."""
    if found is None or isinstance(found, str):
        return found or ""
    return json.dumps(found, ensure_ascii=False)


def _finished(text: str, calls: list[ToolCall], finish: str, refusal: str | None, about: tuple[str, Any]) -> Completion:
    if refusal:
        raise refused(OPENAI, refusal)
    if finish == "content_filter":
        raise refused(OPENAI, "a filter stopped the answer.")
    model, usage = about
    reason = "tool_calls" if calls and finish == "stop" else _FINISH.get(finish, finish)
    return Completion(text=text, model=model or "", usage=_usage(usage), finish_reason=reason, tool_calls=tuple(calls))


def _usage(usage: Any) -> Usage:
    """Return what the provider counted; some compatible servers count nothing."""
    if usage is None:
        return Usage()
    details = getattr(usage, "prompt_tokens_details", None)
    return Usage(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        cached_tokens=getattr(details, "cached_tokens", 0) or 0,
    )

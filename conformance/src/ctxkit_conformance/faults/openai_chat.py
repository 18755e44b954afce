"""POST /v1/chat/completions."""

from __future__ import annotations

import json
import time
from typing import Any, Final

from ctxkit_conformance.faults.openai_errors import openai_error
from ctxkit_conformance.faults.steps import Problem
from ctxkit_conformance.faults.wire import Answer, Asked, Json, RejectedError, text_of, typed, written

_ROLES: Final = ("system", "assistant", "user", "function", "tool", "developer")
_FINISH: Final = {"tool_call": "tool_calls", "filtered": "content_filter", "refusal": "stop", "none": None}


class ChatCompletions:
    """OpenAI's chat completions, and those of every server that is compatible with them."""

    def read(self, body: Json, key: str) -> Asked:
        """Return what a request asks."""
        model, messages = typed(body, "model", str), typed(body, "messages", list)
        if not model:
            raise RejectedError("bad_request", "you must provide a model parameter")
        if messages is None:
            raise RejectedError("bad_request", "Missing required parameter: 'messages'.")
        if not messages:
            raise RejectedError(
                "bad_request", "Invalid 'messages': empty array. Expected an array with minimum length 1."
            )
        for place, message in enumerate(messages):
            _check(message, place)
        system = [text_of(each.get("content")) for each in messages if each["role"] in {"system", "developer"}]
        turns = [(each["role"], text_of(each.get("content"))) for each in messages]
        tools = typed(body, "tools", list) or []
        limit = typed(body, "max_completion_tokens", int)
        return Asked(
            endpoint="chat",
            key=key,
            model=model,
            system="\n".join(system),
            turns=tuple(turn for turn in turns if turn[0] not in {"system", "developer"}),
            stream=bool(body.get("stream")),
            max_tokens=limit if limit is not None else typed(body, "max_tokens", int),
            temperature=typed(body, "temperature", (int, float)),
            tools=tuple(str((tool.get("function") or {}).get("name", "")) for tool in tools),
            body=body,
        )

    def whole(self, asked: Asked, answer: Answer) -> Json:
        """Return the object `chat.completion`."""
        refused = answer.finish == "refusal"
        message: Json = {
            "role": "assistant",
            "content": None if refused or answer.tool else answer.text,
            "refusal": answer.text if refused else None,
            "annotations": [],
        }
        if answer.tool:
            message["tool_calls"] = [_tool_call(answer)]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(answer)}
        return {
            **_head(asked, answer, "chat.completion"),
            "choices": [] if answer.finish == "none" else [choice],
            "usage": _usage(answer),
        }

    def stream(self, asked: Asked, answer: Answer) -> tuple[list[Json], list[Json], list[Json]]:
        """Return the objects `chat.completion.chunk`; usage comes last, where it was asked for."""
        with_usage = bool((asked.body.get("stream_options") or {}).get("include_usage"))
        head = _head(asked, answer, "chat.completion.chunk") | ({"usage": None} if with_usage else {})
        last = [{**head, "choices": [], "usage": _usage(answer)}] if with_usage else []
        if answer.finish == "none":
            return [{**head, "choices": []}], [], last

        def chunk(delta: Json, finish: str | None = None) -> Json:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return {**head, "choices": [choice]}

        field = "refusal" if answer.finish == "refusal" else "content"
        pieces = [chunk({field: piece}) for piece in answer.pieces]
        first: Json = {"role": "assistant", "content": "", "refusal": None}
        if answer.tool:
            call = _tool_call(answer)
            arguments = call["function"]["arguments"]
            call["function"]["arguments"] = ""
            first = {"role": "assistant", "content": None, "tool_calls": [{"index": 0, **call}]}
            pieces = [chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]})]
        return [chunk(first)], pieces, [chunk({}, _finish(answer)), *last]

    def framed(self, event: Json, *, escaped: bool) -> bytes:
        """Return one event, which has no name in this format."""
        return f"data: {written(event, escaped=escaped)}\n\n".encode()

    def closing(self) -> bytes:
        """Return the mark that ends every stream."""
        return b"data: [DONE]\n\n"

    def error(self, problem: Problem, asked: Asked | None, message: str = "") -> tuple[int, Json]:
        """Return status and body of an error."""
        return openai_error(problem, asked, message)

    def error_event(self, problem: Problem, asked: Asked) -> Json:
        """Return an error as it comes in the middle of a stream."""
        return openai_error(problem, asked)[1]


def _check(message: Any, place: int) -> None:
    if not isinstance(message, dict):
        raise RejectedError("bad_request", f"Invalid type for 'messages[{place}]': expected an object.")
    if message.get("role") not in _ROLES:
        supported = ", ".join(repr(role) for role in _ROLES)
        raise RejectedError(
            "bad_request", f"Invalid value: {message.get('role')!r}. Supported values are: {supported}."
        )
    may_lack = message["role"] == "assistant" and message.get("tool_calls")
    if not isinstance(message.get("content"), (str, list)) and not may_lack:
        kind = type(message.get("content")).__name__
        raise RejectedError(
            "bad_request", f"Invalid value for 'content': expected a string, got {kind} (messages[{place}])."
        )


def _head(asked: Asked, answer: Answer, kind: str) -> Json:
    return {
        "id": f"chatcmpl-{answer.identity}",
        "object": kind,
        "created": int(time.time()),
        "model": answer.model or asked.model,
        "service_tier": "default",
        "system_fingerprint": "fp_4470c06f12",
    }


def _finish(answer: Answer) -> str | None:
    return _FINISH.get(answer.finish, answer.finish)


def _tool_call(answer: Answer) -> Json:
    function = {"name": answer.tool, "arguments": json.dumps(answer.arguments)}
    return {"id": f"call_{answer.identity}", "type": "function", "function": function}


def _usage(answer: Answer) -> Json:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }

"""POST /v1/messages and GET /v1/models of Anthropic."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ctxkit_conformance.faults.openai_other import MODELS
from ctxkit_conformance.faults.steps import Problem
from ctxkit_conformance.faults.wire import Answer, Asked, Json, RejectedError, text_of, typed, written

_INVALID: Final = "invalid_request_error"
_ERRORS: Final[Mapping[Problem, tuple[int, str, str]]] = {
    "authentication": (401, "authentication_error", "invalid x-api-key"),
    "permission": (403, "permission_error", "Your API key does not have permission to use the specified resource."),
    "model_not_found": (404, "not_found_error", "model: {model}"),
    "context_too_long": (400, _INVALID, "prompt is too long: 210000 tokens > 200000 maximum"),
    "too_large": (413, "request_too_large", "Request exceeds the maximum size"),
    "content_refused": (400, _INVALID, "Output blocked by content filtering policy"),
    "bad_request": (400, _INVALID, "stop_sequences: each stop sequence must contain non-whitespace"),
    "rate_limited": (429, "rate_limit_error", "This request would exceed your account's rate limit."),
    "quota": (
        402,
        "billing_error",
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade.",
    ),
    "internal": (500, "api_error", "Internal server error"),
    "bad_gateway": (502, "api_error", "Bad gateway"),
    "unavailable": (503, "api_error", "Service unavailable"),
    "overloaded": (529, "overloaded_error", "Overloaded"),
}
_STOP: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_call": "tool_use",
    "refusal": "refusal",
    "filtered": "refusal",
    "none": None,
}


class Messages:
    """Anthropic's messages."""

    def read(self, body: Json, key: str) -> Asked:
        """Return what a request asks."""
        for name, kind in (("model", str), ("max_tokens", int), ("messages", list)):
            if body.get(name) is None:
                raise RejectedError("bad_request", f"{name}: Field required")
            typed(body, name, kind)
        if not body["messages"]:
            raise RejectedError("bad_request", "messages: at least one message is required")
        if body["max_tokens"] < 1:
            raise RejectedError("bad_request", "max_tokens: must be greater than or equal to 1")
        turns = [_turn(message, place) for place, message in enumerate(body["messages"])]
        system = body.get("system") or ""
        if not isinstance(system, (str, list)):
            raise RejectedError("bad_request", "system: Input should be a valid list")
        texts = [system] if isinstance(system, str) else [text_of([block]) for block in system]
        texts += [text for role, text in turns if role == "system"]
        return Asked(
            endpoint="messages",
            key=key,
            model=body["model"],
            system="\n".join(text for text in texts if text),
            turns=tuple(turn for turn in turns if turn[0] != "system"),
            stream=bool(body.get("stream")),
            max_tokens=body["max_tokens"],
            temperature=typed(body, "temperature", (int, float)),
            tools=tuple(str(tool.get("name", "")) for tool in typed(body, "tools", list) or []),
            body=body,
        )

    def whole(self, asked: Asked, answer: Answer) -> Json:
        """Return the object `message`."""
        return _message(asked, answer, _blocks(answer), _STOP[answer.finish], answer.output_tokens)

    def stream(self, asked: Asked, answer: Answer) -> tuple[list[Json], list[Json], list[Json]]:
        """Return the events of a message with one block of content."""
        before: list[Json] = [{"type": "message_start", "message": _message(asked, answer, [], None, 1)}]
        pieces: list[Json] = []
        after: list[Json] = []
        if answer.finish != "none":
            for block in _blocks(answer):
                empty = {**block, "input": {}} if answer.tool else {**block, "text": ""}
                before.append({"type": "content_block_start", "index": 0, "content_block": empty})
                before.append({"type": "ping"})
                pieces = [{"type": "content_block_delta", "index": 0, "delta": delta} for delta in _deltas(answer)]
                after.append({"type": "content_block_stop", "index": 0})
            stopped = {"stop_reason": _STOP[answer.finish], "stop_sequence": None, "stop_details": _details(answer)}
            after.append({"type": "message_delta", "delta": stopped, "usage": {"output_tokens": answer.output_tokens}})
        after.append({"type": "message_stop"})
        return before, pieces, after

    def framed(self, event: Json, *, escaped: bool) -> bytes:
        """Return one event under its name."""
        return f"event: {event['type']}\ndata: {written(event, escaped=escaped)}\n\n".encode()

    def closing(self) -> bytes:
        """Return nothing: the last event ends the stream."""
        return b""

    def error(self, problem: Problem, asked: Asked | None, message: str = "") -> tuple[int, Json]:
        """Return status and body of an error."""
        status, kind, words = _ERRORS[problem]
        text = message or words.format(model=asked.model if asked else "")
        error = {"type": kind, "message": text}
        return status, {"type": "error", "error": error, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"}

    def error_event(self, problem: Problem, asked: Asked) -> Json:
        """Return an error as it comes in the middle of a stream."""
        return self.error(problem, asked)[1]


def anthropic_models(identity: str | None) -> Json | None:
    """Return the list of models, or the one of that name, None when there is none."""
    known = [
        {
            "id": name,
            "type": "model",
            "display_name": name.replace("-", " ").title(),
            "created_at": "2025-01-01T00:00:00Z",
            "lifecycle": "active",
        }
        for name in MODELS
    ]
    if identity is None:
        return {"data": known, "has_more": False, "first_id": known[0]["id"], "last_id": known[-1]["id"]}
    return next((model for model in known if model["id"] == identity), None)


def _turn(message: Any, place: int) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise RejectedError("bad_request", f"messages.{place}: Input should be an object")
    role = message.get("role")
    if role not in {"user", "assistant", "system"}:
        raise RejectedError("bad_request", f"messages.{place}.role: Input should be 'user', 'assistant' or 'system'")
    content = message.get("content")
    if not isinstance(content, (str, list)):
        raise RejectedError("bad_request", f"messages.{place}.content: Input should be a valid string")
    return role, text_of(content)


def _blocks(answer: Answer) -> list[Json]:
    if answer.tool:
        identity = f"toolu_{answer.identity}"
        return [{"type": "tool_use", "id": identity, "name": answer.tool, "input": dict(answer.arguments)}]
    return [{"type": "text", "text": answer.text}] if answer.text else []


def _deltas(answer: Answer) -> list[Json]:
    if answer.tool:
        return [{"type": "input_json_delta", "partial_json": json.dumps(answer.arguments)}]
    return [{"type": "text_delta", "text": piece} for piece in answer.pieces]


def _details(answer: Answer) -> Json | None:
    if answer.finish not in {"refusal", "filtered"}:
        return None
    return {"type": "refusal", "category": None, "explanation": None}


def _message(asked: Asked, answer: Answer, content: list[Json], stop: str | None, output_tokens: int) -> Json:
    return {
        "id": f"msg_{answer.identity}",
        "type": "message",
        "role": "assistant",
        "model": answer.model or asked.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "stop_details": _details(answer) if stop else None,
        "usage": {
            "input_tokens": answer.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": output_tokens,
            "service_tier": "standard",
        },
    }

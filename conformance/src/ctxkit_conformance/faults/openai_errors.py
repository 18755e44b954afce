"""OpenAI's errors: status, type, code and words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ctxkit_conformance.faults.steps import Problem
from ctxkit_conformance.faults.wire import Asked, Json

_INVALID: Final = "invalid_request_error"


@dataclass(frozen=True)
class _Shape:
    status: int
    type: str
    code: str | None
    message: str
    param: str | None = None


_SHAPES: Final[Mapping[Problem, _Shape]] = {
    "authentication": _Shape(
        401,
        _INVALID,
        "invalid_api_key",
        "Incorrect API key provided: {key}. You can find your API key at https://platform.openai.com/account/api-keys.",
    ),
    "permission": _Shape(
        403,
        _INVALID,
        "missing_scope",
        "You have insufficient permissions for this operation. Missing scopes: model.request.",
    ),
    "model_not_found": _Shape(
        404, _INVALID, "model_not_found", "The model `{model}` does not exist or you do not have access to it."
    ),
    "context_too_long": _Shape(
        400,
        _INVALID,
        "context_length_exceeded",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 10240 tokens."
        " Please reduce the length of the messages.",
        "messages",
    ),
    "too_large": _Shape(413, _INVALID, "request_too_large", "Request too large."),
    "content_refused": _Shape(
        400,
        _INVALID,
        "invalid_prompt",
        "Invalid prompt: your prompt was flagged as potentially violating our usage policy."
        " Please try again with a different prompt.",
    ),
    "bad_request": _Shape(400, _INVALID, "unsupported_parameter", "Unsupported parameter.", "frequency_penalty"),
    "rate_limited": _Shape(
        429,
        "requests",
        "rate_limit_exceeded",
        "Rate limit reached for {model} on requests per min (RPM): Limit 3, Used 3, Requested 1.",
    ),
    "quota": _Shape(
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "internal": _Shape(
        500, "server_error", None, "The server had an error while processing your request. Sorry about that!"
    ),
    "bad_gateway": _Shape(502, "server_error", None, "Bad gateway."),
    "unavailable": _Shape(
        503, "server_error", "service_unavailable", "The engine is currently overloaded, please try again later."
    ),
    "overloaded": _Shape(529, "server_error", "overloaded", "The server is overloaded, please try again later."),
}


def openai_error(problem: Problem, asked: Asked | None, message: str = "") -> tuple[int, Json]:
    """Return status and body of an error; `message` replaces the usual words."""
    shape = _SHAPES[problem]
    key = asked.key if asked else ""
    words = message or shape.message.format(model=asked.model if asked else "", key=masked(key))
    error = {"message": words, "type": shape.type, "param": shape.param, "code": shape.code}
    return shape.status, {"error": error}


def masked(key: str) -> str:
    """Return a key as OpenAI shows it in an error: its beginning and its end."""
    return f"{key[:8]}{'*' * 12}{key[-4:]}" if len(key) > 16 else "*" * len(key)

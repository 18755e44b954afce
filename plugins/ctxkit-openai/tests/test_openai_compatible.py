"""Servers that speak OpenAI's format in their own way, as vLLM, Ollama, llama.cpp and gateways are known to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from ctxkit_conformance.faults import FaultServer, Scenario, Step, step
from ctxkit_openai.config import OpenAIConfig
from ctxkit_openai.llm import OpenAILLM

from ctxkit.errors import (
    AuthenticationFailedError,
    ContextTooLongError,
    LLMError,
    ModelNotFoundError,
    ProviderUnavailableError,
    RateLimitedError,
)
from ctxkit.interfaces import Completion, Message

ASKED: Final[list[Message]] = [{"role": "user", "content": "Where is the boat?"}]
TEXT: Final = "At berth 14."
DONE: Final = "data: [DONE]\n\n"


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """The server; each test says what it sends."""
    with FaultServer() as made:
        yield made


@pytest.fixture(scope="module")
def says(server: FaultServer) -> Scenario:
    """What the server of the shared adapter sends next."""
    return server.scenario()


@pytest.fixture(scope="module")
def llm(says: Scenario) -> Iterator[OpenAILLM]:
    """An adapter that has nothing but an address and a model; making its clients takes longer than any test here."""
    with adapter(says) as made:
        yield made


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the key of whoever runs the tests out of them: these servers want none."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def adapter(where: Scenario) -> OpenAILLM:
    """Return an adapter for a server that wants no key."""
    return OpenAILLM(OpenAIConfig(base_url=where.url("openai"), model="llama3.2", max_retries=0))


def body(value: Any, status: int = 200) -> Step:
    """Return the step that answers with this value, or with this text."""
    if isinstance(value, str):
        return step("ok", verbatim=value, status=status, content_type="text/plain; charset=utf-8")
    return step("ok", verbatim=json.dumps(value), status=status)


def events(*values: Any, done: str = DONE) -> Step:
    """Return the step that streams these chunks; what is text is sent as it is."""
    lines = [each if isinstance(each, str) else f"data: {json.dumps(each)}\n\n" for each in values]
    return step("ok", verbatim="".join([*lines, done]), content_type="text/event-stream")


def chunk(delta: Any = None, finish: Any = None, **more: Any) -> dict[str, Any]:
    """Return one chunk of a stream."""
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


def streamed(llm: OpenAILLM) -> Completion:
    """Return the answer that a stream leaves, which is what its pieces make."""
    pieces = llm.stream(ASKED)
    text = "".join(pieces)
    assert pieces.completion is not None
    assert pieces.completion.text == text
    return pieces.completion


SPOKEN: Final = [chunk({"role": "assistant", "content": "At "}), chunk({"content": "berth 14."})]
USAGE: Final = {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11}
STREAMS: Final[dict[str, list[Any]]] = {
    "no usage at all": [*SPOKEN, chunk(finish="stop")],
    "role null, and again in every chunk": [
        chunk({"role": None, "content": "At "}),
        chunk({"role": "assistant", "content": "berth 14."}),
        chunk({"role": "assistant", "content": ""}, "stop"),
    ],
    "no choices first, as Azure's filter": [
        {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [{"index": 0}]},
        *SPOKEN,
        chunk(finish="stop"),
    ],
    "usage in every chunk, as vLLM on request": [
        *({**each, "usage": USAGE} for each in SPOKEN),
        chunk(finish="stop", usage=USAGE),
    ],
    "empty finish reasons until the last": [
        chunk({"content": "At "}, ""),
        chunk({"content": "berth 14."}, ""),
        chunk({}, "stop"),
    ],
    "usage last, but no finish reason": [*SPOKEN, {**chunk(), "choices": [], "usage": USAGE}],
    "timings and reasoning, as llama.cpp": [
        chunk({"role": "assistant", "content": None, "reasoning_content": "hm"}),
        *SPOKEN,
        chunk(finish="stop", timings={"prompt_n": 7, "predicted_per_second": 55.1}),
    ],
    "comments between the events": [
        ": OPENROUTER PROCESSING\n\n",
        SPOKEN[0],
        ":\n\n",
        ": ping - 2026-01-01\n\n",
        SPOKEN[1],
        chunk(finish="stop"),
    ],
    "fields missing": [
        {"choices": [{"delta": {"content": "At "}}]},
        {"choices": [{"delta": {"content": "berth 14."}}]},
        {"choices": [{"delta": None, "finish_reason": "stop"}]},
    ],
}


@pytest.mark.parametrize("kind", STREAMS)
def test_streams_in_other_dialects(llm: OpenAILLM, says: Scenario, kind: str) -> None:
    """Whatever such a server leaves out or adds, the text is whole and its end is known."""
    says.steps.append(events(*STREAMS[kind]))
    found = streamed(llm)
    assert (found.text, found.finish_reason) == (TEXT, "stop")
    assert found.model == ("llama3.2" if kind == "fields missing" else "m")
    counted = (found.usage.input_tokens, found.usage.output_tokens)
    assert counted == ((7, 4) if kind.startswith("usage") else (0, 0))


@pytest.mark.parametrize("sent", [SPOKEN, [{**chunk(), "choices": [], "usage": USAGE}]], ids=["half", "usage alone"])
def test_a_stream_that_says_nowhere_that_it_ended(llm: OpenAILLM, says: Scenario, sent: list[Any]) -> None:
    """Without a finish reason and without usage, half an answer looks the same, so it is told; usage alone is none."""
    says.steps.append(events(*sent, done=""))
    with pytest.raises(ProviderUnavailableError, match="ended before the answer did"):
        list(llm.stream(ASKED))


WHOLES: Final[dict[str, dict[str, Any]]] = {
    "fewest fields": {"choices": [{"message": {"content": TEXT}}]},
    "null where something is due": {
        "id": None,
        "model": None,
        "usage": None,
        "choices": [
            {"index": 0, "message": {"role": None, "content": TEXT, "tool_calls": None}, "finish_reason": None}
        ],
    },
    "empty finish reason, empty list of calls": {
        "choices": [{"message": {"role": "assistant", "content": TEXT, "tool_calls": []}, "finish_reason": ""}]
    },
    "content in parts": {
        "choices": [{"message": {"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": TEXT}]}}]
    },
    "more fields": {
        "choices": [
            {"message": {"content": TEXT, "reasoning_content": "hm"}, "stop_reason": None, "finish_reason": "stop"}
        ],
        "kv_transfer_params": None,
        "prompt_logprobs": None,
        "timings": {"prompt_n": 7},
    },
}


@pytest.mark.parametrize("kind", WHOLES)
def test_answers_in_other_dialects(llm: OpenAILLM, says: Scenario, kind: str) -> None:
    """An answer needs its text; who answered is then the model that was asked."""
    says.steps.append(body(WHOLES[kind]))
    found = llm.complete(ASKED)
    assert (found.text, found.finish_reason, found.model) == (TEXT, "stop", "llama3.2")


def call(arguments: Any, **fields: Any) -> dict[str, Any]:
    """Return a call of a tool, or a part of one."""
    return {"type": "function", "function": {"name": "find", "arguments": arguments}, **fields}


WANTED: Final = [("find", {"a": 1}), ("find", {"a": 2})]
CALLS: Final[dict[str, list[dict[str, Any]]]] = {
    "no identity": [call('{"a": 1}', index=0), call('{"a": 2}', index=1)],
    "no identity, no number": [call('{"a": 1}'), call('{"a": 2}')],
    "every number 0, as Ollama": [call('{"a": 1}', index=0, id="call_1"), call('{"a": 2}', index=0, id="call_2")],
    "values instead of text": [call({"a": 1}, index=0, id="1"), call({"a": 2}, index=1, id="2")],
    "an empty identity": [call('{"a": 1}', index=0, id=""), call('{"a": 2}', index=0, id="")],
}


@pytest.mark.parametrize("kind", CALLS)
def test_calls_in_other_dialects(llm: OpenAILLM, says: Scenario, kind: str) -> None:
    """Two calls stay two, and each has an identity by which its result finds it."""
    message = {"role": "assistant", "content": None, "tool_calls": CALLS[kind]}
    parts = [chunk({"tool_calls": [each]}) for each in CALLS[kind]]
    says.steps.append(body({"choices": [{"message": message, "finish_reason": "stop"}]}))
    says.steps.append(events(chunk({"role": "assistant", "content": ""}), *parts, chunk(finish="stop")))
    for answer in (llm.complete(ASKED), streamed(llm)):
        assert [(each.name, json.loads(each.arguments)) for each in answer.tool_calls] == WANTED
        assert len({each.id for each in answer.tool_calls}) == 2
        assert all(each.id for each in answer.tool_calls)
        assert answer.finish_reason == "tool_calls"


@pytest.mark.parametrize("again", ["call_1", "", None])
def test_a_call_in_pieces(llm: OpenAILLM, says: Scenario, again: str | None) -> None:
    """Pieces that repeat the name, with the identity or without it, are one call."""
    pieces = [
        {"index": 0, "id": "call_1", "function": {"name": "find", "arguments": ""}},
        {"index": 0, "id": again, "function": {"name": "find", "arguments": '{"a":'}},
        {"index": 0, "id": again, "function": {"name": "find", "arguments": " 1}"}},
    ]
    says.steps.append(events(*(chunk({"tool_calls": [each]}) for each in pieces), chunk(finish="tool_calls")))
    assert [(each.id, each.arguments) for each in streamed(llm).tool_calls] == [("call_1", '{"a": 1}')]


VLLM_LONG: Final = (
    "You passed 1015 input tokens and requested 10 output tokens. However, the model's context length is only 1024"
    " tokens, resulting in a maximum input length of 1014 tokens."
)
ERRORS: Final[dict[str, tuple[Step, type[LLMError], str]]] = {
    "Ollama, unknown model": (
        body({"error": {"message": 'model "qwen9" not found, try pulling it first', "type": "api_error"}}, 404),
        ModelNotFoundError,
        "try pulling it first",
    ),
    "a text as the error": (body({"error": "model 'qwen9' not found"}, 404), ModelNotFoundError, "qwen9"),
    "vLLM without a wrapper": (
        body(
            {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}, 404
        ),
        ModelNotFoundError,
        "does not exist",
    ),
    "vLLM, too long": (
        body({"error": {"message": VLLM_LONG, "type": "BadRequestError", "param": "input_tokens", "code": 400}}, 400),
        ContextTooLongError,
        "1014",
    ),
    "older vLLM, too long": (
        body({"object": "error", "message": "max_tokens must be at least 1, got -186.", "code": 400}, 400),
        ContextTooLongError,
        "-186",
    ),
    "llama.cpp, too long": (
        body({"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}}, 500),
        ContextTooLongError,
        "exceeded",
    ),
    "llama.cpp, too long with status 200": (
        body({"error": {"code": 400, "message": "request exceeds it", "type": "exceed_context_size_error"}}),
        ContextTooLongError,
        "exceeds",
    ),
    "a gateway's limit with status 200": (
        body({"error": {"code": 429, "message": "slow down"}, "user_id": "u"}),
        RateLimitedError,
        "slow down",
    ),
    "vLLM wants a key": (body({"error": "Unauthorized"}, 401), AuthenticationFailedError, "give http://127.0.0.1"),
    "FastAPI, wrong path": (body({"detail": "Not Found"}, 404), ProviderUnavailableError, "Not Found"),
    "plain text": (body("404 page not found", 404), ProviderUnavailableError, "404 page not found"),
    "a page": (
        step("ok", verbatim="<html><h1>Bad gateway</h1></html>", status=502, content_type="text/html"),
        ProviderUnavailableError,
        "did not say why",
    ),
    "nothing": (body("", 503), ProviderUnavailableError, "did not say why"),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_errors_in_other_dialects(llm: OpenAILLM, says: Scenario, kind: str) -> None:
    """Each is told as what it is, in the server's own words; where the status is 200, a stream holds it as an event."""
    fault, error, words = ERRORS[kind]
    says.steps.extend((fault, events(json.loads(fault.verbatim or "")) if fault.status == 200 else fault))
    for ask in (lambda: llm.complete(ASKED), lambda: list(llm.stream(ASKED))):
        with pytest.raises(error, match=words) as caught:
            ask()
        assert type(caught.value) is error


@pytest.mark.parametrize("error", [{"message": "the engine died", "code": 500}, "the engine died"])
def test_an_error_inside_a_stream(llm: OpenAILLM, says: Scenario, error: Any) -> None:
    """What is reported in the middle is told, as an object or as a text."""
    says.steps.append(events(SPOKEN[0], {"error": error}))
    pieces = llm.stream(ASKED)
    assert next(pieces) == "At "
    with pytest.raises(ProviderUnavailableError, match="the engine died"):
        next(pieces)


def test_an_option_that_an_older_server_forbids(server: FaultServer) -> None:
    """A stream works without the usage, which older servers do not know how to send."""
    quoted = "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted'}]"
    forbidding = [
        {"object": "error", "message": quoted, "type": "BadRequestError", "code": 400},
        {
            "detail": [
                {"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}
            ]
        },
    ]
    for each in forbidding:
        scenario = server.scenario(body(each, 422), then=events(*SPOKEN, chunk(finish="stop")))
        with adapter(scenario) as llm:
            assert "".join(llm.stream(ASKED)) == TEXT
        assert ["stream_options" in request.body for request in scenario.requests] == [True, False]

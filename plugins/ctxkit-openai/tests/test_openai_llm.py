"""OpenAI's adapter through OpenAI's own library, against a server that fails as it is told."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final

import pytest
from ctxkit_conformance.faults import FaultServer, Scenario, step
from ctxkit_openai.config import OpenAIConfig
from ctxkit_openai.llm import OpenAILLM
from provider_cases import ASKED, WORDS, ProviderCases, fault_server, gap, own_environment

from ctxkit.errors import LLMError, ProviderUnavailableError
from ctxkit.interfaces import Completion
from ctxkit.llm.adapters import create_llm_adapter
from ctxkit.providers import AnswerStream, AsyncAnswerStream

KEY: Final = "sk-test-0123456789abcdef"
TOOL: Final = {"name": "find", "description": "Finds.", "parameters": {"type": "object", "properties": {}}}
APIS: Final = pytest.mark.parametrize("api", ["chat", "responses"])


__all__ = ["fault_server", "own_environment"]  # fixtures
pytestmark = pytest.mark.usefixtures("own_environment")


class TestOpenAI(ProviderCases):
    """What holds of every provider."""

    provider = "openai"
    package = "ctxkit_openai"
    wire = "openai"
    key = "sk-test-0123456789abcdef"
    key_variable = "OPENAI_API_KEY"


def adapter(where: Scenario, **options: Any) -> OpenAILLM:
    """Return an adapter that asks this scenario."""
    return OpenAILLM(OpenAIConfig(**{"base_url": where.url("openai"), "api_key": KEY, "model": "m", **options}))


def bodies(where: Scenario) -> list[Any]:
    """Return what was sent."""
    return [request.body for request in where.requests]


@APIS
def test_streams_know_their_usage(server: FaultServer, api: str) -> None:
    """A stream that has ended holds what complete would have returned, usage and tool calls included."""
    for tool in (False, True):
        does = step("tool_call" if tool else "ok", usage=(123, 45), model="m-2026")
        options: dict[str, Any] = {"tools": [{"type": "function", "function": TOOL}]} if tool else {}
        llm = adapter(server.scenario(then=does), api=api)

        async def use(llm: OpenAILLM = llm, options: dict[str, Any] = options) -> tuple[AsyncAnswerStream, str]:
            pieces = llm.astream(ASKED, **options)
            return pieces, "".join([piece async for piece in pieces])

        with llm:
            whole = llm.complete(ASKED, **options)
            pieces = llm.stream(ASKED, **options)
            assert isinstance(pieces, AnswerStream)
            before = pieces.completion
            assert before is None
            text = "".join(pieces)
            apieces, atext = asyncio.run(use())
        assert text == atext == whole.text == ("" if tool else WORDS)
        assert pieces.completion is not None
        assert apieces.completion is not None
        # The provider gives every call of a tool an identity of its own.
        unnamed = {"tool_calls": {"__all__": {"id"}}}
        dumps = [each.model_dump(exclude=unnamed) for each in (whole, pieces.completion, apieces.completion)]
        assert dumps[0] == dumps[1] == dumps[2]
        assert (whole.usage.input_tokens, whole.usage.output_tokens, whole.model) == (123, 45, "m-2026")
        assert [(call.name, json.loads(call.arguments)) for call in whole.tool_calls] == (
            [("find", {"words": WORDS})] if tool else []
        )


@APIS
def test_tools_go_back_and_forth(server: FaultServer, api: str) -> None:
    """What a model asked for, and what the tool answered, reach the provider in its format."""
    scenario = server.scenario(step("tool_call"), step("ok", text="At berth 14."))
    tools = [{"type": "function", "function": TOOL}]
    with adapter(scenario, api=api) as llm:
        called = llm.complete(ASKED, tools=tools)
        (call,) = called.tool_calls
        result = {"role": "tool", "tool_call_id": call.id, "content": "berth 14"}
        answer = llm.complete([*ASKED, called.as_message(), result], tools=tools)
    assert answer.text == "At berth 14."
    sent = bodies(scenario)[1]
    if api == "chat":
        assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool"]
        assert sent["messages"][2]["tool_call_id"] == call.id
    else:
        assert [item.get("type", "message") for item in sent["input"]] == [
            "message",
            "function_call",
            "function_call_output",
        ]
        assert {sent["input"][1]["call_id"], sent["input"][2]["call_id"]} == {call.id}
        assert sent["store"] is False, "the conversation would be kept at the provider"


def test_a_parameter_that_the_model_does_not_take(server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    """It is left out with a note, now and in every later call, instead of failing each."""
    scenario = server.scenario(step("bad_request"))  # complains of frequency_penalty
    with adapter(scenario, max_retries=0) as llm, caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert llm.complete(ASKED, frequency_penalty=0.5, top_p=0.9).text == WORDS
    assert ["frequency_penalty" in body for body in bodies(scenario)] == [True, False, False]
    assert all(body["top_p"] == 0.9 for body in bodies(scenario))
    assert [record.getMessage() for record in caplog.records] == [
        "OpenAI: frequency_penalty is left out: the model does not take it"
    ]


def test_the_same_in_streams_and_event_loops(server: FaultServer) -> None:
    """Whatever way is asked first finds out."""

    async def use(llm: OpenAILLM) -> str:
        return "".join([piece async for piece in llm.astream(ASKED, frequency_penalty=0.5)])

    for how in ("stream", "astream"):
        scenario = server.scenario(step("bad_request"))
        with adapter(scenario, max_retries=0) as llm:
            stream = llm.stream(ASKED, frequency_penalty=0.5)
            assert ("".join(stream) if how == "stream" else asyncio.run(use(llm))) == WORDS
        assert len(scenario.requests) == 2


def test_a_parameter_that_the_library_does_not_know(server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    """It is left out with a note that says how to send it all the same, and that way works."""
    scenario = server.scenario()
    with adapter(scenario) as llm, caplog.at_level(logging.WARNING):
        llm.complete(ASKED, top_k=5)
        llm.complete(ASKED, extra_body={"top_k": 5})
    assert [body.get("top_k") for body in bodies(scenario)] == [None, 5]
    assert "top_k is left out" in caplog.text


@pytest.mark.parametrize(
    ("own", "name"), [(True, "max_completion_tokens"), (False, "max_tokens")], ids=["openai", "compatible"]
)
def test_the_limit_has_the_name_that_is_understood(own: bool, name: str) -> None:  # noqa: FBT001 - a parameter of a test
    """OpenAI's models take the newer name, most compatible servers the older."""
    llm = OpenAILLM(OpenAIConfig(base_url=None if own else "http://localhost:11434/v1", api_key="sk-1234"))
    arguments = llm._dialect.arguments("m", [], {"max_tokens": 5})
    assert arguments[name] == 5
    assert len(arguments) == 3


def test_a_server_that_wants_no_key(server: FaultServer) -> None:
    """Nothing has to be configured for a server of one's own but its address."""
    scenario = server.scenario()
    with create_llm_adapter("openai", base_url=scenario.url("openai"), model="llama") as llm:
        assert llm.generate_sync(WORDS) == WORDS
    assert scenario.requests[0].key == "no-key"


@pytest.mark.parametrize("wait", [0.5, 1.0])
def test_the_pause_is_the_one_that_was_asked_for(server: FaultServer, wait: float) -> None:
    """Not a moment less than Retry-After says; how much more is measured by `ctxkit conformance faults`."""
    scenario = server.scenario(step("rate_limited", retry_after=wait))
    with adapter(scenario, max_retries=1) as llm:
        assert llm.generate_sync(WORDS) == WORDS
    first, second = scenario.requests
    assert gap(first, second) >= wait


def test_marks_for_a_cache_do_no_harm(server: FaultServer) -> None:
    """Messages that are written for Anthropic's cache are understood, since OpenAI needs no marks."""
    scenario = server.scenario()
    with adapter(scenario) as llm:
        llm.complete([{"role": "system", "content": "Be brief.", "cache_control": {"type": "ephemeral"}}, *ASKED])
    assert "cache_control" not in bodies(scenario)[0]["messages"][0]


class _Elsewhere(BaseHTTPRequestHandler):
    """Sends everybody somewhere else, and notes who came with what."""

    def do_POST(self) -> None:
        self.server.seen.append(self.headers.get("authorization"))  # type: ignore[attr-defined]  # set by the test
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(302)
        self.send_header("location", self.server.target)  # type: ignore[attr-defined]
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def test_a_redirection_takes_the_key_nowhere(server: FaultServer) -> None:
    """A login page in between is told as what it is, and learns nothing."""
    target = server.scenario()
    with HTTPServer(("127.0.0.1", 0), _Elsewhere) as portal:
        portal.seen = []  # type: ignore[attr-defined]
        portal.target = f"{target.url('openai')}/chat/completions"  # type: ignore[attr-defined]
        thread = threading.Thread(target=portal.serve_forever, args=(0.01,))
        thread.start()
        try:
            address = f"http://127.0.0.1:{portal.server_address[1]}/v1"
            with (
                OpenAILLM(OpenAIConfig(base_url=address, api_key=KEY)) as llm,
                pytest.raises(ProviderUnavailableError, match="redirection"),
            ):
                llm.complete(ASKED)
        finally:
            portal.shutdown()
            thread.join()
    assert len(portal.seen) == 1  # type: ignore[attr-defined]
    assert not target.requests


def test_a_name_that_nobody_knows() -> None:
    """A mistyped host is a connection error with the address in it."""
    config = OpenAIConfig(base_url="http://no-such-host.invalid/v1", api_key=KEY, max_retries=0)
    with OpenAILLM(config) as llm, pytest.raises(ProviderUnavailableError, match=r"connection to http://no-such-host"):
        llm.complete(ASKED)


def test_one_adapter_for_threads_and_loops(server: FaultServer) -> None:
    """A web server asks from threads and from event loops at once, with one adapter."""
    llm = adapter(server.scenario())
    found: list[Completion | str] = []

    def in_a_loop() -> None:
        found.append(asyncio.run(llm.generate(WORDS)))

    def in_a_thread() -> None:
        found.append(llm.generate_sync(WORDS))

    threads = [threading.Thread(target=each) for each in (in_a_loop, in_a_thread) * 4]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    llm.close()
    assert found == [WORDS] * 8
    with pytest.raises(LLMError, match="closed"):
        llm.generate_sync(WORDS)

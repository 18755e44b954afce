"""Anthropic's adapter through Anthropic's own library, against a server that fails as it is told."""

from __future__ import annotations

import inspect
import json
import logging
from typing import Any, Final

import anthropic
import pytest
from ctxkit_anthropic.config import AnthropicConfig
from ctxkit_anthropic.format import tool_of
from ctxkit_anthropic.llm import AnthropicLLM
from ctxkit_conformance.faults import FaultServer, Scenario, step
from provider_cases import ASKED, WORDS, ProviderCases, fault_server, own_environment

from ctxkit.errors import AuthenticationFailedError
from ctxkit.llm.adapters import create_llm_adapter
from ctxkit.providers.forms import system_of, turns_of

KEY: Final = "sk-ant-test-0123456789abcdef"
MARK: Final = {"type": "ephemeral"}
TOOL: Final = {"name": "find", "description": "Finds.", "parameters": {"type": "object", "properties": {}}}


__all__ = ["fault_server", "own_environment"]  # fixtures
pytestmark = pytest.mark.usefixtures("own_environment")


class TestAnthropic(ProviderCases):
    """What holds of every provider."""

    provider = "anthropic"
    package = "ctxkit_anthropic"
    wire = "anthropic"
    key = "sk-ant-test-0123456789abcdef"
    key_variable = "ANTHROPIC_API_KEY"


def adapter(where: Scenario, **options: Any) -> AnthropicLLM:
    """Return an adapter that asks this scenario."""
    return AnthropicLLM(AnthropicConfig(**{"base_url": where.url("anthropic"), "api_key": KEY, **options}))


def body_of(where: Scenario) -> Any:
    """Return what was sent last."""
    return where.requests[-1].body


def test_temperature_is_sent_or_left_out_with_a_note(server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    """Newer releases of the library take it no more, which is no reason to fail; who insists can still send it."""
    known = "temperature" in inspect.signature(anthropic.resources.Messages.create).parameters
    scenario = server.scenario()
    with adapter(scenario, temperature=0.2) as llm, caplog.at_level(logging.WARNING):
        assert llm.complete(ASKED).text == WORDS
        assert body_of(scenario).get("temperature") == (0.2 if known else None)
        assert "".join(llm.stream(ASKED, temperature=0.3)) == WORDS
        assert body_of(scenario).get("temperature") == (0.3 if known else None)
        llm.complete(ASKED, extra_body={"temperature": 0.4})
    assert body_of(scenario)["temperature"] == 0.4
    note = "Anthropic: temperature is left out: its library does not take it;"
    assert [record.getMessage()[: len(note)] for record in caplog.records] == ([] if known else [note])


def test_system_stands_beside_the_others(server: FaultServer) -> None:
    """One instruction is text, several are blocks in their order, and marks for the cache stay where they were."""
    scenario = server.scenario()
    with adapter(scenario) as llm:
        llm.complete([{"role": "system", "content": "Be brief."}, *ASKED])
        assert body_of(scenario)["system"] == "Be brief."
        llm.complete(
            [
                {"role": "system", "content": "Long instructions.", "cache_control": MARK},
                {"role": "user", "content": "What the conversation is about.", "cache_control": MARK},
                {"role": "system", "content": "Be brief."},
                *ASKED,
            ]
        )
    body = body_of(scenario)
    assert body["system"] == [
        {"type": "text", "text": "Long instructions.", "cache_control": MARK},
        {"type": "text", "text": "Be brief."},
    ]
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "What the conversation is about.", "cache_control": MARK}
    ]
    assert body["messages"][1] == dict(ASKED[0])


def test_cache_for_everything(server: FaultServer) -> None:
    """The option asks the provider to keep what a conversation begins with; without it nothing is marked."""
    scenario = server.scenario()
    for cache in (True, False):
        with adapter(scenario, cache=cache) as llm:
            llm.complete(ASKED)
        assert body_of(scenario).get("cache_control") == (MARK if cache else None)


def test_tokens_of_the_cache_are_counted() -> None:
    """What was read from the cache, or written to it, was read by the model; how much came from it is told."""
    from ctxkit_anthropic.messages import Messages  # noqa: PLC0415 - only this test looks inside

    class Told:
        """Attributes, as the library's objects have them."""

        def __init__(self, **values: Any) -> None:
            vars(self).update(values)

    usage = Told(input_tokens=10, output_tokens=5, cache_creation_input_tokens=100, cache_read_input_tokens=1000)
    answer = Told(content=[Told(type="text", text="yes")], stop_reason="end_turn", model="m", usage=usage)
    found = Messages(cache=False).completion(answer).usage
    assert (found.input_tokens, found.output_tokens, found.cached_tokens) == (1110, 5, 1000)


def test_tools_go_back_and_forth(server: FaultServer) -> None:
    """Tools, calls and results as every adapter takes them reach the provider in its own format."""
    scenario = server.scenario(step("tool_call"), step("tool_call"), step("ok", text="At berth 14."))
    tools = [{"type": "function", "function": TOOL}]
    with adapter(scenario) as llm:
        called = llm.complete(ASKED, tools=tools)
        stream = llm.stream(ASKED, tools=tools)
        assert list(stream) == []
        assert stream.completion is not None
        (call,) = called.tool_calls
        assert (call.name, json.loads(call.arguments)) == ("find", {"words": WORDS})
        assert [(each.name, each.arguments) for each in stream.completion.tool_calls] == [("find", call.arguments)]
        result = {"role": "tool", "tool_call_id": call.id, "content": "berth 14"}
        answer = llm.complete([*ASKED, called.as_message(), result, result], tools=tools)
    assert answer.text == "At berth 14."
    body = body_of(scenario)
    assert body["tools"] == [{"name": "find", "description": "Finds.", "input_schema": TOOL["parameters"]}]
    wanted = {"type": "tool_use", "id": call.id, "name": "find", "input": {"words": WORDS}}
    assert body["messages"][1] == {"role": "assistant", "content": [wanted]}
    came = {"type": "tool_result", "tool_use_id": call.id, "content": "berth 14"}
    assert body["messages"][2] == {"role": "user", "content": [came, came]}


def test_what_is_in_its_own_format_stays() -> None:
    """Blocks and tools that are written for Anthropic are passed on as they are."""
    own = {"name": "find", "input_schema": {"type": "object"}}
    blocks = [{"type": "text", "text": "a"}, {"type": "image", "source": {}}]
    assert tool_of(own) == own
    assert turns_of([{"role": "user", "content": blocks}]) == [{"role": "user", "content": blocks}]
    assert system_of([{"role": "system", "content": [{"type": "text", "text": "a", "cache_control": MARK}]}]) == [
        {"type": "text", "text": "a", "cache_control": MARK}
    ]
    calls = [{"id": "1", "function": {"name": "f", "arguments": "no JSON"}}]
    turns = turns_of([{"role": "assistant", "content": "so", "tool_calls": calls}])
    assert turns[0]["content"][1]["input"] == {"arguments": "no JSON"}


def test_a_long_answer_needs_no_stream(server: FaultServer) -> None:
    """The library refuses many tokens without a stream under its own timeout; ours is set, so it does not."""
    scenario = server.scenario()
    with adapter(scenario, timeout=600.0) as llm:
        assert llm.complete(ASKED, max_tokens=64_000).text == WORDS
    assert body_of(scenario)["max_tokens"] == 64_000


def test_key_of_openai_is_not_sent() -> None:
    """The most usual mix-up is told before anything leaves the machine."""
    with (
        create_llm_adapter("anthropic", api_key="sk-proj-0123456789abcdef") as llm,
        pytest.raises(AuthenticationFailedError, match="one of OpenAI, and was not sent to Anthropic"),
    ):
        llm.generate_sync(WORDS)

"""Language models by name, and the stand-in that needs no provider."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from ctxkit_conformance import LLMContract

from ctxkit.config import LLMConfig
from ctxkit.defaults.echo import EchoConfig, EchoLLM
from ctxkit.errors import ConfigError, LLMError, PluginNotFoundError, RateLimitedError
from ctxkit.interfaces import LLM, BackendConfig, Completion, LLMCapabilities, Message, ToolCall
from ctxkit.llm.adapters import create_llm_adapter
from ctxkit.testing import temporary_registry


class TestEcho(LLMContract):
    """The stand-in keeps the contract of every language model."""

    llm_class = EchoLLM

    def make_config(self, base_url: str, api_key: str) -> EchoConfig:  # noqa: ARG002 - it asks nobody
        """Return a configuration."""
        return EchoConfig()


def test_a_script_is_given_in_turn() -> None:
    """Answers come in their order, again and again, whichever way they are asked for."""
    adapter = create_llm_adapter("echo", answers=["At berth 14.", "In May."])
    messages = [{"role": "user", "content": "Where?"}]
    assert adapter.generate_sync("Where?") == "At berth 14."
    assert asyncio.run(adapter.generate("When?")) == "In May."
    assert list(adapter.stream(messages)) == ["At", " berth", " 14."]
    assert create_llm_adapter("echo").generate_sync("  as  it is ") == "  as  it is "


def test_a_configuration_in_place_of_a_name() -> None:
    """Its values are options; what nobody set and the adapter does not know is left out, what is set is not."""
    config = LLMConfig.model_validate({"provider": "echo", "answers": ["one two three"], "max_tokens": 2})
    answer = create_llm_adapter(config).complete([{"role": "user", "content": "?"}])
    assert (answer.text, answer.model, answer.finish_reason) == ("one two", "echo", "length")
    named = LLMConfig(provider="echo", model="named")
    assert create_llm_adapter(named).complete([{"role": "user", "content": "?"}]).model == "named"
    assert create_llm_adapter(named, model="other").complete([{"role": "user", "content": "?"}]).model == "other"
    with pytest.raises(ConfigError, match="temperature"):
        create_llm_adapter(LLMConfig(provider="echo", temperature=0.1))


def test_what_is_not_there_is_named() -> None:
    """An unknown provider and an unknown option are told with what there is."""
    with pytest.raises(PluginNotFoundError, match="no-such-provider"):
        create_llm_adapter("no-such-provider")
    with pytest.raises(ConfigError, match=r"api_kee.*there is no such option"):
        create_llm_adapter("echo", api_kee="x")


class Limited(LLM):
    """Fails twice and answers then."""

    def __init__(self, config: BackendConfig) -> None:
        self.config = config
        self.failures = 2

    def complete(self, messages: Sequence[Message], **_options: Any) -> Completion:
        """Return the answer, or raise."""
        assert messages
        if self.failures:
            self.failures -= 1
            raise RateLimitedError("rate limit of Acme: too many.", fix="wait.")
        return Completion(text="yes", model="m")


def test_the_loop_that_users_write_still_works() -> None:
    """Code that looks for the words of an error finds them, and asks again."""
    with temporary_registry() as registry:
        registry.add("llm", "limited", Limited, capabilities=LLMCapabilities())
        adapter = create_llm_adapter("limited", registry=registry)
        for _ in range(3):
            try:
                found = adapter.generate_sync("?")
            except LLMError as exc:
                if "rate limit" not in str(exc).lower():
                    raise
    assert found == "yes"


def test_context_managers_close() -> None:
    """`with` and `async with` give the adapter, and close it."""
    closed: list[str] = []

    class Noted(EchoLLM):
        def close(self) -> None:
            closed.append("closed")

    async def use() -> str:
        async with Noted() as adapter:
            return await adapter.generate("hello")

    with Noted() as adapter:
        assert adapter.generate_sync("hello") == "hello"
    assert asyncio.run(use()) == "hello"
    assert closed == ["closed", "closed"]


def test_an_answer_goes_back_into_the_conversation() -> None:
    """A message made of an answer holds its text and its calls."""
    plain = Completion(text="yes", model="m")
    calling = Completion(text="", model="m", tool_calls=(ToolCall(id="1", name="find", arguments='{"a": 1}'),))
    assert plain.as_message() == {"role": "assistant", "content": "yes"}
    assert calling.as_message()["tool_calls"] == [
        {"id": "1", "type": "function", "function": {"name": "find", "arguments": '{"a": 1}'}}
    ]

"""Checks of one answer: what is sent for it, and what comes back."""

from __future__ import annotations

import asyncio
import copy
import logging
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from ctxkit.errors import LLMError
from ctxkit.interfaces import Completion, Message
from ctxkit_conformance.faults import Asked, Scenario, step
from ctxkit_conformance.llms import clauses
from ctxkit_conformance.llms.base import WORDS, LLMChecks, Provider, bounded, every_way, user
from ctxkit_conformance.marks import covers

CONVERSATION: Final[list[Message]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Where is the boat?"},
    {"role": "assistant", "content": "At berth 14."},
    {"role": "user", "content": "And the oars?"},
]
# Letters beyond ASCII and beyond the first plane, joined and combined ones, and every line break but those of an event.
STRANGE: Final = "naïve e\u0301 漢字 مرحبا 👩‍👩‍👧 🇨🇭 \u2028 \u2029 \x85 \x0b \x1c end"


class CompletionChecks(LLMChecks):
    """One question, one answer."""

    @covers(clauses.DECLARATIONS)
    def test_announced_as_configured(self, provider: Provider) -> None:
        """A failure means that an adapter is chosen for what it announces, and then does something else."""
        self.check_announced(type(provider.config("http://127.0.0.1:9")))

    @pytest.mark.parametrize("how", ["complete", "acomplete"])
    @covers(clauses.COMPLETION)
    def test_answer_is_whole(self, provider: Provider, how: str) -> None:
        """A failure means that an answer lacks its text, its model, its cost or the reason why it stopped."""
        answer = _completion(provider, provider.scenario(), how)
        assert isinstance(answer.text, str)
        assert answer.text, "the text is empty"
        assert answer.model, "the model is not named"
        assert answer.finish_reason == "stop", f"finish_reason is {answer.finish_reason!r} for an answer that was whole"
        assert answer.usage.output_tokens > 0, "an answer of several words took no tokens"
        if not provider.offline:
            assert answer.text == WORDS, f"the text is {answer.text!r}, but the provider said {WORDS!r}"

    @pytest.mark.parametrize("how", ["complete", "acomplete"])
    @covers(clauses.COMPLETION)
    def test_usage_is_the_providers(self, provider: Provider, how: str) -> None:
        """A failure means that what a call costs is not what the provider will charge for."""
        answer = _completion(provider, provider.scenario(step("ok", usage=(1234, 567))), how)
        used = (answer.usage.input_tokens, answer.usage.output_tokens)
        if provider.offline:
            assert min(used) > 0, f"usage is {used}"
            return
        assert used == (1234, 567), f"usage is {used}, but the provider counted (1234, 567)"

    @covers(clauses.COMPLETION)
    def test_model_is_the_one_that_answered(self, provider: Provider) -> None:
        """A failure means that a report names a model that did not answer, for instance an alias."""
        name = "answering-model-2026-01-31"
        answer = _completion(provider, provider.scenario(step("ok", model=name)), "complete")
        assert provider.offline or answer.model == name, f"model is {answer.model!r}, but {name!r} answered"

    @covers(clauses.COMPLETION, clauses.PARAMETERS)
    def test_token_limit(self, provider: Provider) -> None:
        """A failure means that max_tokens limits nothing, or that a cut answer is taken for a whole one."""
        scenario = provider.scenario()
        answer = _completion(provider, scenario, "complete", max_tokens=2)
        assert answer.usage.output_tokens <= 2, f"{answer.usage.output_tokens} tokens came where 2 were allowed"
        if provider.offline:
            return
        assert _asked(scenario).max_tokens == 2, f"the provider was told max_tokens {_asked(scenario).max_tokens}"
        found = (answer.text, answer.finish_reason)
        assert found == ("Where is", "length"), f"the answer was {found}, not ('Where is', 'length')"

    @every_way
    @covers(clauses.PARAMETERS)
    def test_temperature_is_not_lost(self, provider: Provider, how: str, caplog: pytest.LogCaptureFixture) -> None:
        """A failure means that answers vary although the caller asked for none of it, and nobody says so."""
        scenario = provider.scenario()
        with _notes(caplog) as notes:
            provider.ask(provider.llm(scenario), how, temperature=0.25)
        if provider.offline or _asked(scenario).temperature == 0.25:
            return
        assert _asked(scenario).temperature is None, f"the provider was told {_asked(scenario).temperature}, not 0.25"
        assert any("temperature" in note for note in notes), "temperature was left out, and nothing says so"

    @covers(clauses.PARAMETERS)
    def test_other_option_is_not_lost(self, provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
        """A failure means that an option is accepted and changes nothing, or that its refusal is a raw error."""
        scenario = provider.scenario()
        with _notes(caplog) as notes:
            try:
                provider.ask(provider.llm(scenario), "complete", top_p=0.5)
            except LLMError as refused:
                notes.append(str(refused))
        if provider.offline or (scenario.requests and _asked(scenario).body.get("top_p") == 0.5):
            return
        assert any("top_p" in note for note in notes), "top_p was left out, and nothing says so"

    @every_way
    @covers(clauses.MESSAGES)
    def test_conversation_arrives(self, provider: Provider, how: str) -> None:
        """A failure means that the model answers without its instructions, or to half of what was said."""
        scenario = provider.scenario()
        provider.ask(provider.llm(scenario), how, CONVERSATION)
        if provider.offline:
            return
        asked = _asked(scenario)
        assert asked.system == "Be brief.", f"the provider read {asked.system!r} as the system's message"
        wanted = tuple((message["role"], message["content"]) for message in CONVERSATION[1:])
        assert asked.turns == wanted, f"the provider read the turns {asked.turns}"

    @covers(clauses.MESSAGES)
    def test_two_system_messages(self, provider: Provider) -> None:
        """A failure means that the memory's own instructions push out those of the application."""
        scenario = provider.scenario()
        more: Message = {"role": "system", "content": "Answer in French."}
        provider.ask(provider.llm(scenario), "complete", [CONVERSATION[0], more, *CONVERSATION[1:]])
        if provider.offline:
            return
        read = _asked(scenario).system
        assert 0 <= read.find("Be brief.") < read.find("Answer in French."), f"the provider read only {read!r}"

    @every_way
    @covers(clauses.MESSAGES)
    def test_messages_stay_as_they_are(self, provider: Provider, how: str) -> None:
        """A failure means that asking twice with the same list sends something else the second time."""
        given: Any = copy.deepcopy(CONVERSATION)
        scenario = provider.scenario()
        provider.ask(provider.llm(scenario), how, given)
        assert given == CONVERSATION, f"the messages are {given} after the call"
        frozen = tuple(types.MappingProxyType(dict(message)) for message in CONVERSATION)
        provider.ask(provider.llm(scenario), how, frozen)
        if not provider.offline:
            first, second = (request.asked for request in scenario.requests)
            assert first is not None
            assert second is not None
            assert first.turns == second.turns, "a tuple of read-only mappings is sent as something else than a list"

    @every_way
    @pytest.mark.parametrize(
        "messages",
        [[], [{"role": "nobody", "content": "?"}], [{"content": "?"}], [{"role": "user"}]],
        ids=["none", "unknown-role", "no-role", "no-content"],
    )
    @covers(clauses.MESSAGES)
    def test_bad_messages_are_refused(self, provider: Provider, how: str, messages: list[Message]) -> None:
        """A failure means that a slip in the caller's code is a riddle, or an answer to nothing."""
        llm = provider.llm(provider.scenario())
        found: object = None
        try:
            found = provider.ask(llm, how, messages)
        except Exception as exc:  # noqa: BLE001 - a raw error is what this looks for
            found = exc
        assert isinstance(found, LLMError), f"{how} of {messages} gave {found!r}, not an LLMError"
        assert found.fix, f"the error names no fix: {found}"

    @every_way
    @covers(clauses.COMPLETION)
    def test_empty_answer(self, provider: Provider, how: str) -> None:
        """A failure means that a model which says nothing makes the caller fail on None, or is taken for a fault."""
        text = provider.ask(provider.llm(provider.scenario(step("empty"))), how)
        assert provider.offline or text == "", f"the text is {text!r}"

    @covers(clauses.COMPLETION, clauses.PARAMETERS)
    def test_tool_call(self, provider: Provider) -> None:
        """A failure means that a model which wants a tool called looks as if it had said nothing and stopped."""
        scenario = provider.scenario(step("tool_call"))
        if provider.offline:
            provider.ask(provider.llm(scenario), "complete")
            return
        answer = _completion(provider, scenario, "complete", tools=[_tool(provider.wire)])
        assert _asked(scenario).tools == ("look_up",), f"the provider was offered {_asked(scenario).tools}"
        found = (answer.text, answer.finish_reason)
        assert found == ("", "tool_calls"), f"the answer was {found}, not ('', 'tool_calls')"

    @covers(clauses.SHORT_FORMS)
    def test_short_forms(self, provider: Provider) -> None:
        """A failure means that the two calls that everybody begins with do not answer."""
        scenario = provider.scenario()
        llm = provider.llm(scenario)
        texts = [
            bounded(lambda: llm.generate_sync(WORDS), "generate_sync"),
            bounded(lambda: asyncio.run(llm.generate(WORDS)), "generate"),
        ]
        assert all(texts), f"the answers were {texts}"
        if not provider.offline:
            assert texts == [WORDS, WORDS], f"the answers were {texts}"
            assert _asked(scenario).turns == (("user", WORDS),)

    @every_way
    @pytest.mark.parametrize("delivery", ["whole", "bytes", "characters", "escaped"])
    @covers(clauses.UNICODE)
    def test_any_text_comes_back(self, provider: Provider, how: str, delivery: str) -> None:
        """A failure means that letters, emoji or lines are lost where the network happens to cut an answer."""
        does = {
            "whole": step("ok"),
            "bytes": step("bytes"),
            "characters": step("ok", by_character=True),
            "escaped": step("bytes", escaped=True),
        }
        text = provider.ask(provider.llm(provider.scenario(does[delivery])), how, user(STRANGE))
        assert provider.offline or text == STRANGE, f"{text!a} came back for {STRANGE!a}"

    @every_way
    @covers(clauses.COMPLETION, clauses.TIMEOUT)
    def test_slow_answer(self, provider: Provider, how: str) -> None:
        """A failure means that an answer is lost because it is long and comes slowly."""
        scenario = provider.scenario(step("drip"))
        provider.answers(provider.llm(scenario), how)


@contextmanager
def _notes(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Collect what is logged and what is warned of in the block."""
    notes: list[str] = []
    caplog.clear()
    with caplog.at_level(logging.INFO), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield notes
    notes += [record.getMessage() for record in caplog.records] + [str(each.message) for each in warned]


def _completion(provider: Provider, scenario: Scenario, how: str, **options: Any) -> Completion:
    llm = provider.llm(scenario)
    if how == "complete":
        answer = bounded(lambda: llm.complete(user(WORDS), **options))
    else:
        answer = bounded(lambda: asyncio.run(llm.acomplete(user(WORDS), **options)))
    assert isinstance(answer, Completion), f"{how} returned {answer!r}, which is no Completion"
    return answer


def _asked(scenario: Scenario) -> Asked:
    """Return what the first request asked."""
    requests = scenario.requests
    assert requests, "the adapter asked nothing of the address that it was given"
    assert requests[0].asked is not None, f"the provider rejects such a request: {requests[0].body}"
    return requests[0].asked


def _tool(wire: str) -> dict[str, Any]:
    """Return a tool as the provider's format writes it."""
    schema = {"type": "object", "properties": {"words": {"type": "string"}}}
    if wire == "anthropic":
        return {"name": "look_up", "description": "Looks up.", "input_schema": schema}
    return {"type": "function", "function": {"name": "look_up", "description": "Looks up.", "parameters": schema}}

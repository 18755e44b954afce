"""Contexts as messages: the forms of providers, tool calls with their results, and the budget."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from components import config
from manager_support import manager

from ctxkit import ContextManager
from ctxkit.errors import BudgetTooSmallError, ConfigError, InvalidRecordError
from ctxkit.llm.adapters import create_llm_adapter

CALL = {"id": "call_1", "type": "function", "function": {"name": "berth_of", "arguments": '{"boat": "Ada"}'}}
TOOLS: list[dict[str, Any]] = [
    {"role": "user", "content": "Where is the Ada?"},
    {"role": "assistant", "content": "I look it up.", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "berth 14"},
    {"role": "assistant", "content": "At berth 14."},
]
BLOCKS: list[dict[str, Any]] = [
    {"role": "user", "content": "Where is the Ada?"},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "I look it up."},
            {"type": "tool_use", "id": "call_1", "name": "berth_of", "input": {"boat": "Ada"}},
        ],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "berth 14"}]},
    {"role": "assistant", "content": "At berth 14."},
]


@pytest.fixture
def cm(tmp_path: Path) -> Iterator[ContextManager]:
    """A durable manager with the default limits."""
    with manager(tmp_path / "store") as made:
        yield made


def test_what_is_known_comes_first_and_the_question_last(cm: ContextManager) -> None:
    """Turns stand between them in their order, each side a message; what is blank is none."""
    cm.add_memory("The Ada is a red boat.")
    cm.observe("Hello!", "Hi.")
    cm.observe("", "Anything else?")
    system, *turns, question = cm.build_messages("Where is the Ada?")
    assert system["role"] == "system"
    assert "The Ada is a red boat." in system["content"]
    assert turns == [
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Hi."},
        {"role": "assistant", "content": "Anything else?"},
    ]
    assert question == {"role": "user", "content": "Where is the Ada?"}
    assert cm.build_messages("Where is the Ada?", "openai") == cm.build("Where is the Ada?").messages


def test_nothing_known_is_no_message(cm: ContextManager) -> None:
    """An empty message of the system's would be refused by providers."""
    assert cm.build_messages("Hello?") == [{"role": "user", "content": "Hello?"}]
    assert cm.build_messages("Hello?", provider="anthropic") == {"messages": [{"role": "user", "content": "Hello?"}]}


@pytest.mark.parametrize("given", [TOOLS, BLOCKS], ids=["openai", "anthropic"])
def test_tools_come_back_with_their_results_in_either_form(tmp_path: Path, given: list[dict[str, Any]]) -> None:
    """Whichever form they were observed in, and after the store was opened again."""
    with manager(tmp_path / "store") as cm:
        cm.observe("Where is the Ada?", "At berth 14.", messages=given)
    with manager(tmp_path / "store") as cm:
        assert cm.build_messages("And now?") == [*TOOLS, {"role": "user", "content": "And now?"}]
        built = cm.build_messages("And now?", provider="anthropic")
        assert built == {"messages": [*BLOCKS, {"role": "user", "content": "And now?"}]}


def test_the_results_of_calls_made_together_stay_together(cm: ContextManager) -> None:
    """Anthropic wants all of them in one message of the user's."""
    calls = [CALL, {**CALL, "id": "call_2"}]
    results = [{"role": "tool", "tool_call_id": name, "content": name} for name in ("call_2", "call_1")]
    chat = [TOOLS[0], {"role": "assistant", "content": None, "tool_calls": calls}, *results, TOOLS[3]]
    cm.observe("Where is the Ada?", "At berth 14.", messages=chat)
    assert cm.build_messages("And now?")[:-1] == chat
    _, asking, answering, _, _ = cm.build_messages("And now?", provider="anthropic")["messages"]
    assert [block["id"] for block in asking["content"]] == ["call_1", "call_2"]
    assert [block["tool_use_id"] for block in answering["content"]] == ["call_2", "call_1"]


@pytest.mark.parametrize(
    ("chat", "named"),
    [
        (TOOLS[:2], "call_1"),
        (TOOLS[:1] + TOOLS[2:], "call_1"),
        ([*TOOLS[:2], TOOLS[3], TOOLS[2]], "call_1"),
        ([{"role": "system", "content": "You are a pirate."}], "system"),
        ([{"role": "user", "content": 5}], "content"),
        ([], "no message"),
        ("hello", "no message"),
        ([{"role": "user", "content": "a", "extra": object()}], "JSON"),
    ],
)
def test_messages_that_no_provider_takes_back_are_refused(cm: ContextManager, chat: Any, named: str) -> None:
    """A call that lost its result makes every later request fail, so it is refused before anything is written."""
    with pytest.raises(InvalidRecordError, match=named):
        cm.observe("Where is the Ada?", "At berth 14.", messages=chat)
    assert cm.get_stats()["store"]["records"] == 0


def test_tools_are_neither_searched_nor_listed_and_go_with_their_turn(cm: ContextManager) -> None:
    """What a tool said belongs to its turn."""
    messages = [*TOOLS[:2], {**TOOLS[2], "content": "kingfisher"}, TOOLS[3]]
    turn = cm.observe("Where is the Ada?", "At berth 14.", messages=messages)
    assert [entry.id for entry in cm.list_memories()] == [turn]
    assert all("kingfisher" not in text for text, _ in cm.query_memory("kingfisher"))
    assert cm.delete_memory(turn)
    assert cm.get_stats()["store"]["records"] == 0


def test_messages_stay_within_the_budget_and_calls_keep_their_results(cm: ContextManager) -> None:
    """Whatever the budget: too much of the tools, and the turn is shown without them, or not at all."""
    count = cm._tokenizer.count
    for number in range(4):
        answer = {**TOOLS[2], "content": f"berth {number} " * 30}
        cm.observe(f"Where is the Ada {number}?", "At berth 14.", messages=[*TOOLS[:2], answer, TOOLS[3]])
    cm.add_memory("The Ada is a red boat.")
    shown = set()
    for budget in range(8, 900, 23):
        try:
            result = cm.build("Where is the Ada?", budget=budget)
        except BudgetTooSmallError:
            continue
        contents = [message["content"] for message in result.messages]
        calls = [call for message in result.messages for call in message.get("tool_calls", ())]
        spent = sum(map(count, contents)) + sum(count(call["function"]["arguments"]) for call in calls)
        assert spent <= budget
        assert contents[-1] == "Where is the Ada?"
        assert len(calls) == sum(message["role"] == "tool" for message in result.messages)
        shown.add(len(calls))
    assert shown == {0, 1, 2, 3, 4}


def test_a_turn_that_was_cut_is_shown_as_far_as_it_goes(cm: ContextManager) -> None:
    """In its own sides, wherever the cut is."""
    cm.observe("short", "long answer " * 200)
    user, assistant, _ = cm.build("go on", budget=200).messages
    assert user == {"role": "user", "content": "short"}
    assert assistant["content"].startswith("long answer long answer")
    assert assistant["content"].endswith("[...]")
    cm.observe("long question " * 200, "short")
    *_, cut, question = cm.build("go on", budget=200).messages
    assert cut["content"].startswith("long question long question")
    assert question["content"] == "go on"


def test_anthropic_begins_with_the_user(cm: ContextManager) -> None:
    """Its endpoint refuses a conversation that the assistant began."""
    cm.observe("", "Welcome aboard!")
    messages = cm.build_messages("Thanks.", provider="anthropic")["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]


def test_the_messages_are_what_an_adapter_takes(cm: ContextManager) -> None:
    """What is built is sent as it is."""
    cm.observe("Where is the Ada?", "At berth 14.", messages=TOOLS)
    answer = create_llm_adapter("echo").complete(cm.build_messages("And now?"))
    assert answer.text == "And now?"
    assert pickle.loads(pickle.dumps(cm.build("And now?"))).messages == cm.build_messages("And now?")  # noqa: S301 - our own
    assert json.loads(json.dumps(cm.build("And now?").as_dict()))["messages"][-1]["content"] == "And now?"


@pytest.mark.parametrize("provider", ["gemini", None, 3])
def test_another_provider_is_named(cm: ContextManager, provider: Any) -> None:
    """With those that there are."""
    with pytest.raises(ConfigError, match="openai or anthropic"):
        cm.build_messages("Hello?", provider)


def test_the_budget_of_messages_is_the_configured_one(tmp_path: Path) -> None:
    """The default of the configuration, as for text."""
    with manager(tmp_path / "store", settings=config(prompt_token_budget=40)) as cm:
        cm.observe("word " * 100, "ok")
        assert sum(cm._tokenizer.count(message["content"]) for message in cm.build_messages("why?")) <= 40

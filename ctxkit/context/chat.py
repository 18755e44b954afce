"""A context as the messages of a chat: what is known, the recent turns as they were exchanged, the question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from ctxkit.context.result import ContextResult
from ctxkit.errors import ConfigError
from ctxkit.interfaces import Tokenizer
from ctxkit.memory import Turn
from ctxkit.memory.entries import turn_text
from ctxkit.providers.forms import system_of, turns_of

Chat = list[dict[str, Any]]
_OPENING = {"role": "user", "content": "(The assistant began.)"}


def check_form(provider: object) -> Callable[[Sequence[Mapping[str, Any]]], Any]:
    """Return what turns messages in OpenAI's form into a provider's; raises ConfigError for one that is not known."""
    if not isinstance(provider, str) or provider not in _FORMS:
        raise ConfigError(f"there is no form of messages for {provider!r}.", fix=f"use {' or '.join(_FORMS)}.")
    return _FORMS[provider]


def as_chat(
    result: ContextResult, shown: Sequence[tuple[Turn, str]], chats: Mapping[str, Chat], tokenizer: Tokenizer
) -> tuple[dict[str, Any], ...]:
    """Return a context as messages in OpenAI's form: what is known as the system's, recent turns, then the question.

    `shown` are the recent turns, oldest first, each with what the prompt shows of it, and `chats` the messages of turns
    that were observed with them. All contents, and the names and arguments of tool calls, have together no more tokens
    than the budget: where they would, turns, the oldest first, are shown without their tools, and then not at all. The
    messages of a turn are shown all or none, so no call loses its result.
    """
    told = [_said(turn, text) for turn, text in shown]
    whole = [
        chats[turn.id] if turn.id in chats and text == turn.text else said
        for (turn, text), said in zip(shown, told, strict=True)
    ]
    known = "".join(result.sections.get(name, "") for name in ("summary", "memory")).rstrip("\n")
    system: Chat = [{"role": "system", "content": known}] if known else []
    question: Chat = [{"role": "user", "content": result.question}]
    left = result.budget - _price(system + question, tokenizer)
    if left < 0:
        system, left = [], result.budget - _price(question, tokenizer)
    prices = [_price(chat, tokenizer) for chat in whole]
    for place, said in enumerate(told):
        if sum(prices) > left and whole[place] is not said:
            whole[place], prices[place] = said, _price(said, tokenizer)
    first = 0
    while sum(prices[first:]) > left:
        first += 1
    return tuple(deepcopy([*system, *(message for chat in whole[first:] for message in chat), *question]))


def _said(turn: Turn, shown: str) -> Chat:
    """Return what stands in the prompt of a turn as messages; a cut turn may end within the user's words."""
    before_answer = turn_text(turn.user_input, "")
    if shown.startswith(before_answer):
        sides = (turn.user_input, shown[len(before_answer) :])
    else:
        sides = (shown[len(turn_text("", "").partition("\n")[0]) :], "")
    return [
        {"role": role, "content": words}
        for role, words in zip(("user", "assistant"), sides, strict=True)
        if words.strip()
    ]


def _price(messages: Chat, tokenizer: Tokenizer) -> int:
    return sum(tokenizer.count(text) for message in messages for text in _texts(message))


def _texts(message: Mapping[str, Any]) -> list[str]:
    content = message.get("content")
    texts = [content] if isinstance(content, str) else [str(part) for part in content or ()]
    for call in message.get("tool_calls") or ():
        function = call.get("function") or call
        texts += [str(function.get("name", "")), str(function.get("arguments", ""))]
    return texts


def _for_openai(messages: Sequence[Mapping[str, Any]]) -> Chat:
    return [dict(message) for message in messages]


def _for_anthropic(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the arguments of Anthropic's call, whose first message has to be the user's."""
    turns = turns_of(messages)
    opening = [_OPENING] if turns[0]["role"] != "user" else []
    system = system_of(messages)
    return {**({"system": system} if system else {}), "messages": [*opening, *turns]}


_FORMS: Mapping[str, Callable[[Sequence[Mapping[str, Any]]], Any]] = {
    "openai": _for_openai,
    "anthropic": _for_anthropic,
}

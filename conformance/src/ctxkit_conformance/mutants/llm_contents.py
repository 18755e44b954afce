"""Adapters that send or return something else than was said."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from typing_extensions import override

from ctxkit.errors import (
    ContentRefusedError,
)
from ctxkit.interfaces import LLM, Completion, Message, Usage
from ctxkit_conformance.mutants.llm_bases import ToyAnthropic, ToyOpenAI
from ctxkit_conformance.mutants.llm_formats import OpenAIFormat
from ctxkit_conformance.mutants.llm_http import Request, Response, exchange


class NoChoicesNoText(ToyOpenAI):
    """Answers None where the provider gave no choices."""

    @override
    def completion(self, response: Response, body: bytes) -> Completion:
        if response.status == 200 and b'"choices": []' in body:
            return Completion.model_construct(text=None, model="?", usage=Usage(), finish_reason="stop")  # type: ignore[arg-type]
        return super().completion(response, body)


class TextMayBeNone(ToyOpenAI):
    """Hands on the null that stands for the text of a call of a tool."""

    @override
    def completion(self, response: Response, body: bytes) -> Completion:
        found = super().completion(response, body)
        return found.model_copy(update={"text": found.text or None})


class RefusalIsAnAnswer(ToyAnthropic):
    """Returns what the model said when it refused."""

    @override
    def completion(self, response: Response, body: bytes) -> Completion:
        return super().completion(response, body.replace(b'"stop_reason": "refusal"', b'"stop_reason": "end_turn"'))


class FilteredIsAnAnswer(ToyOpenAI):
    """Streams what a filter left of an answer as if it were whole."""

    @override
    def pieces(self, request: Request) -> Iterator[str]:
        with contextlib.suppress(ContentRefusedError):
            yield from super().pieces(request)


class LosesUsage(ToyOpenAI):
    """Reports that every call was free."""

    @override
    def completion(self, response: Response, body: bytes) -> Completion:
        return super().completion(response, body).model_copy(update={"usage": Usage()})


class CountsItself(ToyOpenAI):
    """Reports its own count of words as what the provider charges for."""

    @override
    def completion(self, response: Response, body: bytes) -> Completion:
        found = super().completion(response, body)
        words = len(found.text.split())
        return found.model_copy(update={"usage": Usage(input_tokens=words, output_tokens=words)})


class NamesTheConfiguredModel(ToyAnthropic):
    """Reports the model that was asked for, not the one that answered."""

    @override
    def completion(self, response: Response, body: bytes) -> Completion:
        return super().completion(response, body).model_copy(update={"model": self.config.model})


class AlwaysStops(ToyOpenAI):
    """Says "stop" of an answer that was cut."""

    @override
    def completion(self, response: Response, body: bytes) -> Completion:
        return super().completion(response, body).model_copy(update={"finish_reason": "stop"})


class KeepsTheProvidersWord(ToyAnthropic):
    """Says "max_tokens" of an answer that was cut, as the provider does."""

    @override
    def completion(self, response: Response, body: bytes) -> Completion:
        found = super().completion(response, body)
        return found.model_copy(update={"finish_reason": json.loads(body)["stop_reason"]})


class DropsTheSystem(ToyAnthropic):
    """Leaves the system's message out, because the provider takes none among the others."""

    @override
    def request(self, messages: Sequence[Message], **options: Any) -> Request:
        return super().request([each for each in messages if each.get("role") != "system"] or messages, **options)


class KeepsTheLastSystem(ToyAnthropic):
    """Sends the last of several system messages only."""

    @override
    def request(self, messages: Sequence[Message], **options: Any) -> Request:
        system = [each for each in messages if each.get("role") == "system"]
        return super().request([*system[-1:], *(each for each in messages if each not in system)], **options)


class ForgetsTheConversation(ToyOpenAI):
    """Sends the instructions and the last message, and nothing between them."""

    @override
    def request(self, messages: Sequence[Message], **options: Any) -> Request:
        system = [each for each in messages[:-1] if each.get("role") == "system"]
        return super().request([*system, *messages[-1:]], **options)


class TakesTheCallersList(ToyAnthropic):
    """Takes the system's message out of the caller's own list."""

    @override
    def request(self, messages: Sequence[Message], **options: Any) -> Request:
        found = super().request(messages, **options)
        if isinstance(messages, list):
            messages[:] = [each for each in messages if each["role"] != "system"]
        return found


class ChecksNoMessages(ToyOpenAI):
    """Meets a message without content with a KeyError."""

    @override
    def request(self, messages: Sequence[Message], **options: Any) -> Request:
        return super().request([{"role": each["role"], "content": each["content"]} for each in messages], **options)


class DropsTemperature(ToyAnthropic):
    """Leaves out a parameter that the provider does not take, and says nothing."""

    @override
    def kept(self, options: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in options.items() if name != "temperature"}


class DropsOtherOptions(ToyOpenAI):
    """Accepts any option and passes on those it knows."""

    @override
    def kept(self, options: dict[str, Any]) -> dict[str, Any]:
        known = ("stream", "max_tokens", "temperature", "tools")
        return {name: value for name, value in options.items() if name in known}


class DecodesEachPortion(ToyOpenAI):
    """Decodes what the network brings portion by portion, so that a torn letter is lost."""

    @override
    def pieces(self, request: Request) -> Iterator[str]:
        with self.translated(), exchange(request) as (response, body):
            if response.status != 200:
                self.refuse(response, b"".join(body))
            text = "".join(part.decode("utf-8", "replace") for part in body)
        yield from _texts(text.split("\n"))


class SplitsAtEveryLineBreak(ToyOpenAI):
    """Takes every line break of Unicode for the end of a line of the stream."""

    @override
    def pieces(self, request: Request) -> Iterator[str]:
        with self.translated(), exchange(request) as (response, body):
            if response.status != 200:
                self.refuse(response, b"".join(body))
            text = b"".join(body).decode()
        with self.translated():
            yield from _texts(text.splitlines())


def _texts(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        if line.startswith("data: {"):
            yield OpenAIFormat().piece(json.loads(line.removeprefix("data: ")))[0]


CONTENTS: Final[dict[type[LLM], str]] = {
    NoChoicesNoText: "unreadable_answer_is_told",
    TextMayBeNone: "tool_call",
    RefusalIsAnAnswer: "refusal_is_told",
    FilteredIsAnAnswer: "refusal_is_told",
    LosesUsage: "usage_is_the_providers",
    CountsItself: "usage_is_the_providers",
    NamesTheConfiguredModel: "model_is_the_one_that_answered",
    AlwaysStops: "token_limit",
    KeepsTheProvidersWord: "answer_is_whole",
    DropsTheSystem: "conversation_arrives",
    KeepsTheLastSystem: "two_system_messages",
    ForgetsTheConversation: "conversation_arrives",
    TakesTheCallersList: "messages_stay_as_they_are",
    ChecksNoMessages: "bad_messages_are_refused",
    DropsTemperature: "temperature_is_not_lost",
    DropsOtherOptions: "other_option_is_not_lost",
    DecodesEachPortion: "any_text_comes_back",
    SplitsAtEveryLineBreak: "any_text_comes_back",
}

"""What both wire formats have in common: what was asked, what is answered, and how a format is written."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from ctxkit_conformance.faults.steps import Problem, Step

WireFormat: TypeAlias = Literal["openai", "anthropic"]
Json: TypeAlias = dict[str, Any]

REFUSAL = "I cannot help with that."
_PIECE = re.compile(r"\s*\S+|\s+")


class RejectedError(Exception):
    """The request is one that the provider itself would reject."""

    def __init__(self, problem: Problem, message: str = "") -> None:
        super().__init__(message)
        self.problem: Problem = problem
        self.message = message


@dataclass(frozen=True)
class Asked:
    """What a request asks, in words that both formats share.

    `turns` are role and text of the messages that are not the system's. `body` is everything, as it came.
    """

    endpoint: str
    key: str = field(repr=False)  # a report of a failed check shows what it compared
    model: str = ""
    system: str = ""
    turns: tuple[tuple[str, str], ...] = ()
    stream: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    tools: tuple[str, ...] = ()
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What the model answers: text, why it stopped, and the tokens it took; a tool is called instead of a text."""

    identity: str
    model: str
    text: str
    finish: Literal["stop", "length", "tool_call", "refusal", "filtered", "none"]
    input_tokens: int
    output_tokens: int
    tool: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    by_character: bool = False

    @property
    def pieces(self) -> list[str]:
        """The text as a stream sends it: word by word, or character by character."""
        return list(self.text) if self.by_character else pieces_of(self.text)


class Wire(Protocol):
    """One endpoint that completes: how its requests are read and its answers are written."""

    def read(self, body: Json, key: str) -> Asked:
        """Return what a request asks; raises RejectedError where the provider would."""

    def whole(self, asked: Asked, answer: Answer) -> Json:
        """Return the body of an answer that is not streamed."""

    def stream(self, asked: Asked, answer: Answer) -> tuple[list[Json], list[Json], list[Json]]:
        """Return the events before the text, those of the text, one a piece, and those after it."""

    def framed(self, event: Json, *, escaped: bool) -> bytes:
        """Return an event as a stream carries it."""

    def closing(self) -> bytes:
        """Return what ends a stream after its last event."""

    def error(self, problem: Problem, asked: Asked | None, message: str = "") -> tuple[int, Json]:
        """Return status and body of an error."""

    def error_event(self, problem: Problem, asked: Asked) -> Json:
        """Return the event by which a stream reports an error."""


def answer_to(asked: Asked, step: Step, number: int) -> Answer:
    """Return what the model answers to the `number`-th request of a scenario."""
    text = asked.turns[-1][1] if asked.turns else ""
    finish: Any = "stop"
    if step.text is not None:
        text = step.text
    if step.says == "nothing":
        text = ""
    elif step.says == "no_answer":
        text, finish = "", "none"
    elif step.says == "refusal":
        text, finish = REFUSAL, "refusal"
    elif step.says == "filtered":
        finish = "filtered"
    elif step.says == "tool_call":
        finish = "tool_call"
    found = pieces_of(text)
    if asked.max_tokens is not None and len(found) > asked.max_tokens:
        found, finish = found[: asked.max_tokens], "length"
    asked_words = sum(len(pieces_of(part)) for part in (asked.system, *(turn for _, turn in asked.turns)))
    used = step.usage or (max(asked_words, 1), len(found))
    return Answer(
        identity=hashlib.sha256(f"{number} {asked.endpoint}".encode()).hexdigest()[:24],
        model=step.model or asked.model,
        text="" if step.says == "tool_call" else "".join(found),
        finish=finish,
        input_tokens=used[0],
        output_tokens=used[1],
        tool=(asked.tools or ("look_up",))[0] if step.says == "tool_call" else "",
        arguments={"words": text} if step.says == "tool_call" else {},
        by_character=step.by_character,
    )


def pieces_of(text: str) -> list[str]:
    """Return the words of a text with the space before them; together they are the text. A token is one of them."""
    return _PIECE.findall(text)


def written(value: Json, *, escaped: bool) -> str:
    """Return a value as JSON without a line break; `escaped` keeps it in ASCII."""
    return json.dumps(value, ensure_ascii=escaped, separators=(",", ":"))


def text_of(content: Any) -> str:
    """Return the text of a message's content: a str, or a list of parts of which some have text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text", "") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return ""


def typed(body: Json, name: str, kinds: type | tuple[type, ...]) -> Any:
    """Return a field of a request, None where it is absent; raises RejectedError for one of another type."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) is not (kinds is bool) or not isinstance(value, kinds):
        raise RejectedError("bad_request", f"Invalid type for '{name}': got {type(value).__name__} instead.")
    return value

"""A stand-in for a language model, for development and for tests: a script, or an echo. There is no model in it."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

from pydantic import Field

from ctxkit.errors import LLMError
from ctxkit.interfaces import LLM, BackendConfig, Completion, LLMCapabilities, Message, Usage
from ctxkit.providers.messages import checked_messages, text_of

_ROLES: Final = ("system", "user", "assistant", "tool")
_WORD: Final = re.compile(r"\s*\S+|\s+")


class EchoConfig(BackendConfig):
    """`answers` are given in turn, again and again; without any, the last message is repeated.

    `max_tokens` is the length of an answer, in words, where a call does not say (None: as long as it is). `model` is
    the name that the answers bear.
    """

    model: str = Field(default="echo", min_length=1, description="the name that the answers bear")
    answers: tuple[str, ...] = Field(default=(), description="given in turn, again and again; none: an echo")
    max_tokens: int | None = Field(default=None, ge=1, description="words of an answer where a call does not say")

    def capabilities(self) -> LLMCapabilities:
        """Return what it can do under any configuration."""
        return LLMCapabilities(streams=True, native_async=True, offline=True)


class EchoLLM(LLM):
    """Gives the answers of a script, in turn, or repeats the last message. A token is a word here."""

    name = "echo"

    def __init__(self, config: EchoConfig | None = None) -> None:
        self._config = config or EchoConfig()
        self._answers = itertools.cycle(self._config.answers) if self._config.answers else None
        self._lock = threading.Lock()

    def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,  # noqa: ARG002 - nothing here is random
        **options: Any,
    ) -> Completion:
        """Return the next answer of the script, or the last message; raises LLMError for options that mean nothing."""
        if options:
            problem = f"there is no option {', '.join(sorted(options))}, because there is no model."
            raise LLMError(problem, fix="use max_tokens and temperature alone.", backend=self.name)
        asked = [text_of(message["content"]) for message in checked_messages(messages, _ROLES, self.name)]
        words = _WORD.findall(self._answer(asked[-1]))
        kept = words[: max_tokens or self._config.max_tokens]
        read = sum(len(_WORD.findall(text)) for text in asked)
        return Completion(
            text="".join(kept),
            model=self._config.model,
            usage=Usage(input_tokens=read, output_tokens=len(kept)),
            finish_reason="stop" if len(kept) == len(words) else "length",
        )

    def stream(self, messages: Sequence[Message], **options: Any) -> Iterator[str]:
        """Yield the answer word by word."""
        yield from _WORD.findall(self.complete(messages, **options).text)

    async def acomplete(self, messages: Sequence[Message], **options: Any) -> Completion:
        """Return what `complete` does, which waits for nobody."""
        return self.complete(messages, **options)

    async def astream(self, messages: Sequence[Message], **options: Any) -> AsyncIterator[str]:
        """Yield the answer word by word."""
        for word in self.stream(messages, **options):
            yield word

    def _answer(self, asked: str) -> str:
        if self._answers is None:
            return asked
        with self._lock:
            return next(self._answers)

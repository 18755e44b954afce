"""The language model interface: messages in, a completion out."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import Field

from ctxkit.interfaces.config import FrozenModel

Message: TypeAlias = Mapping[str, Any]


class Usage(FrozenModel):
    """Tokens that a call took, as the provider counts them."""

    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)


class Completion(FrozenModel):
    """What a model answered, which model it was, what it took and why it stopped."""

    text: str
    model: str
    usage: Usage = Usage()
    finish_reason: str = "stop"


class LLM(ABC):
    """Completes a conversation. Constructed from its configuration; safe to call from several threads.

    Messages are mappings with `role` ("system", "user", "assistant") and `content`.
    """

    @abstractmethod
    def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        **options: Any,
    ) -> Completion:
        """Return the model's answer; raises LLMError."""

    def stream(self, messages: Sequence[Message], **options: Any) -> Iterator[str]:
        """Yield the answer piece by piece; the default yields it whole."""
        yield self.complete(messages, **options).text

    async def acomplete(self, messages: Sequence[Message], **options: Any) -> Completion:
        """Return the model's answer without blocking the event loop."""
        return await asyncio.to_thread(self.complete, messages, **options)

    async def astream(self, messages: Sequence[Message], **options: Any) -> AsyncIterator[str]:
        """Yield the answer piece by piece without blocking the event loop."""
        yield (await self.acomplete(messages, **options)).text

    def generate_sync(self, prompt: str, **options: Any) -> str:
        """Return the answer to one user message."""
        return self.complete([{"role": "user", "content": prompt}], **options).text

    async def generate(self, prompt: str, **options: Any) -> str:
        """Return the answer to one user message without blocking the event loop."""
        return (await self.acomplete([{"role": "user", "content": prompt}], **options)).text

    def close(self) -> None:  # noqa: B027 - most adapters hold nothing to release
        """Release connections; closing twice is fine."""

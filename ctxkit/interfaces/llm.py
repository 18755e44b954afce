"""The language model interface: messages in, a completion out."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, TypeAlias

from pydantic import Field
from typing_extensions import Self

from ctxkit.interfaces.config import FrozenModel

Message: TypeAlias = Mapping[str, Any]


class Usage(FrozenModel):
    """Tokens that a call took, as the provider counts them; `cached_tokens` of the input came out of its cache."""

    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    cached_tokens: int = Field(default=0, ge=0)


class ToolCall(FrozenModel):
    """A tool that the model wants called: the provider's name for the call, the tool, and its arguments as JSON.

    `arguments` is the text that the model wrote, which need not be valid.
    """

    id: str
    name: str
    arguments: str = "{}"


class Completion(FrozenModel):
    """What a model answered, which model it was, what it took and why it stopped.

    `text` is empty when the model said nothing. `finish_reason` is "stop", "length" where the answer was cut, or
    "tool_calls" where the model wants a tool called; a provider's other words stay as they are.
    """

    text: str
    model: str
    usage: Usage = Usage()
    finish_reason: str = "stop"
    tool_calls: tuple[ToolCall, ...] = ()

    def as_message(self) -> dict[str, Any]:
        """Return the answer as the message that stands for it in a conversation that goes on.

        The result of a tool follows it as {"role": "tool", "tool_call_id": call.id, "content": "..."}.
        """
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.tool_calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self.tool_calls
            ]
        return message


class LLM(ABC):
    """Completes a conversation. Constructed from its configuration; safe to call from several threads and event loops.

    Messages are mappings with `role` ("system", "user", "assistant") and `content`; an adapter that offers tools takes
    what `Completion.as_message` returns, and "tool" for their results. A call that fails raises the
    LLMError that says how: RateLimitedError, AuthenticationFailedError, ModelNotFoundError, ContextTooLongError,
    ContentRefusedError, ProviderUnavailableError, ProviderTimeoutError, or LLMError itself for any other reason.
    What may pass is tried again a bounded number of times, and never once a stream has given its first piece.

    An adapter of a provider names these options of its configuration `base_url`, `api_key`, `model`, `timeout` (seconds
    without a sign of the provider) and `max_retries`.
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
        """Return the model's answer; raises LLMError.

        An option that the provider does not take is left out with a warning or a line of log that names it, or refused
        with LLMError; `max_tokens` and `temperature` are never refused.
        """

    def stream(self, messages: Sequence[Message], **options: Any) -> Iterator[str]:
        """Yield the answer piece by piece; the default yields it whole.

        An answer that breaks off raises LLMError after the pieces that came. Closing the iterator, or leaving it,
        ends the call.
        """
        yield self.complete(messages, **options).text

    async def acomplete(self, messages: Sequence[Message], **options: Any) -> Completion:
        """Return the model's answer without blocking the event loop; cancelled, it ends the call.

        The default uses a thread, in which a cancelled call goes on until it times out.
        """
        return await asyncio.to_thread(self.complete, messages, **options)

    async def astream(self, messages: Sequence[Message], **options: Any) -> AsyncIterator[str]:
        """Yield the answer piece by piece without blocking the event loop; the default pulls `stream` in a thread."""
        pieces = await asyncio.to_thread(iter, self.stream(messages, **options))
        try:
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                yield piece
        finally:
            # A generator that is abandoned closes its connection; one that is running cannot be closed.
            with suppress(ValueError):
                getattr(pieces, "close", lambda: None)()

    def generate_sync(self, prompt: str, **options: Any) -> str:
        """Return the answer to one user message."""
        return self.complete([{"role": "user", "content": prompt}], **options).text

    async def generate(self, prompt: str, **options: Any) -> str:
        """Return the answer to one user message without blocking the event loop."""
        return (await self.acomplete([{"role": "user", "content": prompt}], **options)).text

    def close(self) -> None:  # noqa: B027 - most adapters hold nothing to release
        """Release connections; closing twice is fine."""

    async def aclose(self) -> None:
        """Release connections, those of this event loop too; closing twice is fine."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

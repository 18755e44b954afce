"""Adapters with one defect each, as real ones have them: streams, event loops, what is shared, and keys."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, ClassVar, Final, NoReturn

from typing_extensions import override

from ctxkit.errors import (
    LLMError,
    ProviderUnavailableError,
)
from ctxkit.interfaces import LLM, Completion, LLMCapabilities, Message
from ctxkit_conformance.mutants.llm_bases import Echo, ToyAnthropic, ToyOpenAI
from ctxkit_conformance.mutants.llm_contents import CONTENTS
from ctxkit_conformance.mutants.llm_failures import FAILURES
from ctxkit_conformance.mutants.llm_http import Request, Response


class TakesTheBreakForTheEnd(ToyOpenAI):
    """Takes a connection that is lost in the middle of a stream for its end."""

    @override
    def pieces(self, request: Request) -> Iterator[str]:
        given = False
        try:
            for piece in super().pieces(request):
                given = True
                yield piece
        except ProviderUnavailableError:
            if not given:
                raise


class NeedsNoEnd(ToyAnthropic):
    """Does not notice that a stream ended before the provider said why."""

    @override
    def check_end(self, finish: str | None) -> None:
        """Look at nothing."""


class CollectsTheStream(ToyOpenAI):
    """Yields the first piece when the last one has come."""

    @override
    def pieces(self, request: Request) -> Iterator[str]:
        yield from list(super().pieces(request))


class StreamsInOnePiece(ToyAnthropic):
    """Declares that it streams, and yields everything at once."""

    stream = LLM.stream


class LosesTheLastPiece(ToyAnthropic):
    """Never yields the piece after which the stream ends."""

    @override
    async def apieces(self, request: Request) -> AsyncIterator[str]:
        held: str | None = None
        async for piece in super().apieces(request):
            if held is not None:
                yield held
            held = piece


class AbandonedStreamsGoOn(ToyOpenAI):
    """Leaves the connection of a stream that nobody reads any more open."""

    @override
    def pieces(self, request: Request) -> Iterator[str]:
        self.open = [*getattr(self, "open", []), super().pieces(request)]
        while True:
            try:
                piece = next(self.open[-1])
            except StopIteration:
                return
            yield piece


class BlocksTheLoop(ToyOpenAI):
    """Waits for the provider inside the event loop."""

    @override
    async def acomplete(self, messages: Sequence[Message], **options: Any) -> Completion:
        return self.complete(messages, **options)


class CancelledCallsGoOn(ToyOpenAI):
    """Declares native_async, and leaves a cancelled call running in its thread."""

    acomplete = LLM.acomplete


class ShieldsItsCalls(ToyOpenAI):
    """Protects a stream's connection from being cancelled."""

    @override
    async def apieces(self, request: Request) -> AsyncIterator[str]:
        queue: asyncio.Queue[str | BaseException | None] = asyncio.Queue()

        async def read() -> None:
            try:
                async for piece in super(ShieldsItsCalls, self).apieces(request):
                    queue.put_nowait(piece)
                queue.put_nowait(None)
            except LLMError as error:
                queue.put_nowait(error)

        self.reading = asyncio.ensure_future(read())
        while (found := await queue.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield found


class KnowsOneLoop(ToyOpenAI):
    """Keeps the event loop of its first call, and uses it for every call after it."""

    loop: asyncio.AbstractEventLoop | None = None

    @override
    async def afetched(self, request: Request) -> Completion:
        self.loop = self.loop or asyncio.get_running_loop()
        if self.loop.is_closed():
            raise RuntimeError("Event loop is closed")
        return await super().afetched(request)


class AsyncForgetsTheLimit(ToyOpenAI):
    """Passes max_tokens on only where it is not asynchronous."""

    @override
    async def acomplete(self, messages: Sequence[Message], **options: Any) -> Completion:
        options.pop("max_tokens", None)
        return await super().acomplete(messages, **options)


class AnswersOfOthers(ToyOpenAI):
    """Keeps the call at hand on the adapter, where another thread replaces it."""

    @override
    def fetched(self, request: Request) -> Completion:
        self.at_hand = request
        time.sleep(0.002)
        return super().fetched(self.at_hand)


class OneClientForAll(ToyOpenAI):
    """Makes one client for all adapters, with the first one's address and key."""

    first: ClassVar[Any] = None

    @override
    def __init__(self, config: Any) -> None:
        cls = type(self)
        cls.first = cls.first or config
        super().__init__(cls.first.model_copy(update={"timeout": config.timeout, "max_retries": config.max_retries}))


class ClosesOnce(ToyOpenAI):
    """Fails when it is closed a second time."""

    @override
    def close(self) -> None:
        if self.closed:
            self.closed = False
            raise RuntimeError("already closed")
        super().close()


class FailsRawlyOnceClosed(ToyOpenAI):
    """Meets a call after close with an error of its library."""

    @override
    def request(self, messages: Sequence[Message], **options: Any) -> Request:
        if self.closed:
            raise RuntimeError("Cannot send a request, as the client has been closed.")
        return super().request(messages, **options)


class ShowsItsKey(ToyOpenAI):
    """Has a repr with everything that it was made of."""

    @override
    def __repr__(self) -> str:
        return f"ShowsItsKey(base_url={self.config.base_url!r}, api_key={self.key!r})"


class QuotesTheProvider(ToyOpenAI):
    """Quotes the provider's message, which repeats the key."""

    @override
    def refuse(self, response: Response, body: bytes) -> NoReturn:
        raise self.format.error(response.status, response.headers, body.decode("utf-8", "replace"))


class ChainsTheRequest(ToyAnthropic):
    """Masks its own message, and keeps as its cause an exception that shows the headers."""

    @override
    def refuse(self, response: Response, body: bytes) -> NoReturn:
        try:
            super().refuse(response, body)
        except LLMError as error:
            raise error from RuntimeError(f"POST with {self.format.headers(self.key)} failed")


class LogsItsHeaders(ToyOpenAI):
    """Logs every request with its headers, where the key stands."""

    @override
    def request(self, messages: Sequence[Message], **options: Any) -> Request:
        found = super().request(messages, **options)
        logging.getLogger("http").debug("POST %s %s", found.url, dict(found.headers))
        return found


class AnnouncesANetwork(Echo):
    """The announcement was copied from an adapter that asks a provider."""

    capabilities_of_spec = LLMCapabilities(streams=True)


class ReportsHome(Echo):
    """Declares offline, and counts its users by a call that may fail."""

    @override
    def complete(self, messages: Sequence[Message], **options: Any) -> Completion:
        with contextlib.suppress(OSError), socket.create_connection(("192.0.2.1", 443), timeout=0.01):
            pass
        return super().complete(messages, **options)


class LooksForAProxy(ToyOpenAI):
    """Asks another host as well as the provider."""

    @override
    def fetched(self, request: Request) -> Completion:
        with contextlib.suppress(OSError):
            socket.getaddrinfo("proxy.invalid", 80)
        return super().fetched(request)


LLMS: Final[dict[type[LLM], str]] = {
    **FAILURES,
    **CONTENTS,
    TakesTheBreakForTheEnd: "broken_stream_is_told",
    NeedsNoEnd: "broken_stream_is_told",
    CollectsTheStream: "pieces_come_as_they_are_made",
    StreamsInOnePiece: "pieces_are_the_answer",
    LosesTheLastPiece: "pieces_are_the_answer",
    AbandonedStreamsGoOn: "abandoned_stream_ends_the_call",
    BlocksTheLoop: "loop_is_not_blocked",
    CancelledCallsGoOn: "cancelled_call_ends",
    ShieldsItsCalls: "cancelled_call_ends",
    KnowsOneLoop: "every_event_loop",
    AsyncForgetsTheLimit: "async_answers_alike",
    AnswersOfOthers: "threads_get_their_own_answers",
    OneClientForAll: "adapters_share_nothing",
    ClosesOnce: "close_twice",
    FailsRawlyOnceClosed: "call_after_close",
    ShowsItsKey: "key_is_in_no_repr",
    QuotesTheProvider: "key_is_in_no_error",
    ChainsTheRequest: "key_is_in_no_error",
    LogsItsHeaders: "key_is_in_no_log",
    AnnouncesANetwork: "announced_as_configured",
    ReportsHome: "nobody_else_is_asked",
    LooksForAProxy: "nobody_else_is_asked",
}

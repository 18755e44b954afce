"""Three small adapters that keep the contract, from which the broken ones derive, and harmless variants of them."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final, NoReturn

from pydantic import SecretStr

from ctxkit.errors import LLMError, ProviderTimeoutError, ProviderUnavailableError, RateLimitedError
from ctxkit.interfaces import LLM, BackendConfig, Completion, LLMCapabilities, Message, Usage
from ctxkit_conformance.faults import WireFormat
from ctxkit_conformance.mutants.llm_formats import AnthropicFormat, Events, Format, OpenAIFormat
from ctxkit_conformance.mutants.llm_http import Request, Response, aexchange, exchange

_ROLES: Final = ("system", "user", "assistant")
_LONGEST_WAIT: Final = 60.0
_PASSING: Final = (RateLimitedError, ProviderUnavailableError, ProviderTimeoutError)
_BROKEN: Final = (OSError, http.client.HTTPException, asyncio.IncompleteReadError)


class ToyLLMConfig(BackendConfig):
    """The options that every adapter of a provider has."""

    base_url: str
    api_key: SecretStr
    model: str = "answering-model"
    timeout: float = 30.0
    max_retries: int = 2

    def capabilities(self) -> LLMCapabilities:
        """Declare everything."""
        return LLMCapabilities(streams=True, native_async=True)


class ToyOpenAI(LLM):
    """Speaks OpenAI's format and keeps the contract."""

    config_class: ClassVar[type[BackendConfig]] = ToyLLMConfig
    wire_format: ClassVar[WireFormat] = "openai"
    format: ClassVar[Format] = OpenAIFormat()

    def __init__(self, config: Any) -> None:
        self.config = config
        self.closed = False

    def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        **options: Any,
    ) -> Completion:
        """Ask, and ask again where that may help."""
        request = self.request(messages, stream=False, max_tokens=max_tokens, temperature=temperature, **options)
        for attempt in itertools.count():
            try:
                return self.fetched(request)
            except LLMError as error:
                time.sleep(self.pause(error, attempt))
        raise AssertionError

    def fetched(self, request: Request) -> Completion:
        """Ask once."""
        with self.translated(), exchange(request) as (response, body):
            return self.completion(response, b"".join(body))

    def stream(self, messages: Sequence[Message], **options: Any) -> Iterator[str]:
        """Yield the pieces; what fails before the first of them is tried again."""
        request = self.request(messages, stream=True, **options)
        for attempt in itertools.count():
            given = False
            try:
                for piece in self.pieces(request):
                    given = True
                    yield piece
            except LLMError as error:
                if given:
                    raise
                time.sleep(self.pause(error, attempt))
            else:
                return

    def pieces(self, request: Request) -> Iterator[str]:
        """Ask once for a stream."""
        with self.translated(), exchange(request) as (response, body):
            if response.status != 200:
                self.refuse(response, b"".join(body))
            events, finish = Events(), None
            for part in body:
                for event in events.feed(part):
                    text, reason = self.format.piece(event)
                    finish = reason or finish
                    if text:
                        yield text
            self.check_end(finish)

    async def acomplete(self, messages: Sequence[Message], **options: Any) -> Completion:
        """Ask, and ask again where that may help."""
        request = self.request(messages, stream=False, **options)
        for attempt in itertools.count():
            try:
                return await self.afetched(request)
            except LLMError as error:
                await asyncio.sleep(self.pause(error, attempt))
        raise AssertionError

    async def afetched(self, request: Request) -> Completion:
        """Ask once."""
        with self.translated():
            async with aexchange(request) as (response, body):
                return self.completion(response, b"".join([part async for part in body]))

    async def astream(self, messages: Sequence[Message], **options: Any) -> AsyncIterator[str]:
        """Yield the pieces; what fails before the first of them is tried again."""
        request = self.request(messages, stream=True, **options)
        for attempt in itertools.count():
            given = False
            pieces = self.apieces(request)
            try:
                async for piece in pieces:
                    given = True
                    yield piece
            except LLMError as error:
                if given:
                    raise
                await asyncio.sleep(self.pause(error, attempt))
            else:
                return
            finally:
                await pieces.aclose()  # type: ignore[attr-defined] # an asynchronous generator has it

    async def apieces(self, request: Request) -> AsyncIterator[str]:
        """Ask once for a stream."""
        with self.translated():
            async with aexchange(request) as (response, body):
                if response.status != 200:
                    self.refuse(response, b"".join([part async for part in body]))
                events, finish = Events(), None
                async for part in body:
                    for event in events.feed(part):
                        text, reason = self.format.piece(event)
                        finish = reason or finish
                        if text:
                            yield text
                self.check_end(finish)

    def close(self) -> None:
        """Refuse whatever comes after."""
        self.closed = True

    # Parts that the four ways of asking share.

    def request(self, messages: Sequence[Message], **options: Any) -> Request:
        """Return what is sent for a call, its messages checked."""
        if self.closed:
            raise LLMError("the adapter was closed.", fix="make another one.")
        if not messages:
            raise LLMError("there is no message.", fix="pass at least one.")
        for message in messages:
            if message.get("role") not in _ROLES or not isinstance(message.get("content"), str):
                raise LLMError("a message has no known role, or no text.", fix=f"use one of {', '.join(_ROLES)}.")
        given = {name: value for name, value in options.items() if value is not None}
        body = self.format.body(messages, {"model": self.config.model, **self.kept(given)})
        url = f"{self.config.base_url.rstrip('/')}{self.format.path}"
        return Request(url, self.format.headers(self.key), json.dumps(body).encode(), self.config.timeout)

    def kept(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the options that the provider takes."""
        return options

    @property
    def key(self) -> str:
        """The key as it is sent."""
        return str(self.config.api_key.get_secret_value())

    def completion(self, response: Response, body: bytes) -> Completion:
        """Return the answer, or raise the error, that a whole body holds."""
        if response.status != 200:
            self.refuse(response, body)
        return self.format.completion(json.loads(body))

    def refuse(self, response: Response, body: bytes) -> NoReturn:
        """Raise the error that a status means."""
        text = body.decode("utf-8", "replace").replace(self.key, "(the key)")
        raise self.format.error(response.status, response.headers, text)

    def check_end(self, finish: str | None) -> None:
        """Raise an error for a stream that ends before the provider says why."""
        if finish is None:
            raise ProviderUnavailableError("the stream ended before the answer did.", fix="try again.")

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise ctxkit's errors for those of the network and of reading."""
        try:
            yield
        except (TimeoutError, asyncio.TimeoutError):
            raise ProviderTimeoutError("the provider is silent.", fix="raise the option timeout.") from None
        except _BROKEN as exc:
            raise ProviderUnavailableError(f"the connection failed ({exc}).", fix="look at base_url.") from exc
        except (ValueError, LookupError, TypeError) as exc:
            message = f"the answer cannot be read ({type(exc).__name__})."
            raise ProviderUnavailableError(message, fix="look at base_url, then try again.") from exc

    def pause(self, error: LLMError, attempt: int) -> float:
        """Return how long to wait before the next try; raise the error where there is none."""
        asked = error.retry_after if isinstance(error, RateLimitedError) else None
        if not isinstance(error, _PASSING) or attempt >= self.config.max_retries or (asked or 0) > _LONGEST_WAIT:
            raise error
        return asked if asked is not None else 0.01 * 2**attempt


class ToyAnthropic(ToyOpenAI):
    """Speaks Anthropic's format and keeps the contract."""

    wire_format = "anthropic"
    format = AnthropicFormat()


class EchoConfig(BackendConfig):
    """Nothing to set."""

    def capabilities(self) -> LLMCapabilities:
        """Declare that nobody is asked."""
        return LLMCapabilities(streams=True, offline=True)


class Echo(LLM):
    """Repeats the last message without asking anybody."""

    config_class: ClassVar[type[BackendConfig]] = EchoConfig

    def __init__(self, config: Any) -> None:
        self.config = config

    def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,  # noqa: ARG002 - nothing here is random
        **options: Any,
    ) -> Completion:
        """Return the first words of the last message."""
        if options:
            raise LLMError(f"there is no option {', '.join(options)}.", fix="leave it out.")
        if not messages or any(
            message.get("role") not in _ROLES or not isinstance(message.get("content"), str) for message in messages
        ):
            raise LLMError("a message has no known role, or no text.", fix=f"use one of {', '.join(_ROLES)}.")
        words = messages[-1]["content"].split(" ")
        kept = words[:max_tokens]
        usage = Usage(input_tokens=sum(len(each["content"].split()) for each in messages), output_tokens=len(kept))
        return Completion(
            text=" ".join(kept), model="echo", usage=usage, finish_reason="stop" if kept == words else "length"
        )

    def stream(self, messages: Sequence[Message], **options: Any) -> Iterator[str]:
        """Yield it character by character."""
        yield from self.complete(messages, **options).text

    async def astream(self, messages: Sequence[Message], **options: Any) -> AsyncIterator[str]:
        """Yield it character by character."""
        for piece in self.complete(messages, **options).text:
            yield piece


class PlainConfig(ToyLLMConfig):
    """Declares as little as can be."""

    def capabilities(self) -> LLMCapabilities:
        """Declare nothing."""
        return LLMCapabilities(streams=False, native_async=False)


class OnlyCompletes(ToyOpenAI):
    """Leaves streams and event loops to the base class, and declares neither."""

    config_class = PlainConfig
    stream = LLM.stream
    acomplete = LLM.acomplete
    astream = LLM.astream


class LeavesTemperatureOut(ToyAnthropic):
    """Has a provider that takes no temperature, and says in the log that it was left out."""

    def kept(self, options: dict[str, Any]) -> dict[str, Any]:
        """Drop it."""
        if "temperature" in options:
            logging.getLogger(__name__).warning("the model takes no temperature; it was left out")
        return {name: value for name, value in options.items() if name != "temperature"}


class RefusesOptions(ToyOpenAI):
    """Refuses the options that it does not know, and names them."""

    def kept(self, options: dict[str, Any]) -> dict[str, Any]:
        """Refuse what is left."""
        if unknown := set(options) - {"stream", "max_tokens", "temperature", "tools"}:
            raise LLMError(f"there is no option {', '.join(sorted(unknown))}.", fix="leave it out.")
        return options


HARMLESS_LLMS: Final[tuple[type[LLM], ...]] = (
    ToyOpenAI,
    ToyAnthropic,
    Echo,
    OnlyCompletes,
    LeavesTemperatureOut,
    RefusesOptions,
)

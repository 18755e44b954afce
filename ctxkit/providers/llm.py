"""The language model of a provider: everything but the provider's own format."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from typing import Any, ClassVar

from ctxkit.errors import LLMError
from ctxkit.interfaces.llm import LLM, Completion, Message
from ctxkit.providers.clients import Clients
from ctxkit.providers.config import ProviderLLMConfig
from ctxkit.providers.dialect import Dialect
from ctxkit.providers.failures import Circumstances, Failure, translated
from ctxkit.providers.keys import KeySource
from ctxkit.providers.library import VendorLibrary
from ctxkit.providers.messages import checked_messages, plain
from ctxkit.providers.parameters import Parameters
from ctxkit.providers.provider import Provider
from ctxkit.providers.reach import Reach
from ctxkit.providers.retrying import Attempts
from ctxkit.providers.streams import AnswerStream, AsyncAnswerStream, Ending


class ProviderLLM(LLM):
    """Asks a provider through its own library, and asks again where that may help.

    A subclass says who the provider is and what library asks it, and chooses the dialect. One whose library is not like
    the others makes its clients itself. The key is looked up for each call. Errors are raised outside of what caused
    them, so that no frame of the library, whose variables hold the key, hangs on them.
    """

    provider: ClassVar[Provider]
    library: ClassVar[VendorLibrary]
    roles: ClassVar[Sequence[str]] = ("system", "user", "assistant", "tool")
    renamed: ClassVar[Mapping[str, str]] = {}

    def __init__(self, config: ProviderLLMConfig, dialect: Dialect) -> None:
        self._config = config
        self._dialect = dialect
        self._keys = KeySource(self.provider, config)
        self._parameters = Parameters(self.provider.title, self.renamed)
        self._address = self.provider.address_of(config.base_url)
        self._reach = Reach(self._address, config.timeout)
        self._clients: Clients[Any, Any] = Clients(
            lambda: self.make_client(self._address, self._reach.connect_timeout),
            lambda: self.make_async_client(self._address, self._reach.connect_timeout),
        )
        self._closed = False

    def make_client(self, address: str, connect: float) -> Any:
        """Return the library's client that waits, without retries; its `api_key` is set before each call.

        `connect` is how many seconds each of the provider's addresses may take to connect.
        """
        return self.library.make_client(address, self._config.timeout, connect)

    def make_async_client(self, address: str, connect: float) -> Any:
        """Return the library's asynchronous client."""
        return self.library.make_async_client(address, self._config.timeout, connect)

    def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        **options: Any,
    ) -> Completion:
        """Return the model's answer; raises LLMError."""
        call = self._call(messages, {"max_tokens": max_tokens, "temperature": temperature, **options})
        while True:
            try:
                return call.read(call.begin(self._client()))
            except Exception as exc:  # noqa: BLE001 - whatever it is, it becomes an error of ctxkit
                failure = call.failed(exc)
            pause = call.pause(failure)
            if pause is None:
                raise failure.error
            time.sleep(pause)

    def stream(self, messages: Sequence[Message], **options: Any) -> AnswerStream:
        """Return the answer piece by piece; its `completion` is there when it has ended. Raises LLMError."""
        ending = Ending()
        return AnswerStream(self._pieces(self._call(messages, options, streams=True), ending), ending)

    async def acomplete(self, messages: Sequence[Message], **options: Any) -> Completion:
        """Return the model's answer; cancelled, it closes the connection at once."""
        call = self._call(messages, options)
        while True:
            try:
                return call.read(await call.begin(await self._clients.of_this_loop()))
            except Exception as exc:  # noqa: BLE001 - as above
                failure = call.failed(exc)
            pause = call.pause(failure)
            if pause is None:
                raise failure.error
            await asyncio.sleep(pause)

    def astream(self, messages: Sequence[Message], **options: Any) -> AsyncAnswerStream:
        """Return the answer piece by piece, as `stream` does."""
        ending = Ending()
        return AsyncAnswerStream(self._apieces(self._call(messages, options, streams=True), ending), ending)

    def close(self) -> None:
        """Close the connections; a call after it raises LLMError."""
        self._closed = True
        self._clients.close()

    async def aclose(self) -> None:
        """Close the connections, and wait for those of this event loop."""
        self._closed = True
        await self._clients.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self._config.model!r}, base_url={self._address!r})"

    def _pieces(self, call: _Call, ending: Ending) -> Generator[str, None, None]:
        while True:
            given = False
            events: Any = None
            try:
                events = call.begin(self._client())
                reader = self._dialect.reader()
                for event in events:
                    if piece := reader.feed(event):
                        given = True
                        yield piece
                ending.completion = call.whole(reader.completion())
            except Exception as exc:  # noqa: BLE001 - as above
                failure = call.failed(exc)
            else:
                return
            finally:
                if hasattr(events, "close"):
                    events.close()
            pause = None if given else call.pause(failure)
            if pause is None:
                raise failure.error
            time.sleep(pause)

    async def _apieces(self, call: _Call, ending: Ending) -> AsyncGenerator[str, None]:
        while True:
            given = False
            events: Any = None
            try:
                events = await call.begin(await self._clients.of_this_loop())
                reader = self._dialect.reader()
                async for event in events:
                    if piece := reader.feed(event):
                        given = True
                        yield piece
                ending.completion = call.whole(reader.completion())
            except Exception as exc:  # noqa: BLE001 - as above
                failure = call.failed(exc)
            else:
                return
            finally:
                if hasattr(events, "close"):
                    await events.close()
            pause = None if given else call.pause(failure)
            if pause is None:
                raise failure.error
            await asyncio.sleep(pause)

    def _client(self) -> Any:
        self._reach.check()
        return self._clients.of_threads()

    def _call(self, messages: Sequence[Message], options: Mapping[str, Any], *, streams: bool = False) -> _Call:
        """Return a call that is checked and has its key; raises LLMError."""
        name = self.provider.name
        if self._closed:
            raise LLMError("the adapter was closed.", fix="make another one.", backend=name)
        config = self._config
        given = {"max_tokens": config.max_tokens, "temperature": config.temperature}
        given.update({option: plain(value) for option, value in options.items() if value is not None})
        given = {option: value for option, value in given.items() if value is not None}
        model = str(given.pop("model", config.model))
        checked = checked_messages(messages, self.roles, name)
        arguments = self._dialect.arguments(model, checked, given)
        if streams:
            arguments.update(self._dialect.streaming())
        key = self._keys.resolve(self._address)
        about = Circumstances(self.provider, self._address, model, config.timeout, key)
        return _Call(self._dialect, arguments, about, self._parameters, Attempts(config.max_retries, config.retry_for))


class _Call:
    """One call with its tries: what it sends, and what its failures mean."""

    def __init__(
        self,
        dialect: Dialect,
        arguments: dict[str, Any],
        about: Circumstances,
        parameters: Parameters,
        attempts: Attempts,
    ) -> None:
        self._dialect = dialect
        self._arguments = arguments
        self._about = about
        self._parameters = parameters
        self._attempts = attempts
        self._sent: dict[str, Any] = {}

    def begin(self, client: Any) -> Any:
        """Ask; returns what the library returns, which is awaitable where the client is asynchronous."""
        if client.api_key != self._about.key:
            client.api_key = self._about.key
        create = self._dialect.create(client)
        self._sent = self._parameters.fitted(create, self._arguments)
        return create(**self._sent)

    def read(self, answer: Any) -> Completion:
        """Return what an answer holds."""
        return self.whole(self._dialect.completion(answer))

    def whole(self, completion: Completion) -> Completion:
        """Return the answer with the model that was asked, where the provider does not say which one answered."""
        return completion if completion.model else completion.model_copy(update={"model": self._about.model})

    def failed(self, exc: Exception) -> Failure:
        """Return what an exception means."""
        return translated(exc, self._about)

    def pause(self, failure: Failure) -> float | None:
        """Return how long to wait before the next try, None where there is none."""
        if failure.parameter and self._parameters.leave_out(failure.parameter, self._sent):
            return 0.0
        return self._attempts.pause(failure)

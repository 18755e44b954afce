"""Adapters that fail wrongly: too often, too late, or under a wrong name."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, NoReturn

from typing_extensions import override

from ctxkit.errors import (
    ContextTooLongError,
    LLMError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
)
from ctxkit.interfaces import LLM, Completion, Message
from ctxkit_conformance.mutants.llm_bases import ToyAnthropic, ToyOpenAI
from ctxkit_conformance.mutants.llm_http import Request, Response


class MissesMaxRetries(ToyOpenAI):
    """Tries again dozens of times, whatever max_retries says."""

    @override
    def pause(self, error: LLMError, attempt: int) -> float:
        return super().pause(error, 0) if attempt < 40 and self.config.max_retries else super().pause(error, attempt)


class RetriesInTwoLayers(ToyOpenAI):
    """Tries again around a client that tries again itself."""

    @override
    def fetched(self, request: Request) -> Completion:
        for _ in range(self.config.max_retries):
            with contextlib.suppress(ProviderUnavailableError):
                return super().fetched(request)
        return super().fetched(request)


class NeverRetries(ToyOpenAI):
    """Gives up at the first fault."""

    @override
    def pause(self, error: LLMError, attempt: int) -> float:
        raise error


class RetriesAnyway(ToyOpenAI):
    """Tries once more although retries are switched off."""

    @override
    def pause(self, error: LLMError, attempt: int) -> float:
        return super().pause(error, attempt - 1)


class RetriesHopelessCalls(ToyAnthropic):
    """Tries again whatever went wrong, a wrong key too."""

    @override
    def pause(self, error: LLMError, attempt: int) -> float:
        if attempt < self.config.max_retries:
            return 0.01
        raise error


class CountsTriesForLife(ToyOpenAI):
    """Counts the tries of all calls together, and gives up for good once they are used up."""

    used = 0

    @override
    def pause(self, error: LLMError, attempt: int) -> float:
        self.used += 1
        return super().pause(error, self.used - 1)


class IgnoresRetryAfter(ToyOpenAI):
    """Asks again at once when it was asked to wait."""

    @override
    def pause(self, error: LLMError, attempt: int) -> float:
        super().pause(error, attempt)
        return 0.01


class WaitsForDays(ToyAnthropic):
    """Sleeps as long as the provider says, however long that is."""

    @override
    def pause(self, error: LLMError, attempt: int) -> float:
        asked = error.retry_after if isinstance(error, RateLimitedError) else None
        return asked if asked is not None and attempt < self.config.max_retries else super().pause(error, attempt)


class ForgetsHowLong(ToyOpenAI):
    """Raises RateLimitedError without the wait that was asked for."""

    @override
    def refuse(self, response: Response, body: bytes) -> NoReturn:
        super().refuse(Response(response.status, {}), body)


class CannotReadDates(ToyOpenAI):
    """Takes Retry-After for a number always, and lets the ValueError of a date through."""

    @override
    def refuse(self, response: Response, body: bytes) -> NoReturn:
        float(response.headers.get("retry-after", 0))
        super().refuse(response, body)


class RestartsStreams(ToyOpenAI):
    """Begins a stream again after pieces of it were given."""

    @override
    def stream(self, messages: Sequence[Message], **options: Any) -> Iterator[str]:
        request = self.request(messages, stream=True, **options)
        for attempt in range(10):
            try:
                yield from self.pieces(request)
            except LLMError as error:
                time.sleep(self.pause(error, attempt))
            else:
                return


class AuthenticationIsGeneric(ToyOpenAI):
    """Raises LLMError itself for a key that was rejected."""

    @override
    def refuse(self, response: Response, body: bytes) -> NoReturn:
        if response.status == 401:
            raise LLMError("the call failed.", fix="try again.")
        super().refuse(response, body)


class EverythingIsUnavailable(ToyAnthropic):
    """Raises ProviderUnavailableError for a request that can never succeed."""

    @override
    def refuse(self, response: Response, body: bytes) -> NoReturn:
        try:
            super().refuse(response, body)
        except LLMError as error:
            if type(error) is LLMError:
                raise ProviderUnavailableError(error.message, fix="try again later.") from None
            raise


class TooLongIsABadRequest(ToyAnthropic):
    """Knows status 413, and not the 400 that says the prompt is too long."""

    @override
    def refuse(self, response: Response, body: bytes) -> NoReturn:
        try:
            super().refuse(response, body)
        except ContextTooLongError as error:
            if response.status == 400:
                raise LLMError(error.message, fix="correct the request.") from None
            raise


class ErrorsWithoutFix(ToyOpenAI):
    """Says what went wrong, and not what to do."""

    @override
    def refuse(self, response: Response, body: bytes) -> NoReturn:
        try:
            super().refuse(response, body)
        except LLMError as error:
            error.fix = None
            raise


class LeaksTheLibrarysErrors(ToyOpenAI):
    """Lets the errors of its HTTP library through."""

    @override
    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        yield


class TimeoutIsUnavailable(ToyOpenAI):
    """Raises ProviderUnavailableError for a provider that is silent."""

    @override
    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        try:
            with super().translated():
                yield
        except ProviderTimeoutError as error:
            raise ProviderUnavailableError(error.message, fix=error.fix) from None


class WaitsForEver(ToyOpenAI):
    """Has a timeout for nothing."""

    @override
    def request(self, messages: Sequence[Message], **options: Any) -> Request:
        found = super().request(messages, **options)
        return Request(found.url, found.headers, found.body, 3600.0)


FAILURES: Final[dict[type[LLM], str]] = {
    MissesMaxRetries: "retries_are_bounded",
    RetriesInTwoLayers: "retries_are_bounded",
    NeverRetries: "passing_fault_is_overcome",
    RetriesAnyway: "no_retries_means_none",
    RetriesHopelessCalls: "hopeless_call_is_not_repeated",
    CountsTriesForLife: "each_call_has_its_own_tries",
    IgnoresRetryAfter: "retry_after_is_honoured",
    WaitsForDays: "absurd_wait_is_not_begun",
    ForgetsHowLong: "retry_after_is_carried",
    CannotReadDates: "retry_after_is_carried",
    RestartsStreams: "stream_is_not_begun_again",
    AuthenticationIsGeneric: "wrong_key_is_told",
    EverythingIsUnavailable: "rejected_request_is_told",
    TooLongIsABadRequest: "too_long_context_is_told",
    ErrorsWithoutFix: "failing_provider_is_told",
    LeaksTheLibrarysErrors: "refused_connection_is_told",
    TimeoutIsUnavailable: "silence_is_a_timeout",
    WaitsForEver: "silence_is_a_timeout",
}

"""Checks of errors: each thing that goes wrong has one name, whichever way the adapter was asked."""

from __future__ import annotations

import pytest

from ctxkit.errors import (
    AuthenticationFailedError,
    ContentRefusedError,
    ContextTooLongError,
    LLMError,
    ModelNotFoundError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
)
from ctxkit_conformance.faults import Step, closed_port, step
from ctxkit_conformance.llms import clauses
from ctxkit_conformance.llms.base import LLMChecks, Provider, every_way
from ctxkit_conformance.marks import covers


class FailureChecks(LLMChecks):
    """Every fault, asked for in every way, with retries switched off."""

    @every_way
    @pytest.mark.parametrize("fault", ["authentication", "permission"])
    @covers(clauses.ERRORS)
    def test_wrong_key_is_told(self, provider: Provider, how: str, fault: str) -> None:
        """A failure means that a user with a wrong key, or another provider's, searches everywhere but there."""
        _fails(provider, how, step(fault), AuthenticationFailedError)

    @every_way
    @covers(clauses.ERRORS)
    def test_unknown_model_is_told(self, provider: Provider, how: str) -> None:
        """A failure means that a mistyped model looks like a broken network."""
        _fails(provider, how, step("model_not_found"), ModelNotFoundError)

    @every_way
    @pytest.mark.parametrize("fault", ["context_too_long", "too_large"])
    @covers(clauses.ERRORS)
    def test_too_long_context_is_told(self, provider: Provider, how: str, fault: str) -> None:
        """A failure means that a caller cannot know that a shorter prompt would have been answered."""
        _fails(provider, how, step(fault), ContextTooLongError)

    @every_way
    @pytest.mark.parametrize("fault", ["content_refused", "refusal", "filtered"])
    @covers(clauses.ERRORS)
    def test_refusal_is_told(self, provider: Provider, how: str, fault: str) -> None:
        """A failure means that a refusal, or what a filter left of an answer, is stored as the answer."""
        _fails(provider, how, step(fault), ContentRefusedError)

    @every_way
    @covers(clauses.ERRORS)
    def test_rate_limit_is_told(self, provider: Provider, how: str) -> None:
        """A failure means that a caller who asks too often cannot tell it from a broken provider, and asks more."""
        error = _fails(provider, how, step("rate_limited"), RateLimitedError)
        if isinstance(error, RateLimitedError):
            assert error.retry_after is None, f"retry_after is {error.retry_after}, but the provider did not say"

    @pytest.mark.parametrize("how", ["complete", "astream"])
    @pytest.mark.parametrize("form", ["seconds", "milliseconds", "date", "unreadable"])
    @covers(clauses.RETRY_AFTER)
    def test_retry_after_is_carried(self, provider: Provider, how: str, form: str) -> None:
        """A failure means that a caller who would wait does not learn how long."""
        forms = {
            "seconds": step("rate_limited", retry_after=7.0),
            "milliseconds": step("rate_limited", retry_after=7.0, retry_form="milliseconds"),
            "date": step("rate_limited", retry_after=7.0, retry_form="date"),
            "unreadable": step("rate_limited", retry_after="soon"),
        }
        error = _fails(provider, how, forms[form], RateLimitedError)
        if not isinstance(error, RateLimitedError):
            return
        found = error.retry_after
        if form == "unreadable" or (form == "milliseconds" and found is None):
            assert found is None, f"retry_after is {found} for a header that says 'soon'"
            return
        assert found is not None, f"retry_after is None, but the provider said 7 seconds, as {form}"
        # A date has whole seconds, and some of the time is gone when it is read.
        most, least = (8.0, 0.0) if form == "date" else (7.0, 7.0)
        assert least <= found <= most, f"retry_after is {found}, but the provider said 7 seconds, as {form}"

    @every_way
    @pytest.mark.parametrize("fault", ["internal", "bad_gateway", "unavailable", "overloaded"])
    @covers(clauses.ERRORS)
    def test_failing_provider_is_told(self, provider: Provider, how: str, fault: str) -> None:
        """A failure means that a caller cannot tell a provider that is down from a mistake of their own."""
        _fails(provider, how, step(fault), ProviderUnavailableError)

    @every_way
    @covers(clauses.ERRORS)
    def test_rejected_request_is_told(self, provider: Provider, how: str) -> None:
        """A failure means that a request which can never succeed looks like one to try again."""
        _fails(provider, how, step("bad_request"), LLMError)

    @every_way
    @covers(clauses.ERRORS)
    def test_refused_connection_is_told(self, provider: Provider, how: str) -> None:
        """A failure means that a wrong base_url, or a server that is not started, is a raw error of some library."""
        with closed_port() as origin:
            address = f"{origin}/v1" if provider.wire == "openai" else origin
            provider.failure(provider.llm(address), how, ProviderUnavailableError)

    @every_way
    @pytest.mark.parametrize("fault", ["reset", "reset_midway", "cut"])
    @covers(clauses.ERRORS)
    def test_lost_connection_is_told(self, provider: Provider, how: str, fault: str) -> None:
        """A failure means that a network which hiccups is a raw error of some library, or half an answer."""
        _fails(provider, how, step(fault), ProviderUnavailableError)

    @every_way
    @pytest.mark.parametrize("fault", ["malformed", "page", "no_answer"])
    @covers(clauses.ERRORS)
    def test_unreadable_answer_is_told(self, provider: Provider, how: str, fault: str) -> None:
        """A failure means that broken JSON, a login page or no answer at all becomes None, "" or a raw error."""
        _fails(provider, how, step(fault), ProviderUnavailableError)

    @every_way
    @pytest.mark.parametrize("fault", ["hang", "hang_midway"])
    @covers(clauses.TIMEOUT)
    def test_silence_is_a_timeout(self, provider: Provider, how: str, fault: str) -> None:
        """A failure means that a provider which accepts and never answers holds the caller for ever."""
        llm = provider.llm(provider.scenario(step(fault)), timeout=0.3)
        provider.failure(llm, how, ProviderTimeoutError)

    @every_way
    @covers(clauses.ERRORS)
    def test_next_call_is_answered(self, provider: Provider, how: str) -> None:
        """A failure means that one fault spoils the adapter for every call after it."""
        faults = [step("reset_midway"), step("cut"), step("malformed"), step("authentication")]
        llm = provider.llm(provider.scenario(*faults))
        for fault in faults:
            wanted = AuthenticationFailedError if fault.problem else ProviderUnavailableError
            provider.failure(llm, how, wanted)
        provider.answers(llm, how)


def _fails(provider: Provider, how: str, fault: Step, wanted: type[LLMError]) -> LLMError | None:
    return provider.failure(provider.llm(provider.scenario(fault)), how, wanted)

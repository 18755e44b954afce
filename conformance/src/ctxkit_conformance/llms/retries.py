"""Checks of second tries: that they are made, that they wait, and that they end."""

from __future__ import annotations

from typing import Final

import pytest

from ctxkit.errors import LLMError, ProviderTimeoutError, ProviderUnavailableError, RateLimitedError
from ctxkit_conformance.faults import Scenario, Step, step
from ctxkit_conformance.llms import clauses
from ctxkit_conformance.llms.base import LLMChecks, Provider, every_way
from ctxkit_conformance.marks import covers

_SOON: Final = {"retry-after-ms": "10"}  # who understands it saves the suite time; nobody has to
_SLACK: Final = 0.05  # seconds by which clocks may differ


class RetryChecks(LLMChecks):
    """How often the provider is asked, which it counts itself."""

    @pytest.mark.parametrize(
        ("how", "fault"),
        [
            ("complete", "internal"),
            ("complete", "bad_gateway"),
            ("complete", "overloaded"),
            ("complete", "rate_limited"),
            ("complete", "reset"),
            ("complete", "unavailable"),
            ("stream", "unavailable"),
            ("acomplete", "unavailable"),
            ("astream", "unavailable"),
        ],
    )
    @covers(clauses.RETRIES)
    def test_passing_fault_is_overcome(self, provider: Provider, how: str, fault: str) -> None:
        """A failure means that one overloaded moment of the provider is an error of the application."""
        scenario = provider.scenario(step(fault, headers=_SOON))
        provider.answers(provider.llm(scenario, max_retries=2), how)
        _check_asked(provider, scenario, 2)

    @every_way
    @covers(clauses.RETRIES)
    def test_retries_are_bounded(self, provider: Provider, how: str) -> None:
        """A failure means that a provider which is down is asked again and again, or not as often as configured."""
        scenario = provider.scenario(then=step("unavailable", headers=_SOON))
        provider.failure(provider.llm(scenario, max_retries=2), how, ProviderUnavailableError)
        _check_asked(provider, scenario, 3)

    @every_way
    @covers(clauses.RETRIES)
    def test_no_retries_means_none(self, provider: Provider, how: str) -> None:
        """A failure means that a caller who retries by themselves, or pays for each call, cannot switch it off."""
        scenario = provider.scenario(then=step("rate_limited", headers=_SOON))
        provider.failure(provider.llm(scenario, max_retries=0), how, RateLimitedError)
        _check_asked(provider, scenario, 1)

    @pytest.mark.parametrize(
        "fault",
        ["authentication", "permission", "model_not_found", "context_too_long", "content_refused", "bad_request"],
    )
    @covers(clauses.RETRIES)
    def test_hopeless_call_is_not_repeated(self, provider: Provider, fault: str) -> None:
        """A failure means that a wrong key takes several times as long to show, and may lock the account."""
        scenario = provider.scenario(then=step(fault, headers=_SOON))
        llm = provider.llm(scenario, max_retries=2)
        if provider.offline:
            provider.answers(llm, "complete")
            return
        with pytest.raises(LLMError):
            provider.ask(llm, "complete")
        _check_asked(provider, scenario, 1)

    @covers(clauses.RETRIES, clauses.TIMEOUT)
    def test_timeouts_do_not_multiply(self, provider: Provider) -> None:
        """A failure means that a silent provider costs the configured timeout many times over."""
        scenario = provider.scenario(then=step("hang"))
        provider.failure(provider.llm(scenario, timeout=0.2, max_retries=1), "complete", ProviderTimeoutError)
        asked = len(scenario.requests)
        assert asked <= 2, f"the provider was asked {asked} times where one retry was allowed"

    @pytest.mark.parametrize(
        ("how", "form"),
        [("complete", "seconds"), ("astream", "seconds"), ("acomplete", "seconds"), ("complete", "date")],
    )
    @covers(clauses.RETRY_AFTER)
    def test_retry_after_is_honoured(self, provider: Provider, how: str, form: str) -> None:
        """A failure means that a provider which asks for a pause is asked again at once, and blocks the account."""
        wait = 1.0 if form == "seconds" else 0.2
        limited = step("rate_limited", retry_after=wait, retry_form=form)
        scenario = provider.scenario(limited)
        provider.answers(provider.llm(scenario, max_retries=2), how)
        if provider.offline:
            return
        _check_asked(provider, scenario, 2)
        first, second = scenario.requests
        assert first.answered is not None
        gap = second.received - first.answered
        assert gap >= wait - _SLACK, (
            f"asked again after {gap:.2f} seconds where the provider asked for {wait} as {form}"
        )

    @pytest.mark.parametrize("how", ["complete", "acomplete"])
    @covers(clauses.RETRY_AFTER, clauses.RETRIES)
    def test_absurd_wait_is_not_begun(self, provider: Provider, how: str) -> None:
        """A failure means that a call sleeps for a day because the provider says so, and nobody learns why."""
        scenario = provider.scenario(then=step("rate_limited", retry_after=86_400.0))
        error = provider.failure(provider.llm(scenario, max_retries=2), how, RateLimitedError)
        if isinstance(error, RateLimitedError):
            assert error.retry_after == 86_400.0, f"retry_after is {error.retry_after}, but a day was asked for"

    @covers(clauses.RETRIES)
    def test_each_call_has_its_own_tries(self, provider: Provider) -> None:
        """A failure means that after a few passing faults an adapter gives up on what it overcame before."""
        fault: Step = step("unavailable", headers=_SOON)
        scenario = provider.scenario(fault, step("ok"), fault, step("ok"), fault, step("ok"))
        llm = provider.llm(scenario, max_retries=1)
        for _ in range(3):
            provider.answers(llm, "complete")
        _check_asked(provider, scenario, 6)


def _check_asked(provider: Provider, scenario: Scenario, wanted: int) -> None:
    asked = len(scenario.requests)
    assert provider.offline or asked == wanted, f"the provider was asked {asked} times, not {wanted}"

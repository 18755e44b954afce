"""What an answer of a provider, or none, becomes; what only a real library shows is tested with each adapter."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

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
from ctxkit.providers import Circumstances, Failure, Provider, ReportedError, translated

ACME = Provider(
    name="acme",
    title="Acme",
    address="https://api.acme.example",
    domain="acme.example",
    address_variable="ACME_BASE_URL",
    key_variable="ACME_API_KEY",
    key_prefix="ac-",
    key_page="https://acme.example/keys",
    model_page="https://acme.example/models",
)
KEY = "ac-0123456789abcdef"
INVALID = "invalid_request_error"


class AnsweredError(Exception):
    """Has what the libraries of vendors give their errors."""

    def __init__(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        super().__init__("whatever")
        self.status_code, self.body, self.response = status, body, SimpleNamespace(headers=headers or {})


def met(exc: Exception, *, address: str = ACME.address, key: str = KEY) -> Failure:
    """Return the failure that an exception becomes."""
    return translated(exc, Circumstances(ACME, address, "model-x", 5.0, key))


def said(status: int, message: str = "", **fields: Any) -> AnsweredError:
    """Return an error with the provider's words."""
    return AnsweredError(status, {"error": {"message": message, **fields}})


@pytest.mark.parametrize(
    ("exc", "kind", "words"),
    [
        (said(401, "no"), AuthenticationFailedError, "authentication failed (status 401): no"),
        (said(404, "no model 'model-x'"), ModelNotFoundError, "model not found: 'model-x'"),
        (said(404, "page not found"), ProviderUnavailableError, "no such API at https://api.acme.example"),
        (said(429, "slow down"), RateLimitedError, "rate limit of Acme (status 429)"),
        (said(429, "pay", code="insufficient_quota"), RateLimitedError, "its quota is used up"),
        (said(402, "pay"), RateLimitedError, "rate limit"),
        (
            said(400, "Your credit balance is too low to access it", type=INVALID),
            RateLimitedError,
            "its quota is used up",
        ),
        (said(500, "Context size has been exceeded."), ContextTooLongError, "context is too long"),
        (said(413), ContextTooLongError, "context is too long"),
        (said(400, "This model's maximum context length is 8192 tokens"), ContextTooLongError, "too long"),
        (said(400, "the request exceeds the available context size"), ContextTooLongError, "too long"),
        (said(400, "Output blocked by content filtering policy"), ContentRefusedError, "refused"),
        (said(422, "top_p: too large"), LLMError, "rejected the request (status 422): top_p: too large"),
        (said(418, "teapot"), LLMError, "rejected the request"),
        (said(500, "oops"), ProviderUnavailableError, "Acme failed (status 500): oops"),
        (said(529), ProviderUnavailableError, "it did not say why"),
        (AnsweredError(502, "<html>Bad gateway</html>"), ProviderUnavailableError, "it did not say why"),
        (AnsweredError(503, "down for repairs"), ProviderUnavailableError, "down for repairs"),
        (AnsweredError(302), ProviderUnavailableError, "a redirection instead of an answer"),
        (said(200, "busy", type="overloaded_error"), ProviderUnavailableError, "Acme failed: busy"),
        (said(200, "slow", type="rate_limit_error"), RateLimitedError, "rate limit"),
        (ReportedError({"error": {"message": "slow", "code": 429}}), RateLimitedError, "(status 429)"),
        (
            ReportedError({"error": {"message": "it broke", "code": 7}}),
            ProviderUnavailableError,
            "Acme failed: it broke.",
        ),
        (TimeoutError(), ProviderTimeoutError, "timeout: https://api.acme.example was silent for 5 s"),
        (ConnectionResetError("reset"), ProviderUnavailableError, "the connection to https://api.acme.example failed"),
        (ValueError("no JSON"), ProviderUnavailableError, "the answer cannot be read (ValueError)"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_every_answer_has_its_error(exc: Exception, kind: type[LLMError], words: str) -> None:
    """The kind, the words that users search for, the provider and a fix are there."""
    error = met(exc).error
    assert type(error) is kind
    assert words in str(error)
    assert error.backend == "acme"
    assert error.fix


@pytest.mark.parametrize(
    ("exc", "passing"),
    [
        (said(429), True),
        (said(429, code="insufficient_quota"), False),
        (said(408), True),
        (said(500), True),
        (said(529), True),
        (AnsweredError(302), False),
        (ConnectionResetError(), True),
        (TimeoutError(), False),
        (ValueError(), False),
        (said(401), False),
        (said(404), False),
        (said(400), False),
    ],
    ids=lambda value: str(value)[:30],
)
def test_only_what_may_pass_is_tried_again(exc: Exception, *, passing: bool) -> None:
    """A silent provider is not asked again: it may be at work, and the wait would multiply."""
    assert met(exc).passing is passing


def test_three_wrong_keys_are_told_apart() -> None:
    """A key that is wrong, one of somebody else, one that may not, and none: each has its own remedy."""
    plain = met(said(401, "no"))
    other = met(said(401, "no"), key="sk-ant-0123456789")
    strange = met(said(401, "no"), key="something-else")
    forbidden = met(said(403, "no"))
    none = met(said(401, "no"), address="http://localhost:8000", key="no-key")
    fixes = [str(each.error.fix) for each in (plain, other, strange, forbidden, none)]
    for fix, words in zip(
        fixes,
        [
            "whole and still valid",
            "one of Anthropic",
            "does not begin with ac-",
            "permissions",
            "the key that it wants",
        ],
        strict=True,
    ):
        assert words in fix


def test_the_key_is_in_no_message() -> None:
    """Gateways repeat keys in their errors, whole or in part."""
    error = met(said(401, f"Incorrect key {KEY} or sk-1234****5678")).error
    assert KEY not in f"{error} {error!r} {error.args}"
    assert "5678" not in str(error)


def test_words_are_short_and_in_one_line() -> None:
    """A provider's words are quoted, not its whole page."""
    words = str(met(said(500, "one\ntwo " * 500)).error)
    assert "one two one two" in words
    assert len(words) < 600


@pytest.mark.parametrize(
    ("exc", "parameter"),
    [
        (said(400, "Unsupported parameter.", code="unsupported_parameter", param="top_p"), "top_p"),
        (said(400, "Unsupported value.", code="unsupported_value", param="temperature"), "temperature"),
        (said(400, "`temperature` is deprecated for this model."), "temperature"),
        (said(400, "top_k: Extra inputs are not permitted"), "top_k"),
        (said(400, "'max_tokens' is not supported with this model. Use 'max_completion_tokens'"), "max_tokens"),
        (said(400, "messages: at least one is required", param="messages"), None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_parameter_that_is_not_taken(exc: Exception, parameter: str | None) -> None:
    """Whether in a field or in words, the parameter is found; a complaint about a value is none about a parameter."""
    assert met(exc).parameter == parameter

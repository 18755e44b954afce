"""What went wrong, in one tree of errors: whatever a vendor's library raises becomes an error of ctxkit.

The libraries are not imported. Those of both vendors say with `status_code`, `body` and `response.headers` what the
provider answered, and the classes of their network errors have telling names.
"""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

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
from ctxkit.providers.keys import NO_KEY, masked, owner_of
from ctxkit.providers.provider import Provider

_LONGEST_QUOTE: Final = 300  # characters of the provider's own words
_QUOTA: Final = frozenset({"insufficient_quota", "billing_error", "billing_hard_limit_reached", "billing_not_active"})
_QUOTA_WORDS: Final = re.compile(r"credit balance is too low", re.IGNORECASE)  # Anthropic's, with status 400
_TOO_LONG: Final = frozenset({"context_length_exceeded", "request_too_large", "exceed_context_size_error"})
_TOO_LONG_WORDS: Final = re.compile(
    r"prompt is too long|maximum context length|exceeds? the (?:available |model'?s? )?context|context (?:window|size)"
    r"|maximum input length|max_tokens_per_request|input is too long"
    r"|max_tokens must be at least 1, got -",  # what vLLM says when a prompt leaves no room for an answer
    re.IGNORECASE,
)
_REFUSED: Final = frozenset({"content_policy_violation", "content_filter", "invalid_prompt", "moderation_blocked"})
_REFUSED_WORDS: Final = re.compile(r"content (?:filter|management|policy)|flagged as|safety system", re.IGNORECASE)
_LIMITED: Final = frozenset({"rate_limit_error", "rate_limit_exceeded"})
_KEYS: Final = frozenset({"authentication_error", "invalid_api_key", "permission_error", "missing_scope"})
_MODEL: Final = frozenset({"model_not_found", "not_found_error", "notfounderror"})
_MAY_PASS: Final = frozenset({408, 409, 425})  # beside 429 and all from 500
# The provider names a parameter that it does not take: OpenAI in a field, the others in words.
_NOT_TAKEN: Final = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter"})
_NOT_TAKEN_WORDS: Final = re.compile(
    r"[`'\"]?(?P<name>[a-z][a-z_]*)[`'\"]?(?::| is| are)[^.]{0,40}?"
    r"(?:deprecated|not supported|unsupported|not permitted|no longer)",
)
# FastAPI's way to say it, which vLLM quotes.
_FORBIDDEN_WORDS: Final = re.compile(r"'extra_forbidden', 'loc': [(\[]'body', '(?P<name>[a-z_]+)'")


class ReportedError(Exception):
    """What a provider reported in the place of an answer, as a mapping in `body`; not an error for users."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__("an error in the place of an answer")
        self.body = body


@dataclass(frozen=True)
class Failure:
    """An error to raise, and whether asking again may help.

    `wait` is how many seconds the provider asks to wait; `parameter` is one that it does not take and that the call
    can do without.
    """

    error: LLMError
    passing: bool = False
    wait: float | None = None
    parameter: str | None = None


@dataclass(frozen=True, repr=False)
class Circumstances:
    """What a message can say about a call; `key` is only looked for, to be masked."""

    provider: Provider
    address: str
    model: str
    timeout: float
    key: str

    def quoted(self, words: str) -> str:
        """Return the provider's own words in one line, short, and without a key."""
        line = " ".join(masked(words, self.key).split())
        return line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]}..."


@dataclass(frozen=True)
class _Said:
    """What the provider answered instead of an answer."""

    status: int
    words: str
    names: frozenset[str]
    parameter: str | None
    headers: Mapping[str, str]


def translated(exc: Exception, about: Circumstances) -> Failure:
    """Return the failure that an exception of a vendor's library, of its HTTP library or of reading means."""
    if isinstance(exc, LLMError):
        return Failure(exc)
    classes = {cls.__name__ for cls in type(exc).__mro__}
    status = getattr(exc, "status_code", None)
    if isinstance(status, int) and "APIResponseValidationError" not in classes:
        return _from_answer(_said(exc, status), about)
    if any("Timeout" in name for name in classes):
        return Failure(_timeout(about))
    if isinstance(getattr(exc, "body", None), (Mapping, str)):
        return _from_answer(_said(exc, _status_within(exc)), about)  # in the middle of a stream, or with status 200
    if classes & {"APIConnectionError", "TransportError", "RequestError", "StreamError", "OSError"}:
        return Failure(_unreachable(exc, about), passing=True)
    return Failure(unreadable(about.provider, f"the answer cannot be read ({type(exc).__name__})", about.address))


def unreadable(provider: Provider, problem: str, address: str = "") -> ProviderUnavailableError:
    """Return the error for an answer that is none: a login page, half of a stream, nothing at all."""
    where = f" from {address}" if address else ""
    return ProviderUnavailableError(
        f"{problem}{where}.",
        fix="look whether base_url leads to the provider, and not to a page or a proxy that answers in its place; then"
        " try again.",
        backend=provider.name,
    )


def refused(provider: Provider, words: str) -> ContentRefusedError:
    """Return the error for an answer that the model or a filter withheld."""
    return ContentRefusedError(
        f"the content was refused: {' '.join(words.split())[:_LONGEST_QUOTE]}",
        fix="change what is asked; asking again as it is will be refused again.",
        backend=provider.name,
    )


def seconds_asked(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return how long `retry-after-ms` or `retry-after` (seconds or a date) ask to wait; None where they do not say."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        moment = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, moment - (time.time() if now is None else now))


def _number(value: str | None) -> float | None:
    try:
        found = float(value or "")
    except ValueError:
        return None
    return max(found, 0.0) if math.isfinite(found) else None


def _said(exc: Exception, status: int) -> _Said:
    body: Any = getattr(exc, "body", None)
    error: Any = body.get("error", body) if isinstance(body, Mapping) else {}
    if isinstance(error, str):
        error = {"message": error}
    elif not isinstance(error, Mapping):
        error = {}
    names = frozenset(str(error.get(field, "")).lower() for field in ("code", "type") if error.get(field))
    headers = getattr(getattr(exc, "response", None), "headers", None) or {}
    parameter = error.get("param")
    words = str(error.get("message") or error.get("detail") or "")
    if not words and isinstance(body, str) and "<" not in body:
        words = body  # not a page of HTML
    return _Said(status, words, names, parameter if isinstance(parameter, str) else None, headers)


def _status_within(exc: Exception) -> int:
    """Return the status that an error names itself where its answer has none: its code, if that is one; else 0."""
    body: Any = getattr(exc, "body", None)
    error = body.get("error", body) if isinstance(body, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 0  # noqa: PLR2004 - statuses of errors


def _from_answer(said: _Said, about: Circumstances) -> Failure:  # noqa: PLR0911 - one line for each kind of error
    wait = seconds_asked(said.headers)
    if said.names & _QUOTA or said.status == 402 or _QUOTA_WORDS.search(said.words):  # noqa: PLR2004 - payment required
        return Failure(_limited(said, about, "its quota is used up, and waiting does not help", None))
    if said.status == 413 or said.names & _TOO_LONG:  # noqa: PLR2004 - content too large
        return Failure(_too_long(said, about))
    if said.names & _REFUSED:
        return Failure(refused(about.provider, about.quoted(said.words)))
    if said.status in {400, 422}:
        return _rejected(said, about)
    if said.status in {0, 500} and _TOO_LONG_WORDS.search(said.words):
        return Failure(_too_long(said, about))
    if said.status in {401, 403} or (said.status < 400 and said.names & _KEYS):  # noqa: PLR2004 - in a stream
        return Failure(_key_failed(said, about))
    if said.status == 404 or (said.status < 400 and said.names & _MODEL):  # noqa: PLR2004
        return Failure(_not_found(said, about))
    if said.status == 429 or (said.status < 400 and said.names & _LIMITED):  # noqa: PLR2004
        return Failure(_limited(said, about, "too many requests or tokens", wait), passing=True, wait=wait)
    if said.status < 400 or said.status >= 500 or said.status in _MAY_PASS:  # noqa: PLR2004
        redirected = 300 <= said.status < 400  # noqa: PLR2004
        return Failure(_unavailable(said, about), passing=not redirected, wait=wait)
    return Failure(_unwanted(said, about))


def _rejected(said: _Said, about: Circumstances) -> Failure:
    """Return the failure for a request that the provider understood and does not want."""
    if _TOO_LONG_WORDS.search(said.words):
        return Failure(_too_long(said, about))
    if _REFUSED_WORDS.search(said.words):
        return Failure(refused(about.provider, about.quoted(said.words)))
    error = _unwanted(said, about)
    if said.names & _NOT_TAKEN and said.parameter:
        return Failure(error, parameter=said.parameter)
    found = _FORBIDDEN_WORDS.search(said.words) or _NOT_TAKEN_WORDS.search(said.words)
    return Failure(error, parameter=found["name"] if found else None)


def _unwanted(said: _Said, about: Circumstances) -> LLMError:
    return LLMError(
        f"{about.provider.title} rejected the request{_status(said)}: {_words(said, about)}",
        fix="change what its words complain of; asking again as it is cannot succeed.",
        backend=about.provider.name,
    )


def _key_failed(said: _Said, about: Circumstances) -> AuthenticationFailedError:
    provider, own = about.provider, about.provider.owns(about.address)
    if about.key == NO_KEY:
        hint = f"give {about.address} the key that it wants, as api_key, key_file or {provider.key_variable}."
    elif owner_of(about.key) not in {None, provider.title}:
        hint = f"the key is one of {owner_of(about.key)}: give one of {provider.title}."
    elif own and not about.key.startswith(provider.key_prefix):
        hint = (
            f"the key does not begin with {provider.key_prefix}, as those of {provider.title} do: is it another's? Keys"
            f" are made at {provider.key_page}."
        )
    elif said.status == 403 or "permission_error" in said.names:  # noqa: PLR2004 - forbidden
        hint = "the key is known but may not do this: look at its permissions, its project and its region."
    else:
        hint = (
            f"look whether the key is whole and still valid; keys of {provider.title} are made at {provider.key_page}."
        )
    return AuthenticationFailedError(
        f"authentication failed{_status(said)}: {_words(said, about)}", fix=hint, backend=provider.name
    )


def _not_found(said: _Said, about: Circumstances) -> LLMError:
    """Return the error for a model that is not there, or for an address under which there is no API at all."""
    provider = about.provider
    own = provider.owns(about.address)
    listed = f"the models are listed at {provider.model_page}" if own else f"{about.address} has to have it"
    if "model" in said.words.lower() or said.names & _MODEL:
        return ModelNotFoundError(
            f"model not found: {about.model!r}{_status(said)}: {_words(said, about)}",
            fix=f"correct the option model, or use a key that may have it; {listed}.",
            backend=provider.name,
        )
    return ProviderUnavailableError(
        f"there is no such API at {about.address}{_status(said)}: {_words(said, about)}",
        fix=f"correct base_url; that of {provider.title} itself is {provider.address}.",
        backend=provider.name,
    )


def _limited(said: _Said, about: Circumstances, why: str, wait: float | None) -> RateLimitedError:
    asked = "" if wait is None else f" It asks to wait {wait:g} s."
    fix = "ask less often, or later; raise retry_for to let a call wait longer by itself."
    if wait is None and "quota" in why:
        fix = "look at the plan and the billing of the account."
    return RateLimitedError(
        f"rate limit of {about.provider.title}{_status(said)}: {why}: {_words(said, about)}{asked}",
        fix=fix,
        backend=about.provider.name,
        retry_after=wait,
    )


def _too_long(said: _Said, about: Circumstances) -> ContextTooLongError:
    return ContextTooLongError(
        f"the context is too long for {about.model!r}{_status(said)}: {_words(said, about)}",
        fix="send less, for instance with a smaller prompt_token_budget, or choose a model that reads more.",
        backend=about.provider.name,
    )


def _unavailable(said: _Said, about: Circumstances) -> ProviderUnavailableError:
    if 300 <= said.status < 400:  # noqa: PLR2004 - a redirection
        return unreadable(about.provider, f"a redirection instead of an answer came{_status(said)}", about.address)
    return ProviderUnavailableError(
        f"{about.provider.title} failed{_status(said)}: {_words(said, about)}",
        fix="try again later; max_retries and retry_for say how long a call does so by itself.",
        backend=about.provider.name,
    )


def _unreachable(exc: BaseException, about: Circumstances) -> ProviderUnavailableError:
    cause = exc.__cause__ or exc
    words = about.quoted(str(cause))
    return ProviderUnavailableError(
        f"the connection to {about.address} failed ({type(cause).__name__}{': ' if words else ''}{words}).",
        fix="look at the network and at base_url, and whether the server is running.",
        backend=about.provider.name,
    )


def _timeout(about: Circumstances) -> ProviderTimeoutError:
    return ProviderTimeoutError(
        f"timeout: {about.address} was silent for {about.timeout:g} s.",
        fix="raise the option timeout, ask for less, or look at the network.",
        backend=about.provider.name,
    )


def _status(said: _Said) -> str:
    return f" (status {said.status})" if said.status >= 300 else ""  # noqa: PLR2004 - a stream begins with 200


def _words(said: _Said, about: Circumstances) -> str:
    words = about.quoted(said.words) or "it did not say why."
    return words if words.endswith((".", "!", "?")) else f"{words}."

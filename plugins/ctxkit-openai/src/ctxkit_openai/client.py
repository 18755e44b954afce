"""The clients of the library openai, without retries of their own and without following anybody elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ctxkit.providers import Provider

if TYPE_CHECKING:
    import openai

OPENAI: Final = Provider(
    name="openai",
    title="OpenAI",
    address="https://api.openai.com/v1",
    domain="openai.com",
    address_variable="OPENAI_BASE_URL",
    key_variable="OPENAI_API_KEY",
    key_prefix="sk-",
    key_page="https://platform.openai.com/api-keys",
    model_page="https://platform.openai.com/docs/models",
)
_UNSET: Final = "not looked up yet"  # each call sets its own key


def make_client(address: str, timeout: float, connect: float) -> openai.OpenAI:
    """Return a client that waits."""
    import openai  # noqa: PLC0415 - it takes a second

    limits = openai.Timeout(timeout, connect=connect)
    # A redirection would take the key to another host.
    http = openai.DefaultHttpxClient(timeout=limits, follow_redirects=False)
    return openai.OpenAI(api_key=_UNSET, base_url=address, timeout=limits, max_retries=0, http_client=http)


def make_async_client(address: str, timeout: float, connect: float) -> openai.AsyncOpenAI:
    """Return an asynchronous client."""
    import openai  # noqa: PLC0415

    limits = openai.Timeout(timeout, connect=connect)
    http = openai.DefaultAsyncHttpxClient(timeout=limits, follow_redirects=False)
    return openai.AsyncOpenAI(api_key=_UNSET, base_url=address, timeout=limits, max_retries=0, http_client=http)

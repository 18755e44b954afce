"""The clients of the library anthropic, without retries of their own and without following anybody elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ctxkit.providers import Provider

if TYPE_CHECKING:
    import anthropic

ANTHROPIC: Final = Provider(
    name="anthropic",
    title="Anthropic",
    address="https://api.anthropic.com",
    domain="anthropic.com",
    address_variable="ANTHROPIC_BASE_URL",
    key_variable="ANTHROPIC_API_KEY",
    key_prefix="sk-ant-",
    key_page="https://platform.claude.com/settings/keys",
    model_page="https://platform.claude.com/docs/en/about-claude/models/overview",
)
_UNSET: Final = "not looked up yet"  # each call sets its own key


def make_client(address: str, timeout: float, connect: float) -> anthropic.Anthropic:
    """Return a client that waits."""
    import anthropic  # noqa: PLC0415 - it takes seconds

    limits = anthropic.Timeout(timeout, connect=connect)
    # A redirection would take the key to another host.
    http = anthropic.DefaultHttpxClient(timeout=limits, follow_redirects=False)
    return anthropic.Anthropic(api_key=_UNSET, base_url=address, timeout=limits, max_retries=0, http_client=http)


def make_async_client(address: str, timeout: float, connect: float) -> anthropic.AsyncAnthropic:
    """Return an asynchronous client."""
    import anthropic  # noqa: PLC0415

    limits = anthropic.Timeout(timeout, connect=connect)
    http = anthropic.DefaultAsyncHttpxClient(timeout=limits, follow_redirects=False)
    return anthropic.AsyncAnthropic(api_key=_UNSET, base_url=address, timeout=limits, max_retries=0, http_client=http)

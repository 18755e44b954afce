"""What a user can set on Anthropic's models."""

from __future__ import annotations

from pydantic import Field

from ctxkit.interfaces import LLMCapabilities
from ctxkit.providers import ProviderLLMConfig


class AnthropicConfig(ProviderLLMConfig):
    """A model of Anthropic, or of a server at `base_url` that speaks its format.

    The provider wants a limit of tokens with each call: `max_tokens` is the one where a call does not say. `cache` asks
    it to keep what a conversation begins with, so that the next call with the same beginning costs less.
    """

    model: str = Field(default="claude-sonnet-5", min_length=1, description="which model answers")
    max_tokens: int = Field(default=1_000, ge=1, description="tokens of an answer where a call does not say")
    cache: bool = Field(default=False, description="keep what a conversation begins with at the provider")

    def capabilities(self) -> LLMCapabilities:
        """Return what the adapter can do under any configuration."""
        return LLMCapabilities(streams=True, native_async=True)

"""What a user can set on OpenAI's components."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from pydantic import Field

from ctxkit.interfaces import EmbedderCapabilities, LLMCapabilities
from ctxkit.providers import ProviderConfig, ProviderLLMConfig

# Lengths of the vectors of OpenAI's own models: https://platform.openai.com/docs/guides/embeddings
DIMENSIONS: Final[Mapping[str, int]] = MappingProxyType(
    {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
)


class OpenAIConfig(ProviderLLMConfig):
    """A model of OpenAI, or of a compatible server at `base_url`.

    `api` is the endpoint: "chat" is what every compatible server has, "responses" is OpenAI's newer one, which is asked
    not to keep the conversation.
    """

    model: str = Field(default="gpt-4", min_length=1, description="which model answers")
    api: Literal["chat", "responses"] = Field(default="chat", description="the endpoint that is asked")

    def capabilities(self) -> LLMCapabilities:
        """Return what the adapter can do under any configuration."""
        return LLMCapabilities(streams=True, native_async=True)


class OpenAIEmbedderConfig(ProviderConfig):
    """An embedding model of OpenAI, or of a compatible server at `base_url`.

    `dimension` is the length of the vectors, sent as the parameter `dimensions` where it is not the model's own (None:
    the model's own; of a model that is not OpenAI's it is found out with one request). Of a text `max_tokens` tokens
    count. A request holds at most `max_batch` texts and `max_batch_tokens` tokens, which are OpenAI's limits.
    """

    model: str = Field(default="text-embedding-3-small", min_length=1, description="which model embeds")
    dimension: int | None = Field(default=None, ge=1, le=65_536, description="length of the vectors")
    max_tokens: int = Field(default=8_191, ge=1, description="tokens of a text that count")
    max_batch: int = Field(default=2_048, ge=1, le=2_048, description="texts of one request")
    max_batch_tokens: int = Field(default=300_000, ge=1, description="tokens of one request")

    def capabilities(self) -> EmbedderCapabilities:
        """Return what the embedder can do with this model."""
        return EmbedderCapabilities(
            dimension=self.dimension or DIMENSIONS.get(self.model),
            normalized=True,
            offline=False,
            costs=True,
            truncates=True,
        )

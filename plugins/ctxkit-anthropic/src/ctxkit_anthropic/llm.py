"""The language models of Anthropic."""

from __future__ import annotations

from typing import Any, ClassVar

from ctxkit.providers import Provider, ProviderLLM
from ctxkit_anthropic.client import ANTHROPIC, make_async_client, make_client
from ctxkit_anthropic.config import AnthropicConfig
from ctxkit_anthropic.messages import Messages


class AnthropicLLM(ProviderLLM):
    """Asks for messages; what the library or a model does not take, `temperature` among it, is left out with a note.

    Every parameter of the endpoint is an option of a call (`tools`, `thinking`, `stop_sequences`, ...). A message may
    carry `cache_control`, which marks where a part ends that is worth keeping.
    """

    provider: ClassVar[Provider] = ANTHROPIC

    def __init__(self, config: AnthropicConfig | None = None) -> None:
        config = config or AnthropicConfig()
        super().__init__(config, Messages(cache=config.cache))

    def make_client(self, address: str, connect: float) -> Any:
        """Return the library's client that waits."""
        return make_client(address, self._config.timeout, connect)

    def make_async_client(self, address: str, connect: float) -> Any:
        """Return the library's asynchronous client."""
        return make_async_client(address, self._config.timeout, connect)

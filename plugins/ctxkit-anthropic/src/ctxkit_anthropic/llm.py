"""The language models of Anthropic."""

from __future__ import annotations

from typing import ClassVar

from ctxkit.providers import Provider, ProviderLLM, VendorLibrary
from ctxkit_anthropic.client import ANTHROPIC, LIBRARY
from ctxkit_anthropic.config import AnthropicConfig
from ctxkit_anthropic.messages import Messages


class AnthropicLLM(ProviderLLM):
    """Asks for messages; what the library or a model does not take, `temperature` among it, is left out with a note.

    Every parameter of the endpoint is an option of a call (`tools`, `thinking`, `stop_sequences`, ...). A message may
    carry `cache_control`, which marks where a part ends that is worth keeping.
    """

    provider: ClassVar[Provider] = ANTHROPIC
    library: ClassVar[VendorLibrary] = LIBRARY

    def __init__(self, config: AnthropicConfig | None = None) -> None:
        config = config or AnthropicConfig()
        super().__init__(config, Messages(cache=config.cache))

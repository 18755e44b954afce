"""The language models of OpenAI and of servers that speak its format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ctxkit.providers import Provider, ProviderLLM, VendorLibrary
from ctxkit_openai.chat import Chat
from ctxkit_openai.client import LIBRARY, OPENAI
from ctxkit_openai.config import OpenAIConfig
from ctxkit_openai.responses import Responses


class OpenAILLM(ProviderLLM):
    """Asks chat completions or responses; what a model does not take is left out with a note.

    Beside `max_tokens` and `temperature` every parameter of the endpoint is an option of a call (`top_p`, `tools`,
    `response_format`, ...); `extra_body` holds what only a compatible server knows.
    """

    provider: ClassVar[Provider] = OPENAI
    library: ClassVar[VendorLibrary] = LIBRARY
    roles: ClassVar[tuple[str, ...]] = ("system", "developer", "user", "assistant", "tool")
    # OpenAI's newer models take only the second name, many compatible servers only the first.
    renamed: ClassVar[Mapping[str, str]] = {
        "max_tokens": "max_completion_tokens",
        "max_completion_tokens": "max_tokens",
    }

    def __init__(self, config: OpenAIConfig | None = None) -> None:
        config = config or OpenAIConfig()
        own = OPENAI.owns(OPENAI.address_of(config.base_url))
        super().__init__(config, Responses() if config.api == "responses" else Chat(own=own))

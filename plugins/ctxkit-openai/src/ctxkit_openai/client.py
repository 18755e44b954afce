"""Who OpenAI is, and the library that asks it."""

from __future__ import annotations

from typing import Final

from ctxkit.providers import Provider, VendorLibrary

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
LIBRARY: Final = VendorLibrary("openai", "OpenAI")

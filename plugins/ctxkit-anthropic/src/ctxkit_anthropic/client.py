"""Who Anthropic is, and the library that asks it."""

from __future__ import annotations

from typing import Final

from ctxkit.providers import Provider, VendorLibrary

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
LIBRARY: Final = VendorLibrary("anthropic", "Anthropic")

"""Anthropic's models; importing this does not import the library anthropic."""

from __future__ import annotations

from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec, LLMCapabilities


@hookimpl
def ctxkit_llms() -> list[BackendSpec]:
    """Announce the language model."""
    return [
        BackendSpec(
            name="anthropic",
            factory="ctxkit_anthropic.llm:AnthropicLLM",
            config="ctxkit_anthropic.config:AnthropicConfig",
            capabilities=LLMCapabilities(streams=True, native_async=True),
            summary="Anthropic's models, and servers that speak their format by base_url",
            requires=("anthropic",),
            install_hint="pip install ctxkit-anthropic",
            harness="ctxkit_anthropic.harness:AnthropicHarness",
        )
    ]

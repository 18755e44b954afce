"""OpenAI, and every server that speaks its format; importing this does not import the library openai."""

from __future__ import annotations

from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec, EmbedderCapabilities, LLMCapabilities


@hookimpl
def ctxkit_llms() -> list[BackendSpec]:
    """Announce the language model."""
    return [
        BackendSpec(
            name="openai",
            factory="ctxkit_openai.llm:OpenAILLM",
            config="ctxkit_openai.config:OpenAIConfig",
            capabilities=LLMCapabilities(streams=True, native_async=True),
            summary="OpenAI's models, and those of vLLM, Ollama, llama.cpp and others by base_url",
            requires=("openai",),
            install_hint="pip install ctxkit-openai",
            harness="ctxkit_openai.harness:OpenAIHarness",
        )
    ]


@hookimpl
def ctxkit_embedders() -> list[BackendSpec]:
    """Announce the embedder."""
    return [
        BackendSpec(
            name="openai",
            factory="ctxkit_openai.embedder:OpenAIEmbedder",
            config="ctxkit_openai.config:OpenAIEmbedderConfig",
            capabilities=EmbedderCapabilities(
                dimension=1536, normalized=True, offline=False, costs=True, truncates=True
            ),
            summary="OpenAI's embeddings, and those of compatible servers by base_url",
            requires=("numpy", "openai"),
            install_hint="pip install ctxkit-openai",
            harness="ctxkit_openai.harness:OpenAIEmbedderHarness",
            models="ctxkit_openai.listing:usual_models",
        )
    ]

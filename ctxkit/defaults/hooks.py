"""The core's own components, announced through the same hooks as everybody else's."""

from __future__ import annotations

from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec, Capabilities, LLMCapabilities, TokenizerCapabilities


@hookimpl
def ctxkit_vector_stores() -> list[BackendSpec]:
    """Announce the exact store."""
    return [
        BackendSpec(
            name="exact",
            factory="ctxkit.defaults.exact:ExactStore",
            config="ctxkit.defaults.exact:ExactConfig",
            capabilities=Capabilities(
                metrics=frozenset({"cosine", "dot", "l2"}),
                exact=True,
                optional_vectors=True,
                text_search="bm25",
                ordered_scan=True,
            ),
            summary="exact search with numpy, in memory or durable",
            harness="ctxkit.local.harness:LocalHarness",
        )
    ]


@hookimpl
def ctxkit_tokenizers() -> list[BackendSpec]:
    """Announce the estimating tokenizer."""
    return [
        BackendSpec(
            name="estimate",
            factory="ctxkit.defaults.estimator:EstimatingTokenizer",
            config="ctxkit.defaults.estimator:EstimateConfig",
            capabilities=TokenizerCapabilities(exact=False),
            summary="never counts fewer tokens than cl100k_base or o200k_base",
        )
    ]


@hookimpl
def ctxkit_llms() -> list[BackendSpec]:
    """Announce the extractive summariser and the stand-in for development."""
    return [
        BackendSpec(
            name="echo",
            factory="ctxkit.defaults.echo:EchoLLM",
            config="ctxkit.defaults.echo:EchoConfig",
            capabilities=LLMCapabilities(streams=True, native_async=True, offline=True),
            summary="no model: gives the answers of a script, or repeats what it was asked",
        ),
        BackendSpec(
            name="extractive",
            factory="ctxkit.defaults.extractive:ExtractiveSummarizer",
            config="ctxkit.defaults.extractive:ExtractiveConfig",
            capabilities=LLMCapabilities(streams=False, offline=True),
            summary="answers with the most telling sentences of the last message; no model",
        ),
    ]

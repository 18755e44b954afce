"""Exact tokenizers: OpenAI's encodings, and tokenizer.json files; importing this imports neither library."""

from __future__ import annotations

from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec, TokenizerCapabilities


@hookimpl
def ctxkit_tokenizers() -> list[BackendSpec]:
    """Announce both tokenizers; no vocabulary is read until text is counted."""
    return [
        BackendSpec(
            name="tiktoken",
            factory="ctxkit_tiktoken.tokenizer:TiktokenTokenizer",
            config="ctxkit_tiktoken.config:TiktokenConfig",
            capabilities=TokenizerCapabilities(exact=True, encodes=True),
            summary="the tokens of OpenAI's models, the encoding chosen by the model's name",
            requires=("tiktoken",),
            install_hint="pip install ctxkit-tiktoken",
            harness="ctxkit_tiktoken.harness:TiktokenHarness",
        ),
        BackendSpec(
            name="huggingface",
            factory="ctxkit_tiktoken.huggingface:HuggingFaceTokenizer",
            config="ctxkit_tiktoken.config:HuggingFaceConfig",
            capabilities=TokenizerCapabilities(exact=True, encodes=True),
            summary="the tokens of any model that comes with a tokenizer.json",
            requires=("tokenizers",),
            install_hint='pip install "ctxkit-tiktoken[hf]"',
            harness="ctxkit_tiktoken.harness:HuggingFaceHarness",
        ),
    ]

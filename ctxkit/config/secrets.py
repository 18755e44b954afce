"""Configurations that may leave the process."""

from __future__ import annotations

from pydantic import SecretStr

from ctxkit.config.models import Config


def without_secrets(config: Config) -> Config:
    """Return a copy without keys: they are found anew where they were, in the environment or a file."""
    copy = config.model_copy(deep=True)
    copy.llm.api_key = None
    for section in (copy.llm, copy.vector_store, copy.embedder, copy.tokenizer):
        extra = section.model_extra or {}
        for name in [name for name, value in extra.items() if isinstance(value, SecretStr)]:
            del extra[name]
    return copy

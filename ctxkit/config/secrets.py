"""Keys in configurations: configurations that may leave the process, and keys where they should not be."""

from __future__ import annotations

import re
from typing import Final

from pydantic import SecretStr

from ctxkit.config.models import PASSWORD, Config

_NAME: Final = re.compile(
    r"(^|[_-])(api[_-]?key|key|token|secret|password|credentials?|authorization|cookie)$", re.IGNORECASE
)
_SHORTEST_KEY: Final = 20


def without_secrets(config: Config) -> Config:
    """Return a copy without keys: they are found anew where they were, in the environment or a file."""
    copy = config.model_copy(deep=True)
    copy.llm.api_key = None
    for section in (copy.llm, copy.vector_store, copy.embedder, copy.tokenizer):
        extra = section.model_extra or {}
        for name in [name for name, value in extra.items() if isinstance(value, SecretStr)]:
            del extra[name]
    return copy


def is_secret(name: str) -> bool:
    """Whether an option of this name holds a key itself, not the place of one as `key_file` does."""
    return _NAME.search(name) is not None


def holds_key(name: str, value: object) -> bool:
    """Whether an option's value is a key, by the option's name or by its own form, or has one in it."""
    if isinstance(value, dict):
        return any(holds_key(each, inner) for each, inner in value.items())
    if isinstance(value, (list, tuple)):
        return any(holds_key(name, each) for each in value)
    return isinstance(value, str) and (is_secret(name) or _looks_like_a_key(value))


def is_shown(name: str, value: object) -> bool:
    """Whether an option may be shown: it neither is nor holds a key, and has no password in it."""
    return not (is_secret(name) or holds_key(name, value) or PASSWORD.search(str(value)))


def _looks_like_a_key(value: str) -> bool:
    """Whether a value begins like the keys of a provider, whatever its option is called."""
    if len(value) < _SHORTEST_KEY or not value.isascii() or set(value) & set(" /"):
        return False
    from ctxkit.providers.keys import owner_of  # noqa: PLC0415 - hardly any value comes this far

    return owner_of(value) is not None

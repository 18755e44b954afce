"""The options that every adapter of a provider has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, SecretStr

from ctxkit.interfaces.config import BackendConfig


def _address(value: str) -> str:
    """Accept an http address without a user, whose password would show wherever the address does."""
    parts = urlsplit(value.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an address such as http://localhost:11434/v1")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no user or password; give the key as api_key or key_file")
    return value.strip().rstrip("/")


Address = Annotated[str, AfterValidator(_address)]


class ProviderConfig(BackendConfig):
    """Where the provider is, who asks, and how patiently.

    The key is `api_key`, or else the content of `key_file`, or else the provider's environment variable; it is looked
    up when a call is made. `base_url` is any server that speaks the provider's format. `timeout` is how many seconds
    of silence are too many. What may pass is tried again at most `max_retries` times, and never later than `retry_for`
    seconds after the call began.
    """

    # A key that stands where another option belongs must not be quoted by pydantic either.
    model_config = ConfigDict(hide_input_in_errors=True, protected_namespaces=())

    api_key: SecretStr | None = Field(default=None, description="the key")
    key_file: Path | None = Field(default=None, description="a file with the key, for its owner alone (chmod 600)")
    base_url: Address | None = Field(default=None, description="any server that speaks the provider's format")
    timeout: float = Field(default=60.0, gt=0, allow_inf_nan=False, description="seconds of silence that are too many")
    max_retries: int = Field(default=2, ge=0, le=20, description="tries after the first, of what may pass")
    retry_for: float = Field(
        default=60.0, ge=0, allow_inf_nan=False, description="seconds after which no try begins any more"
    )


class ProviderLLMConfig(ProviderConfig):
    """Which model answers; `max_tokens` and `temperature` hold where a call does not say (None: the provider's own)."""

    model: str = Field(min_length=1, description="which model answers")
    max_tokens: int | None = Field(default=None, ge=1, description="tokens of an answer where a call does not say")
    temperature: float | None = Field(default=None, ge=0, le=2, description="chance, where a call does not say")

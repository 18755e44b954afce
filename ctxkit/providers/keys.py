"""The provider's key: where it is found, when it is refused, and how it is kept out of what people read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ctxkit.errors import AuthenticationFailedError
from ctxkit.providers.config import ProviderConfig
from ctxkit.providers.provider import Provider

NO_KEY: Final = "no-key"  # what a local server that wants none is sent, because the format has a place for it
HIDDEN: Final = "(the key)"
_LONGEST_FILE: Final = 16_384  # bytes
# Beginnings by which a key tells whose it is; the longest one that fits counts.
_OWNERS: Final[Mapping[str, str]] = {
    "sk-ant-": "Anthropic",
    "sk-or-": "OpenRouter",
    "sk-proj-": "OpenAI",
    "sk-svcacct-": "OpenAI",
    "sk-admin-": "OpenAI",
    "gsk_": "Groq",
    "hf_": "Hugging Face",
    "AIza": "Google",
    "pplx-": "Perplexity",
    "xai-": "xAI",
}
# What looks like a key, whole or with stars in it, as errors of providers and gateways quote them.
_KEYLIKE: Final = re.compile(r"\b(?:sk-|gsk_|hf_|pplx-|xai-|AIza)[\w*.-]{4,}|\bBearer\s+[\w*.~+/=-]{8,}", re.IGNORECASE)


class KeySource:
    """Finds the key of a provider: the option `api_key`, else `key_file`, else the environment variable.

    It is looked up for each call, so that a new key needs no new adapter, and it is kept nowhere.
    """

    def __init__(self, provider: Provider, config: ProviderConfig) -> None:
        self._provider = provider
        self._config = config

    def resolve(self, address: str) -> str:
        """Return the key to send to an address; raises AuthenticationFailedError that says what to do.

        A server that is not the provider's own may need none. A key that is plainly another provider's is not sent to
        this one.
        """
        provider = self._provider
        key, place = self._found()
        if not key and not provider.owns(address):
            return NO_KEY
        problem, fix = _complaint(key, place, provider, own=provider.owns(address))
        if not problem:
            return key
        del key  # what shows the variables of a traceback must not show it
        raise AuthenticationFailedError(f"authentication: {problem}", fix=fix, backend=provider.name)

    def _found(self) -> tuple[str, str]:
        """Return the key, empty where there is none, and what to call the place where it was found."""
        config, variable = self._config, self._provider.key_variable
        if config.api_key is not None and config.api_key.get_secret_value().strip():
            return config.api_key.get_secret_value().strip(), "the option api_key"
        if config.key_file is not None:
            return read_key_file(config.key_file.expanduser(), self._provider.name), f"the file {config.key_file}"
        return os.environ.get(variable, "").strip(), variable


def _complaint(key: str, place: str, provider: Provider, *, own: bool) -> tuple[str, str]:
    """Return what is wrong with a key and what to do, empty where nothing is."""
    if not key:
        return (
            f"there is no API key for {provider.title}.",
            f"set {provider.key_variable}, or the option api_key or key_file; keys are made at {provider.key_page}.",
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        return (
            f"the API key from {place} holds blanks, line breaks or letters that no key has.",
            "copy it again, without quotation marks and line breaks.",
        )
    owner = owner_of(key)
    if own and owner is not None and owner != provider.title:
        alike = key.startswith(provider.key_prefix)  # one prefix may begin with the other
        shape = "" if alike else f", which begins with {provider.key_prefix}"
        fix = f"give a key of {provider.title}{shape}, or choose {owner}."
        return f"the API key from {place} is one of {owner}, and was not sent to {provider.title}.", fix
    return "", ""


def read_key_file(path: Path, backend: str) -> str:
    """Return the key in a file that only its owner may read (mode 0600 or less); raises AuthenticationFailedError."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise AuthenticationFailedError(
                    f"authentication: the key file {path} has mode {mode:04o}: others than its owner may read it.",
                    fix=f"chmod 600 {path}; if others may have read it, make a new key.",
                    backend=backend,
                )
            content = file.read(_LONGEST_FILE).decode("utf-8", "replace").strip()
    except OSError as exc:
        problem = exc.strerror or type(exc).__name__
        raise AuthenticationFailedError(
            f"authentication: the key file {path} cannot be read: {problem}.",
            fix="name a file that holds the key and nothing else.",
            backend=backend,
        ) from None
    if not content:
        raise AuthenticationFailedError(
            f"authentication: the key file {path} is empty.", fix="write the key into it.", backend=backend
        )
    return content


def owner_of(key: str) -> str | None:
    """Return whose key it is, as far as its beginning tells."""
    return next((_OWNERS[begin] for begin in sorted(_OWNERS, key=len, reverse=True) if key.startswith(begin)), None)


def masked(text: str, key: str = "") -> str:
    """Return a text without the key, and without anything in it that looks like one."""
    if key and key != NO_KEY:
        text = text.replace(key, HIDDEN)
    return _KEYLIKE.sub(HIDDEN, text)

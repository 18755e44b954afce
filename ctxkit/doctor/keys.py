"""Whether the providers' keys are there, and theirs. No key, and no part of one, is ever shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from ctxkit.doctor.results import Result, of_error
from ctxkit.doctor.subject import Subject
from ctxkit.errors import AuthenticationFailedError, ConfigError, PluginError
from ctxkit.interfaces import Kind
from ctxkit.plugins.construction import load_factory
from ctxkit.providers import KeySource, Provider, ProviderConfig
from ctxkit.providers.keys import NO_KEY
from ctxkit.providers.llm import ProviderLLM

_SHORTEST: Final = 20
_KINDS: Final[tuple[Kind, ...]] = ("llm", "embedder")


def check(subject: Subject) -> Iterator[Result]:
    """Look at the key of each provider that is installed: it has to be right where the configuration uses it."""
    used = {component.plugin.distribution: component for component in subject.components() if component.kind in _KINDS}
    found = False
    for component in subject.registry.components("llm"):
        try:
            factory = load_factory(component)
        except PluginError:
            continue  # the installation is told elsewhere
        if not issubclass(factory, ProviderLLM):
            continue
        found = True
        user = used.get(component.plugin.distribution)
        yield _judged(factory.provider, subject, None if user is None else user.kind)
    if not found:
        yield Result("not checked", "keys", "no installed component needs one")


def _judged(provider: Provider, subject: Subject, kind: Kind | None) -> Result:
    variable = provider.key_variable
    if kind is None and not os.environ.get(variable, "").strip():
        return Result("ok", variable, "not set, and nothing that is configured needs it")
    try:
        config = ProviderConfig() if kind is None else _config(subject, kind)
        address = provider.address_of(config.base_url)
        key = KeySource(provider, config).resolve(address)
    except (AuthenticationFailedError, ConfigError, PluginError) as exc:
        return of_error(exc, variable, "warning" if kind is None else "problem")
    host = urlsplit(address).hostname  # the whole address may hold a password
    if key == NO_KEY:
        return Result("ok", variable, f"not set; {host} may need none")
    if not provider.owns(address):
        return Result("ok", variable, f"there, for {host}")
    problem = _shape(key, provider)
    if problem:
        fix = f"copy it again from {provider.key_page}: export {variable}=..."
        return Result("warning" if kind is None else "problem", variable, problem, fix)
    return Result("ok", variable, f"there, and looks like a key of {provider.title}")


def _config(subject: Subject, kind: Kind) -> ProviderConfig:
    config = subject.registry.make_config(kind, subject.provider(kind), subject.options(kind))
    return config if isinstance(config, ProviderConfig) else ProviderConfig()


def _shape(key: str, provider: Provider) -> str:
    """Return what is odd about a key's form, without a letter of it."""
    if not key.startswith(provider.key_prefix):
        return f"it does not begin with {provider.key_prefix}, as the keys of {provider.title} do"
    if len(key) < _SHORTEST:
        return f"it is too short for a key of {provider.title}"
    return ""

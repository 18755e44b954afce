"""Language models by the name of their provider: the public face of the adapters."""

from __future__ import annotations

from typing import Any

from ctxkit.config import LLMConfig
from ctxkit.interfaces import LLM
from ctxkit.plugins import PluginRegistry, get_registry

__all__ = ["adapter_for", "create_llm_adapter"]


def create_llm_adapter(provider: str | LLMConfig, *, registry: PluginRegistry | None = None, **options: Any) -> LLM:
    """Return the adapter of a provider: "openai", "anthropic", "echo" or any other that is installed.

        adapter = create_llm_adapter("openai", api_key="sk-...", model="gpt-5-mini")
        print(adapter.generate_sync("Where is the boat?"))

    `options` are those of the adapter (`model`, `api_key`, `base_url`, ...); `ctxkit plugins show llm:openai` lists
    them. With an LLMConfig in place of the name, its values are the options, and those given here come first. No key is
    needed, and no network, until the adapter is asked something.

    Retries are built in: what may pass - a rate limit, an overloaded moment, a lost connection - is tried again within
    `max_retries` and `retry_for`. Errors are those of `ctxkit.errors` (RateLimitedError, AuthenticationFailedError,
    ModelNotFoundError, ProviderTimeoutError, ...), whatever the provider. Raises PluginNotFoundError for a provider
    that is not installed, MissingDependencyError with the line that installs what it needs, and ConfigError.
    """
    if isinstance(provider, LLMConfig):
        return adapter_for(provider, registry=registry, **options)
    given = {name: value for name, value in options.items() if value is not None}
    return (registry or get_registry()).create_llm(provider, given)


def adapter_for(config: LLMConfig, *, registry: PluginRegistry | None = None, **options: Any) -> LLM:
    """Return the adapter that a configuration describes; errors as for `create_llm_adapter`.

    What nobody set and the adapter does not know is left out: a model is no option of a component without one.
    """
    found = registry or get_registry()
    known = found.config_class("llm", config.provider).model_fields
    shared = {name: getattr(config, name) for name in ("model", "api_key", "max_tokens", "temperature")}
    wanted = {name for name in shared if name in config.model_fields_set}
    # Our own defaults are a model of OpenAI and what suits it; another provider has its own.
    defaults = {"max_tokens"} | ({"model", "temperature"} if config.provider == LLMConfig().provider else set())
    kept = {name: shared[name] for name in shared if name in wanted or (name in defaults and name in known)}
    given = {**kept, **config.options(), **options}
    return found.create_llm(config.provider, {name: value for name, value in given.items() if value is not None})

"""Who answers: the configured language model, one whose key is there, or the stand-in that quotes memory."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass

from ctxkit.chat.quoting import quote
from ctxkit.config import Config, LLMConfig
from ctxkit.context import ContextResult
from ctxkit.errors import CtxkitError
from ctxkit.interfaces import LLM, Completion, LLMCapabilities
from ctxkit.llm.adapters import adapter_for
from ctxkit.plugins import PluginRegistry
from ctxkit.plugins.known import install_line, known_names
from ctxkit.providers import Provider


class Answerer(ABC):
    """Answers from a context. `name` is what people call it; `is_model` says whether a language model answers."""

    name: str
    is_model: bool
    completion: Completion | None = None

    @abstractmethod
    def pieces(self, context: ContextResult) -> Generator[str, None, None]:
        """Yield the answer piece by piece; `completion` is what is known of it afterwards. Raises LLMError."""

    def close(self) -> None:  # noqa: B027 - the stand-in holds nothing to release
        """Release connections."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """A key that stands in the environment while nothing that uses it is installed; `line` installs it."""

    variable: str
    line: str


class Quotes(Answerer):
    """No model: passages of the context, as they were stored. `lacking` is what keeps a model from answering."""

    name = "passages from memory (no language model)"
    is_model = False

    def __init__(self, lacking: Lacking | None = None) -> None:
        self.lacking = lacking

    def pieces(self, context: ContextResult) -> Generator[str, None, None]:
        """Yield the passages at once."""
        yield quote(context)


class Model(Answerer):
    """A language model, which is sent the messages of the context and nothing else."""

    is_model = True

    def __init__(self, llm: LLM, name: str, *, streams: bool) -> None:
        self.name = name
        self._llm = llm
        self._streams = streams

    def pieces(self, context: ContextResult) -> Generator[str, None, None]:
        """Yield the answer as it comes, or whole from a model that does not stream."""
        self.completion = None
        if not self._streams:
            self.completion = self._llm.complete(context.messages)
            yield self.completion.text
            return
        stream = self._llm.stream(context.messages)
        try:
            yield from stream
            self.completion = getattr(stream, "completion", None)
        finally:
            getattr(stream, "close", lambda: None)()

    def close(self) -> None:
        """Release the model's connections."""
        self._llm.close()


def choose(config: Config, registry: PluginRegistry) -> Answerer:
    """Return who answers: the model that the configuration names, else an installed one whose key is there, else none.

    Raises PluginNotFoundError, MissingDependencyError and ConfigError for a configured model that cannot be made.
    """
    chosen = config.llm if config.llm.model_fields_set else _with_a_key(config.llm, registry)
    if chosen is None:
        return Quotes(_lacking(registry))
    declared = registry.find("llm", chosen.provider).spec.capabilities
    streams = isinstance(declared, LLMCapabilities) and declared.streams
    return Model(adapter_for(chosen, registry=registry), _name(chosen, registry), streams=streams)


def _with_a_key(default: LLMConfig, registry: PluginRegistry) -> LLMConfig | None:
    """Return the provider whose key or address stands in the environment, the default one before the others."""
    names = sorted(
        {each.name for each in registry.components("llm")}, key=lambda name: (name != default.provider, name)
    )
    for name in names:
        provider = _provider(name, registry)
        if provider and (os.environ.get(provider.key_variable) or os.environ.get(provider.address_variable)):
            return default if name == default.provider else LLMConfig(provider=name)
    return None


def _lacking(registry: PluginRegistry) -> Lacking | None:
    """Return the first of our own models whose key is there and whose plugin is not."""
    for name in known_names("llm"):
        variable, line = f"{name.upper()}_API_KEY", install_line("llm", name)
        if line and os.environ.get(variable, "").strip() and not registry.is_available("llm", name):
            return Lacking(variable, line)
    return None


def _provider(name: str, registry: PluginRegistry) -> Provider | None:
    """Return who is behind an installed model, None where nobody with a key is, or it cannot be made."""
    try:
        with registry.create_llm(name) as llm:
            found = getattr(llm, "provider", None)
    except CtxkitError:
        return None
    return found if isinstance(found, Provider) else None


def _name(chosen: LLMConfig, registry: PluginRegistry) -> str:
    field = registry.config_class("llm", chosen.provider).model_fields.get("model")
    if field is None:
        return chosen.provider
    own = "model" in chosen.model_fields_set or chosen.provider == LLMConfig().provider
    return f"{chosen.provider} {chosen.model if own else field.default}"

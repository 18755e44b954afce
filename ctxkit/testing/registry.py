"""A registry for one test, to which classes can be added without a distribution."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

from ctxkit.defaults import hooks
from ctxkit.errors import PluginError
from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import (
    LLM,
    BackendConfig,
    BackendSpec,
    Embedder,
    EmbedderCapabilities,
    Kind,
    LLMCapabilities,
    Tokenizer,
    TokenizerCapabilities,
    VectorStore,
)
from ctxkit.interfaces.values import CheckedValue
from ctxkit.plugins import Component, PluginRegistry
from ctxkit.plugins.hooks import KIND_OF_HOOK

_HOOK_OF: Mapping[Kind, str] = {kind: hook for hook, kind in KIND_OF_HOOK.items()}
_DEFAULTS: Mapping[Kind, CheckedValue] = {
    "embedder": EmbedderCapabilities(),
    "tokenizer": TokenizerCapabilities(exact=False),
    "llm": LLMCapabilities(),
}
_numbers = itertools.count()


class TemporaryRegistry(PluginRegistry):
    """A PluginRegistry that also takes classes as they are; made by `temporary_registry`."""

    def __init__(self) -> None:
        super().__init__()
        self._module: ModuleType | None = None

    def add(
        self,
        kind: Kind,
        name: str,
        factory: type[VectorStore | Embedder | Tokenizer | LLM],
        config: type[BackendConfig] = BackendConfig,
        *,
        capabilities: CheckedValue | None = None,
        requires: tuple[str, ...] = (),
    ) -> Component:
        """Register a component class and its configuration model under a name, and return the component.

        The classes may be defined inside the test. Without `capabilities`, those of the configuration's defaults
        count, and if it has none, those that the kind has by default; a vector store has to say. Raises PluginError
        when there are none, and PluginLoadError or InvalidValueError when the registry would refuse such a plugin.

            with temporary_registry() as registry:
                registry.add("tokenizer", "letters", LetterTokenizer)
                assert registry.create_tokenizer("letters").count("abc") == 3
        """
        spec = BackendSpec(
            name=name,
            factory=self._target(factory),
            config=self._target(config),
            summary=f"{factory.__name__}, for a test",
            capabilities=capabilities or _declared(kind, config),
            requires=requires,
        )
        plugin = SimpleNamespace(**{_HOOK_OF[kind]: hookimpl(specname=_HOOK_OF[kind])(lambda: [spec])})
        self.register(plugin, name=f"testing-{kind}-{name}")
        return self.find(kind, f"testing-{kind}-{name}:{name}")

    def forget(self) -> None:
        """Take the module of locally defined classes out of `sys.modules`; `temporary_registry` does so at its end."""
        if self._module is not None:
            sys.modules.pop(self._module.__name__, None)
            self._module = None

    def _target(self, wanted: type) -> str:
        """Return the `module:Name` under which the registry will find the class."""
        module, name = wanted.__module__, wanted.__name__
        if module in sys.modules and getattr(importlib.import_module(module), name, None) is wanted:
            return f"{module}:{name}"
        if self._module is None:
            self._module = ModuleType(f"_ctxkit_testing_{next(_numbers)}")
            sys.modules[self._module.__name__] = self._module
        attribute = f"{name}_{next(_numbers)}"
        setattr(self._module, attribute, wanted)
        return f"{self._module.__name__}:{attribute}"


@contextmanager
def temporary_registry(*plugins: object, core: bool = True) -> Iterator[TemporaryRegistry]:
    """Yield a registry that holds the given plugins and, unless `core` is False, the core's own components.

    Nothing that is installed is discovered, no variable of the environment is read, and the registry of the process
    stays as it is. `plugins` are modules or objects with hook implementations; one that fails raises PluginLoadError.

        with temporary_registry(ctxkit_acme) as registry, ContextManager(registry=registry) as memory:
            memory.observe("Hello", "Hi!")
    """
    registry = TemporaryRegistry()
    try:
        if core:
            registry.register(hooks, name="ctxkit-core")
        for plugin in plugins:
            registry.register(plugin)
        yield registry
    finally:
        registry.forget()


def _declared(kind: Kind, config: type[BackendConfig]) -> CheckedValue:
    try:
        declared = config().capabilities()
    except ValueError:  # an option without a default, so there are no defaults to ask
        declared = None
    found = declared or _DEFAULTS.get(kind)
    if not isinstance(found, CheckedValue):
        raise PluginError(f"nothing says what this {kind} can do.", fix="pass capabilities=Capabilities(...).")
    return found

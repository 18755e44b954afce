"""Reads one plugin's hook implementations and checks them against the specification."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from ctxkit import hookspecs
from ctxkit.interfaces import (
    SPEC_VERSION,
    BackendSpec,
    Capabilities,
    EmbedderCapabilities,
    Kind,
    LLMCapabilities,
    TokenizerCapabilities,
)

if TYPE_CHECKING:
    from pluggy import HookimplOpts

    from ctxkit.plugins.tracing import Tracer

COMMANDS = "ctxkit_commands"
KIND_OF_HOOK: Mapping[str, Kind] = {
    "ctxkit_vector_stores": "vector_store",
    "ctxkit_embedders": "embedder",
    "ctxkit_tokenizers": "tokenizer",
    "ctxkit_llms": "llm",
}
_CAPABILITIES: Mapping[Kind, type] = {
    "vector_store": Capabilities,
    "embedder": EmbedderCapabilities,
    "tokenizer": TokenizerCapabilities,
    "llm": LLMCapabilities,
}
# No distribution has this many; a generator that never ends has.
_MAX_ITEMS = 1000

Hook = Callable[[], object]


class IncompatibleSpecError(pluggy.PluginValidationError):
    """A plugin announces a component in a version of the specification that this ctxkit does not speak."""


class _HookReader(pluggy.PluginManager):
    """A throw-away plugin manager: one for each plugin, so that no plugin can disturb another's registration."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> HookimplOpts | None:
        # Older versions of pluggy read every attribute that `dir` shows: a facade that loads its heavy names lazily
        # lists those too, and a property runs code.
        static = inspect.getattr_static(plugin, name, None)
        if isinstance(static, property) or (static is None and isinstance(plugin, ModuleType)):
            return None
        return super().parse_hookimpl_opts(plugin, name)


def read_hooks(plugin: object) -> dict[str, list[Hook]]:
    """Return the plugin's own implementations by hook name, or raise PluginValidationError.

    Refused are hooks that do not exist, arguments that the specification lacks, wrappers, coroutines, a hook without
    its `@hookimpl`, and a plugin that implements nothing.
    """
    manager = _HookReader(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, name="plugin")
    found: dict[str, list[Hook]] = {}
    for caller in manager.get_hookcallers(plugin) or []:
        for implementation in caller.get_hookimpls():
            if caller.has_spec():
                _check_implementation(plugin, caller.name, implementation)
                found.setdefault(caller.name, []).append(implementation.function)
            elif not implementation.optionalhook:
                raise pluggy.PluginValidationError(plugin, f"there is no hook {caller.name}{_suggestion(caller.name)}")
    for name in (*KIND_OF_HOOK, COMMANDS):
        static = inspect.getattr_static(plugin, name, None)
        if name not in found and inspect.isroutine(static) and not hasattr(static, "ctxkit_spec"):
            raise pluggy.PluginValidationError(plugin, f"{name} is not marked with @ctxkit.hookspecs.hookimpl")
    if not found:
        raise pluggy.PluginValidationError(plugin, "it implements no hook of ctxkit")
    return found


def announced(
    plugin: object, hooks: Mapping[str, Sequence[Hook]], tracer: Tracer
) -> Iterator[tuple[Kind, BackendSpec]]:
    """Call the component hooks and yield what they return, each item checked before the next one is asked for."""
    for hook, kind in KIND_OF_HOOK.items():
        names: set[str] = set()
        for call in hooks.get(hook, ()):
            with tracer.step(hook) as came:
                for item in returned(plugin, hook, call):
                    spec = _checked_spec(plugin, hook, kind, item)
                    if spec.name in names:
                        message = f"{hook} returned two components named {spec.name!r}"
                        raise pluggy.PluginValidationError(plugin, message)
                    names.add(spec.name)
                    came.append(f"{kind}:{spec.name}")
                    yield kind, spec


def returned(plugin: object, hook: str, call: Hook) -> Iterator[Any]:
    """Call one hook and yield the items of the iterable that it returned."""
    result = call()
    if not isinstance(result, Iterable) or isinstance(result, (str, bytes)):
        raise pluggy.PluginValidationError(plugin, f"{hook} must return a list; it returned {_kind_of(result)}")
    for position, item in enumerate(islice(result, _MAX_ITEMS + 1)):
        if position == _MAX_ITEMS:
            raise pluggy.PluginValidationError(plugin, f"{hook} returned more than {_MAX_ITEMS} items")
        yield item


def _check_implementation(plugin: object, hook: str, implementation: Any) -> None:
    if implementation.wrapper or implementation.hookwrapper:
        raise pluggy.PluginValidationError(plugin, f"{hook} is a wrapper; each plugin is called by itself")
    if inspect.iscoroutinefunction(implementation.function):
        raise pluggy.PluginValidationError(plugin, f"{hook} is a coroutine; hooks are plain functions")


def _checked_spec(plugin: object, hook: str, kind: Kind, item: object) -> BackendSpec:
    if not isinstance(item, BackendSpec):
        raise pluggy.PluginValidationError(plugin, f"{hook} must return BackendSpecs; it returned {_kind_of(item)}")
    if not 1 <= item.spec_version <= SPEC_VERSION:
        message = f"{hook}: {item.name!r} has spec_version {item.spec_version}; this ctxkit knows up to {SPEC_VERSION}"
        raise IncompatibleSpecError(plugin, message)
    expected = _CAPABILITIES[kind]
    if not isinstance(item.capabilities, expected):
        message = f"{hook}: the capabilities of {item.name!r} must be {expected.__name__}, not"
        raise pluggy.PluginValidationError(plugin, f"{message} {_kind_of(item.capabilities)}")
    return item


def _suggestion(hook: str) -> str:
    close = difflib.get_close_matches(hook, (*KIND_OF_HOOK, COMMANDS), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _kind_of(value: object) -> str:
    return "None" if value is None else f"an object of type {type(value).__name__}"

"""The registry: which components there are, and how one is made."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ctxkit import interfaces
from ctxkit.errors import AmbiguousPluginError, PluginError
from ctxkit.interfaces import Kind
from ctxkit.plugins import construction, failures
from ctxkit.plugins.component import KINDS, Command, Component, HookCall, PluginRecord, normalized
from ctxkit.plugins.discovery import Loaded, discover, is_loading, load, report
from ctxkit.plugins.hooks import COMMANDS, returned
from ctxkit.plugins.policy import LoadPolicy
from ctxkit.plugins.tracing import Tracer
from ctxkit.plugins.unpackaged import importer_of

if TYPE_CHECKING:
    from ctxkit.interfaces import LLM, AsyncVectorStore, BackendConfig, CollectionSpec, Embedder, Tokenizer, VectorStore

Options: TypeAlias = "Mapping[str, Any] | BackendConfig | None"


class PluginRegistry:
    """Components by kind and name, from entry points (`discover`) and from plugins added by hand.

    A name is bare (`faiss`) or `distribution:name`. Looking up and listing import no component; only the methods
    that return a class or make something do. Registries share nothing. Adding plugins is not thread-safe, the rest is.
    """

    def __init__(self, plugins: Sequence[Loaded] = (), *, strict: bool = False) -> None:
        self._plugins = list(plugins)
        self._strict = strict

    @classmethod
    def discover(cls, environ: Mapping[str, str] | None = None, *, path: Sequence[str] | None = None) -> PluginRegistry:
        """Return a registry of every installed plugin that the environment permits.

        `environ` is read instead of os.environ, and `path` searched for distributions instead of sys.path. A failing
        plugin is logged and recorded; with CTXKIT_STRICT_PLUGINS=1 it raises PluginLoadError.
        """
        policy = LoadPolicy.from_environ(os.environ if environ is None else environ)
        return cls(discover(policy, path), strict=policy.strict)

    @property
    def plugins(self) -> list[PluginRecord]:
        """Every plugin that was found, the failed and the blocked ones too, by distribution and entry point."""
        records = [loaded.record for loaded in self._plugins]
        return sorted(records, key=lambda record: (normalized(record.distribution), record.entry_point))

    def components(self, kind: Kind | None = None) -> list[Component]:
        """Return the usable components, of one kind or all, by kind, name and distribution."""
        found = [component for loaded in self._plugins for component in loaded.components]
        chosen = [component for component in found if kind is None or component.kind == kind]
        return sorted(chosen, key=lambda each: (each.kind, each.name, normalized(each.plugin.distribution)))

    def as_dict(self) -> dict[str, Any]:
        """Return plugins and components as plain JSON values.

        `missing` lists required modules that are not installed; `ambiguous` says that the bare name is not enough.
        """
        return {
            "plugins": [record.as_dict() for record in self.plugins],
            "components": [self.describe(component) for component in self.components()],
        }

    def describe(self, component: Component) -> dict[str, Any]:
        """Return one component as plain JSON values, as in `as_dict`."""
        namesakes = [each for each in self.components(component.kind) if each.name == component.name]
        missing = construction.missing_requirements(component)
        return {**component.as_dict(), "missing": missing, "ambiguous": len(namesakes) > 1}

    @property
    def calls(self) -> list[HookCall]:
        """What was imported and which hooks were called, in order, as far as it happened in this registry."""
        calls = (call for loaded in self._plugins for call in loaded.calls)
        return sorted(calls, key=lambda call: call.at)

    def register(self, plugin: object, *, name: str | None = None) -> PluginRecord:
        """Add a module or object with hook implementations under a name (default: its own).

        Raises PluginLoadError, and adds nothing, when it fails to load: whoever names a plugin wants that one.
        """
        label = name or str(getattr(plugin, "__name__", type(plugin).__name__))
        return self._add(label, f"the object registered as {label!r}", lambda: plugin)

    def load_path(self, module_or_file: str) -> PluginRecord:
        """Import `package.module` or `folder/file.py` and add it under that name; errors as in `register`.

        A file becomes the module named like it, so that its components say `factory="file:Name"`.
        """
        label = os.path.basename(module_or_file).removesuffix(".py")  # noqa: PTH119 - a module name is no path
        return self._add(label, module_or_file, importer_of(module_or_file))

    def _add(self, name: str, value: str, importer: Callable[[], object]) -> PluginRecord:
        if any(normalized(record.distribution) == normalized(name) for record in self.plugins):
            raise PluginError(
                f"there is a plugin {name!r} already.", fix="give this one another name, or leave it out."
            )
        loaded = load(PluginRecord(distribution=name, version="", entry_point=name, value=value), importer)
        if loaded.record.status != "loaded":
            raise failures.load_error(loaded.record)
        self._plugins.append(loaded)
        return loaded.record

    def find(self, kind: Kind, name: str) -> Component:
        """Return the component of that kind and name, bare or `distribution:name`.

        Raises AmbiguousPluginError when several distributions share the bare name, PluginLoadError when it belongs to
        a plugin that failed, and PluginNotFoundError, which lists what there is, otherwise.
        """
        distribution, _, bare = name.rpartition(":")
        matches = [
            component
            for component in self.components(kind)
            if component.name == bare
            and (not distribution or normalized(component.plugin.distribution) == normalized(distribution))
        ]
        if len(matches) > 1:
            raise failures.ambiguous(name, matches)
        if matches:
            return matches[0]
        for plugin in self.plugins:
            if plugin.status != "loaded" and _provides(plugin, kind, distribution, bare):
                raise failures.unavailable(plugin)
        raise failures.not_found(kind, name, self.components(kind))

    def find_any(self, name: str) -> Component:
        """Return the component called `name`, `distribution:name` or either after `kind:`; errors as `find`.

        Raises AmbiguousPluginError too when components of several kinds have that name.
        """
        head, _, rest = name.partition(":")
        if rest and head.replace("-", "_") in KINDS:
            return self.find(cast("Kind", head.replace("-", "_")), rest)
        prefix, _, bare = name.rpartition(":")
        kinds = sorted(
            {
                each.kind
                for each in self.components()
                if each.name == bare and (not prefix or normalized(each.plugin.distribution) == normalized(prefix))
            }
        )
        if len(kinds) > 1:
            forms = ", ".join(f"{kind}:{name}" for kind in kinds)
            raise AmbiguousPluginError(f"several kinds of component are called {name!r}.", fix=f"ask for {forms}.")
        if kinds:
            return self.find(kinds[0], name)
        for plugin in self.plugins:
            if plugin.status != "loaded" and any(_provides(plugin, kind, prefix, bare) for kind in KINDS):
                raise failures.unavailable(plugin)
        for plugin in self.plugins:
            if plugin.status == "loaded" and plugin.answers_to(name):
                raise failures.not_a_component(name, plugin)
        raise failures.not_found_anywhere(name, self.components())

    def is_available(self, kind: Kind, name: str) -> bool:
        """Whether the component is there, its plugin loaded and its required modules found; imports nothing."""
        try:
            return not construction.missing_requirements(self.find(kind, name))
        except PluginError:
            return False

    def config_class(self, kind: Kind, name: str) -> type[BackendConfig]:
        """Return the component's configuration model."""
        return construction.load_config_class(self.find(kind, name))

    def make_config(self, kind: Kind, name: str, options: Options = None) -> BackendConfig:
        """Return the component's configuration from options; raises ConfigError naming each wrong one."""
        return construction.make_config(self.find(kind, name), options)

    def create(self, kind: Kind, name: str, options: Options = None) -> Embedder | Tokenizer | LLM:
        """Make an embedder, tokenizer or language model; a vector store is opened with `open_store`."""
        if kind == "vector_store":
            raise PluginError(f"the vector store {name!r} needs a collection.", fix="call open_store instead.")
        return cast("Embedder | Tokenizer | LLM", construction.make(self.find(kind, name), options))

    def create_embedder(self, name: str, options: Options = None) -> Embedder:
        """Make an embedder; raises MissingDependencyError, PluginLoadError, ConfigError and those of `find`."""
        return cast("Embedder", self.create("embedder", name, options))

    def create_tokenizer(self, name: str, options: Options = None) -> Tokenizer:
        """Make a tokenizer; errors as for `create_embedder`."""
        return cast("Tokenizer", self.create("tokenizer", name, options))

    def create_llm(self, name: str, options: Options = None) -> LLM:
        """Make a language model adapter; errors as for `create_embedder`."""
        return cast("LLM", self.create("llm", name, options))

    def store_class(self, name: str) -> type[VectorStore]:
        """Import and return the class of a vector store; errors as for `create_embedder`."""
        return cast("type[VectorStore]", construction.load_factory(self.find("vector_store", name)))

    def open_store(self, name: str, spec: CollectionSpec, options: Options = None) -> VectorStore:
        """Open a collection; errors as for `create_embedder`, and whatever StoreError the backend raises."""
        store = self.store_class(name)
        return store.open(spec, self.make_config("vector_store", name, options))

    def async_store_class(self, name: str) -> type[AsyncVectorStore]:
        """Import and return the asynchronous class of a vector store: its own, or its synchronous one in threads.

        Errors as for `create_embedder`.
        """
        component = self.find("vector_store", name)
        own = construction.load_async_factory(component)
        return interfaces.asynchronous(construction.load_factory(component)) if own is None else own

    async def open_store_async(self, name: str, spec: CollectionSpec, options: Options = None) -> AsyncVectorStore:
        """Open a collection for use in the running event loop; errors as for `open_store`."""
        import asyncio  # noqa: PLC0415 - listing components does without

        # In a thread: importing a backend's library may take seconds.
        store = await asyncio.to_thread(self.async_store_class, name)
        return await store.open(spec, self.make_config("vector_store", name, options))

    def commands(self) -> list[Command]:
        """Call the plugins' command hooks and return their sub-commands, by name.

        Asked for by the command line only, so a failing hook costs its plugin these commands and one WARNING, not
        the components that programs use; the record keeps the error.
        """
        found = [
            command for position, loaded in enumerate(self._plugins) for command in self._commands_of(position, loaded)
        ]
        return sorted(found, key=lambda command: command.name)

    def _commands_of(self, position: int, loaded: Loaded) -> list[Command]:
        tracer = Tracer(loaded.record.distribution)
        commands: list[Command] = []
        try:
            for call in loaded.commands:
                with tracer.step(COMMANDS) as came:
                    added = _commands(loaded.record, call)
                    came.extend(command.name for command in added)
                commands.extend(added)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # noqa: BLE001 - as at discovery
            record = replace(loaded.record, error=f"{COMMANDS}: {failures.one_line(exc)}", cause=exc)
            report(record, strict=self._strict)
            # The hook is forgotten, so that asking again costs no second warning.
            self._plugins[position] = replace(loaded, record=record, commands=(), calls=(*loaded.calls, *tracer.calls))
            return []
        self._plugins[position] = replace(loaded, calls=(*loaded.calls, *tracer.calls))
        return commands


def _commands(record: PluginRecord, call: Callable[[], object]) -> list[Command]:
    import typer  # noqa: PLC0415 - only the command line needs it

    commands = []
    for item in returned(record, COMMANDS, call):
        match item:
            case (str() as name, typer.Typer() as app):
                commands.append(Command(name, app, record))
            case _:
                raise TypeError(f"{COMMANDS} must return (name, typer.Typer) pairs; it returned {item!r}")
    return commands


def _provides(plugin: PluginRecord, kind: Kind, distribution: str, name: str) -> bool:
    if distribution:
        return normalized(plugin.distribution) == normalized(distribution)
    # A plugin that failed early never said what it has: its own names are the best guess.
    return f"{kind}:{name}" in plugin.components or plugin.answers_to(name)


_lock = threading.Lock()
_shared: list[PluginRegistry] = []


def get_registry() -> PluginRegistry:
    """Return the registry of this process, discovered on first use.

    Raises PluginError to a plugin that asks for it while that plugin is being loaded, which makes the plugin fail.
    """
    if is_loading():
        raise PluginError("plugins are being discovered.", fix="ask for the registry later than at import.")
    with _lock:
        if not _shared:
            _shared.append(PluginRegistry.discover())
        return _shared[0]

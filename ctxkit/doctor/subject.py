"""What is examined: a configuration, the components that it names, and a store."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from typing_extensions import Self

from ctxkit.config import Config
from ctxkit.config.layers import Layers, read_layers
from ctxkit.config.secrets import is_shown
from ctxkit.config.variables import from_assignments
from ctxkit.doctor.whereabouts import memory_place
from ctxkit.errors import ConfigError, CtxkitError, PluginError
from ctxkit.interfaces import Kind
from ctxkit.moving.places import StorePlace
from ctxkit.plugins import KINDS, Component, PluginRegistry
from ctxkit.plugins.policy import STRICT
from ctxkit.plugins.standing_in import provider_of


@dataclass(frozen=True)
class Subject:
    """What the command line names: file, options, store and plugins.

    `online` allows the network, `fix` to mend, `debug` tracebacks. Everything that follows from them is found out
    when a check needs it, and an error of it is that check's.
    """

    store: str
    default_store: str
    config_file: str | None = None
    assignments: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    online: bool = False
    fix: bool = False
    debug: bool = False

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the subject of what JSON holds, where tuples are lists."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**given)

    def command(self, *words: str) -> str:
        """Return a command line of ctxkit with the options that this subject was given, to be typed as it stands.

        What may be a secret is left out of it.
        """
        options = [] if self.config_file is None else ["--config", self.config_file]
        options += [word for each in self.assignments if _is_shown(each) for word in ("--set", each)]
        options += [word for each in self.plugins for word in ("-p", each)]
        if self.store and "--from" not in words:
            options += ["--store", self.store]
        return f"`{shlex.join(['ctxkit', *words, *options])}`"

    @property
    def store_path(self) -> Path:
        """The store's folder: the one that was named, else the configuration's, else the default."""
        return Path(self.store or self.layers.store or self.default_store).absolute()

    @property
    def place(self) -> StorePlace:
        """Where the configured store is; raises ConfigError and PluginError."""
        named = bool(self.store or self.layers.store)
        return memory_place(self.config.vector_store, self.store_path, self.registry, named=named)

    @property
    def folder(self) -> Path | None:
        """The folder that the store is in, None where it is in none; where it should be if its options are wrong."""
        try:
            return self.place.folder
        except CtxkitError:
            return self.store_path

    @cached_property
    def unreadable(self) -> ConfigError | None:
        """What keeps the configuration from being read at all."""
        try:
            read_layers(self.config_file, assignments=self.assignments)
        except ConfigError as exc:
            return exc
        return None

    @cached_property
    def layers(self) -> Layers:
        """The configuration's values; of a file that cannot be read none."""
        if self.unreadable is None:
            return read_layers(self.config_file, assignments=self.assignments)
        return read_layers(os.devnull)

    @property
    def config(self) -> Config:
        """The configuration as far as its values are right."""
        return self.layers.checked[0]

    def read_again(self) -> None:
        """Forget what was read of the configuration, which has been mended."""
        for name in ("unreadable", "layers"):
            self.__dict__.pop(name, None)

    @cached_property
    def _loaded(self) -> tuple[PluginRegistry, tuple[PluginError, ...]]:
        # A failing plugin is a finding here, also for those who want it to stop everything else.
        registry = PluginRegistry.discover({name: value for name, value in os.environ.items() if name != STRICT})
        failed = []
        for plugin in self.plugins:
            try:
                registry.load_path(plugin)
            except PluginError as exc:
                failed.append(exc)
        return registry, tuple(failed)

    @property
    def registry(self) -> PluginRegistry:
        """The installed plugins, and those named with -p that load."""
        return self._loaded[0]

    @property
    def failed_plugins(self) -> tuple[PluginError, ...]:
        """Why plugins named with -p do not load."""
        return self._loaded[1]

    def section(self, kind: Kind) -> Any:
        """Return the part of the configuration that chooses the component of a kind."""
        return getattr(self.config, kind)

    def is_named(self, kind: Kind) -> bool:
        """Whether somebody chose the component: a default may fall back, and a model that nobody named is not used."""
        return "provider" in self.section(kind).model_fields_set or (
            kind == "llm" and self.config.memory.summarizer == "llm"
        )

    def provider(self, kind: Kind) -> str:
        """Return the name of the component that is used, "none" for no embedder."""
        return provider_of(kind, self.section(kind), self.registry)

    def components(self) -> Iterator[Component]:
        """Yield the components in use that are there, language models only where one was named."""
        for kind in KINDS:
            name = self.provider(kind)
            if (kind == "llm" and not self.is_named(kind)) or name == "none":
                continue
            if self.registry.is_available(kind, name):
                yield self.registry.find(kind, name)

    def options(self, kind: Kind) -> dict[str, Any]:
        """Return what the component is made with, as far as its own configuration knows it."""
        section = self.section(kind)
        options: dict[str, Any] = section.options()
        if kind == "llm":
            known = self.registry.config_class("llm", section.provider).model_fields
            shared = ("model", "max_tokens", "temperature")
            options |= {name: getattr(section, name) for name in shared if name in known}
            if section.api_key is not None:
                options["api_key"] = section.api_key
        return options


def _is_shown(assignment: str) -> bool:
    """Whether a `--set` may be repeated; what is no assignment may be a key that was typed in its place."""
    try:
        return all(is_shown(key[-1], value) for key, value in from_assignments([assignment]))
    except ConfigError:
        return False

"""Where a collection is, as it is named on the command line.

faiss:./memory                    a provider and its folder
faiss:./memory,index_type=HNSW    with options of the provider
chroma:host=localhost,port=8000   options alone
./memory                          a folder that is there: the provider is found out
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from ctxkit.config import VectorStoreConfig
from ctxkit.config.layers import read_layers
from ctxkit.config.problems import meant_by
from ctxkit.errors import CollectionNotFoundError, ConfigError, StoreUnavailableError
from ctxkit.interfaces import BackendConfig, CollectionSpec, VectorStore
from ctxkit.memory.kinds import kinds_in
from ctxkit.plugins import PluginRegistry
from ctxkit.plugins.standing_in import provider_of

_NEXT_OPTION: Final = re.compile(r",(?=\w+=)")
HIDDEN: Final = "**********"  # what pydantic shows of a secret


@dataclass(frozen=True)
class StorePlace:
    """A provider with its options: one folder, server or database of collections. `path` is made absolute."""

    provider: str
    options: Mapping[str, Any]
    registry: PluginRegistry

    @cached_property
    def config(self) -> BackendConfig:
        """The options, checked by the provider; raises ConfigError and PluginError."""
        options = dict(self.options)
        if options.get("path") is not None:
            options["path"] = Path(options["path"]).expanduser().absolute()
        return self.registry.make_config("vector_store", self.provider, options)

    @property
    def folder(self) -> Path | None:
        """The folder of the collections, None where the provider keeps them elsewhere."""
        found: Path | None = getattr(self.config, "path", None)
        return found

    @cached_property
    def title(self) -> str:
        """The place as one would type it; of secrets a short digest is shown, so that two servers are not one."""
        shown = self.config.model_dump(mode="json", exclude_unset=True)
        path = shown.pop("path", None)
        words = [f"{name}={value}" for name, value in sorted(shown.items())]
        title = f"{self.provider}:{','.join([path, *words] if path else words)}"
        if HIDDEN not in title:
            return title
        whole = json.dumps(self.config.model_dump(), sort_keys=True, default=_revealed)
        return f"{title}#{hashlib.blake2b(whole.encode(), digest_size=4).hexdigest()}"

    def collections(self) -> list[str]:
        """Return the names of the collections that are there, sorted."""
        return self.registry.store_class(self.provider).list_collections(self.config)

    def described(self, name: str) -> CollectionSpec | None:
        """Return what a collection was made with, None where there is none of that name."""
        try:
            return self.registry.store_class(self.provider).describe_collection(self.config, name)
        except CollectionNotFoundError:
            return None

    def existing(self, name: str) -> CollectionSpec:
        """Return what a collection was made with; raises CollectionNotFoundError, which names those that there are."""
        found = self.described(name)
        if found is None:
            there = ", ".join(self.collections()) or "none"
            raise CollectionNotFoundError(
                f"there is no collection {name!r} in {self.title}; there is: {there}.",
                fix="check the place, or name a collection with --collection.",
            )
        return found

    def open(self, spec: CollectionSpec) -> VectorStore:
        """Open a collection, making it where it is not there."""
        return self.registry.open_store(self.provider, spec, self.config)


def _revealed(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def parsed_place(text: str, registry: PluginRegistry) -> StorePlace:
    """Return the place that a text names; raises ConfigError, or StoreUnavailableError for a folder without a store."""
    known = {each.name for each in registry.components("vector_store")}
    parts = text.split(":")
    for length in (1, 2):  # a name, or a distribution and a name
        if len(parts) > length and parts[length - 1] in known:
            return StorePlace(":".join(parts[:length]), _options(":".join(parts[length:])), registry)
    if text in known:
        raise ConfigError(f"{text} names a store without its place.", fix=f"name the folder too: {text}:FOLDER.")
    if text.endswith(".toml"):
        layers = read_layers(Path(text))
        return configured_place(layers.config().vector_store, layers.store, registry)
    meant = meant_by(parts[0], known) if len(parts) > 1 and not Path(text).exists() else None
    if meant is not None:
        raise ConfigError(f"there is no store {parts[0]}.", fix=f"did you mean {meant}:{text.partition(':')[2]}?")
    return found_place(Path(text), registry)


def configured_place(section: VectorStoreConfig, folder: Path | None, registry: PluginRegistry) -> StorePlace:
    """Return the store of a configuration, in a folder where it keeps its data in one; falls back as a memory does."""
    name = provider_of("vector_store", section, registry)
    kind = section.index_type if "index_type" in section.model_fields_set else None
    accepted = registry.config_class("vector_store", name).model_fields
    own = {"path": folder, "index_type": kind}
    options = {key: value for key, value in own.items() if key in accepted and value is not None}
    return StorePlace(name, {**options, **section.options()}, registry)


def _options(text: str) -> dict[str, Any]:
    """Return what `PATH,KEY=VALUE,KEY=VALUE` says; either part may be missing."""
    first, *rest = _NEXT_OPTION.split(text)
    if not first:
        raise ConfigError("a store is named without its place.", fix="write NAME:FOLDER or NAME:KEY=VALUE.")
    pairs = [first, *rest] if re.match(r"\w+=", first) else rest
    options: dict[str, Any] = dict(pair.split("=", 1) for pair in pairs)
    return options if pairs and pairs[0] is first else {"path": first, **options}


def found_place(folder: Path, registry: PluginRegistry) -> StorePlace:
    """Return the store that a folder holds, by asking each provider; raises StoreUnavailableError where none is."""
    for name, _ in kinds_in(folder, registry) if folder.is_dir() else ():
        return StorePlace(name, {"path": folder}, registry)
    names = sorted({each.name for each in registry.components("vector_store")})
    raise StoreUnavailableError(
        f"there is no store in {folder}.",
        fix=f"name the folder of a store, or NAME:FOLDER with one of {', '.join(names)}.",
    )

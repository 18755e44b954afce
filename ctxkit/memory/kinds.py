"""Which kind of store a folder holds, so that no second one is made in it that does not see the first."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ctxkit.config import VectorStoreConfig
from ctxkit.errors import CollectionNotFoundError, ConfigError, CtxkitError, StoreLockedError
from ctxkit.plugins import PluginRegistry

_log = logging.getLogger(__name__)
ENGINE: Final = "exact"  # asked first: it sees whatever the engine wrote, and imports nothing heavy


def kinds_in(folder: Path, registry: PluginRegistry) -> Iterator[tuple[str, list[str]]]:
    """Yield each provider that sees collections in a folder, with their names; "exact" sees those of the whole engine.

    Raises StoreLockedError at the end where one could not look. What is not installed cannot be asked.
    """
    names = {each.name for each in registry.components("vector_store")}
    locked: StoreLockedError | None = None
    for name in sorted(names, key=lambda each: (each != ENGINE, each)):
        found: list[str] = []
        try:
            found = _collections(name, folder, registry)
        except StoreLockedError as exc:
            locked = exc
        except Exception as exc:  # noqa: BLE001 - another's files may look damaged to it, or it may be broken itself
            _log.debug("%s cannot tell what is in %s: %s", name, folder, exc)
        if found:
            yield name, found
    if locked is not None:
        raise locked


def kind_in(folder: Path, collection: str, registry: PluginRegistry) -> str | None:
    """Return who sees a collection in a folder, the engine under the name that people know; None where nobody does.

    Raises StoreLockedError.
    """
    kind = next((name for name, found in kinds_in(folder, registry) if collection in found), None)
    default = VectorStoreConfig().provider
    return default if kind == ENGINE and registry.is_available("vector_store", default) else kind


def refuse_another_kind(
    provider: str, options: Mapping[str, Any], folder: Path, collection: str, registry: PluginRegistry
) -> None:
    """Raise ConfigError where a folder holds a collection, and `provider`, opened with `options`, does not see it."""
    if not _is_in_use(folder) or not _is_without(collection, provider, options, registry):
        return
    kind = kind_in(folder, collection, registry)
    if kind is None or not _is_without(collection, provider, options, registry):
        return  # the second look is for one that another process has made since the first
    raise ConfigError(
        f"{folder} holds a {collection} of {kind}, which {provider} does not see.",
        fix=f"set vector_store.provider to {kind}, or copy it: `ctxkit migrate {folder} {provider}:FOLDER`.",
    )


def _is_in_use(folder: Path) -> bool:
    """Whether there is more than locks in a folder; what is wrong with it, opening it tells."""
    try:
        return any(not entry.name.startswith(".") for entry in folder.iterdir())
    except OSError:
        return False


def _is_without(collection: str, provider: str, options: Mapping[str, Any], registry: PluginRegistry) -> bool:
    try:
        settings = registry.make_config("vector_store", provider, options)
        registry.store_class(provider).describe_collection(settings, collection)
    except CollectionNotFoundError:
        return True
    except CtxkitError:  # opening it tells
        return False
    return False


def _collections(name: str, folder: Path, registry: PluginRegistry) -> list[str]:
    if "path" not in registry.config_class("vector_store", name).model_fields:
        return []
    return registry.store_class(name).list_collections(registry.make_config("vector_store", name, {"path": folder}))

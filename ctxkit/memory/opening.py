"""From a configuration to an open store with its embedder, with fallbacks for what was not asked for by name."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ctxkit.config import Config
from ctxkit.errors import CollectionNotFoundError, ConfigError, CtxkitError, EmbedderError
from ctxkit.interfaces import CollectionSpec, Embedder, VectorStore
from ctxkit.memory.entries import FIELDS
from ctxkit.memory.patience import PatientEmbedder
from ctxkit.memory.vault import Vault
from ctxkit.plugins import PluginRegistry

_log = logging.getLogger(__name__)
COLLECTION = "memory"


@dataclass(frozen=True, slots=True)
class Opened:
    """An open vault, the providers that were really used, and why when they are not the configured ones."""

    vault: Vault
    vector_store: str
    embedder: str
    fallbacks: tuple[str, ...]


def open_vault(config: Config, path: Path | None, registry: PluginRegistry) -> Opened:
    """Open (or make) the store that a configuration describes, in memory when `path` is None.

    A provider that the user did not set and that is not installed falls back (faiss to exact, static to none)
    with one INFO line; one that the user named raises with the install line.
    """
    fallbacks: list[str] = []
    embedder_name, embedder = _open_embedder(config, registry, fallbacks)
    try:
        store_name, store = _open_store(config, path, registry, embedder, fallbacks)
    except BaseException:
        if embedder is not None:
            embedder.close()
        raise
    patient = None if embedder is None else PatientEmbedder(embedder, timeout=config.memory.embed_timeout)
    vault = Vault(store, patient)
    if vault.pending():
        vault.resume()
    return Opened(vault, store_name, embedder_name, tuple(fallbacks))


def _open_embedder(config: Config, registry: PluginRegistry, fallbacks: list[str]) -> tuple[str, Embedder | None]:
    section = config.embedder
    if section.provider == "none":
        return "none", None
    if "provider" not in section.model_fields_set and not registry.is_available("embedder", section.provider):
        _fall_back(fallbacks, f"embedder {section.provider} is not installed or not enabled: text search only")
        return "none", None
    try:
        embedder = registry.create_embedder(section.provider, section.options())
        # Asked for once here, so that a model that cannot say what it is fails with its name in the message.
        _ = embedder.dimension, embedder.fingerprint
    except CtxkitError:
        raise
    except Exception as exc:
        raise EmbedderError(
            f"the embedder {section.provider} failed to load: {type(exc).__name__}.",
            fix="see the cause of this error, or use EmbedderConfig(provider='none') for text search only.",
        ) from exc
    return section.provider, embedder


def _open_store(
    config: Config,
    path: Path | None,
    registry: PluginRegistry,
    embedder: Embedder | None,
    fallbacks: list[str],
) -> tuple[str, VectorStore]:
    section = config.vector_store
    name = section.provider
    if "provider" not in section.model_fields_set and not registry.is_available("vector_store", name):
        _fall_back(fallbacks, f"vector store {name} is not installed or not enabled: exact is used")
        name = "exact"
    options = _store_options(config, path, name, registry)
    dimension = section.dimension
    if embedder is not None and dimension != embedder.dimension:
        if "dimension" in section.model_fields_set:
            raise ConfigError(
                f"vector_store.dimension is {dimension}, but the embedder {config.embedder.provider} makes vectors"
                f" of {embedder.dimension}.",
                fix=f"leave dimension out, or set it to {embedder.dimension}.",
            )
        dimension = embedder.dimension
    if embedder is None:
        dimension = _stored_dimension(registry, name, options) or dimension
    spec = CollectionSpec(
        name=COLLECTION,
        dimension=dimension,
        metric=section.metric,
        fingerprint=None if embedder is None else embedder.fingerprint,
        fields=FIELDS,
    )
    return name, registry.open_store(name, spec, options)


def _store_options(config: Config, path: Path | None, name: str, registry: PluginRegistry) -> dict[str, Any]:
    """Return what the backend is opened with: the user's own options, the path and the kind of index."""
    section = config.vector_store
    options = section.options()
    accepted = registry.config_class("vector_store", name).model_fields
    if path is not None:
        if "path" not in accepted:
            raise ConfigError(
                f"the vector store {name} does not keep its data in a directory.",
                fix="leave path out and set the backend's own options.",
            )
        options["path"] = path
    if "index_type" in accepted:
        options["index_type"] = section.index_type
    return options


def _stored_dimension(registry: PluginRegistry, name: str, options: dict[str, Any]) -> int | None:
    """Return the dimension of the collection that is there, so that it can be read without its embedder."""
    backend = registry.config_class("vector_store", name)
    try:
        return registry.store_class(name).describe_collection(backend(**options), COLLECTION).dimension
    except (CollectionNotFoundError, ValidationError):
        return None


def _fall_back(fallbacks: list[str], line: str) -> None:
    fallbacks.append(line)
    _log.info("%s", line)

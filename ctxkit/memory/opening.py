"""From a configuration to an open store with its embedder, with fallbacks for what was not asked for by name.

And from a pickle: one of a durable store holds its path, one of a store in memory its records; no key is in either.
"""

from __future__ import annotations

import copyreg
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ctxkit.cache import with_cache
from ctxkit.config import Config, without_secrets
from ctxkit.errors import (
    CollectionNotFoundError,
    ConfigError,
    CtxkitError,
    DimensionMismatchError,
    EmbedderError,
    FingerprintMismatchError,
)
from ctxkit.interfaces import CollectionSpec, Embedder, EmbedderCapabilities, Tokenizer, VectorStore
from ctxkit.memory.copies import take_over
from ctxkit.memory.entries import FIELDS
from ctxkit.memory.kinds import refuse_another_kind
from ctxkit.memory.patience import PatientEmbedder
from ctxkit.memory.source import Source
from ctxkit.memory.vault import Vault
from ctxkit.plugins import PluginRegistry, get_registry
from ctxkit.plugins.standing_in import provider_of
from ctxkit.records import Record
from ctxkit.tokens import RememberingTokenizer

_log = logging.getLogger(__name__)
COLLECTION = "memory"
CACHE_FOLDER = "cache"


def open_vault(config: Config, path: Path | None, registry: PluginRegistry) -> Vault:
    """Open (or make) the store that a configuration describes, in memory when `path` is None.

    A provider that the user did not set and that is not installed falls back (faiss to exact, static to none)
    with one INFO line; one that the user named raises with the install line. A folder with a memory of another kind of
    store raises ConfigError. The vectors of an embedder whose calls cost something are kept in a cache below `path`.
    """
    fallbacks: list[str] = []
    store_name = _chosen_store(config, registry, fallbacks)
    options = _store_options(config, path, store_name, registry)
    if path is not None:
        refuse_another_kind(store_name, options, path, COLLECTION, registry)
    embedder_name, embedder = _open_embedder(config, path, registry, fallbacks)
    try:
        store = _open_store(config, store_name, options, registry, embedder)
    except BaseException:
        if embedder is not None:
            embedder.close()
        raise
    patient = None if embedder is None else PatientEmbedder(embedder, timeout=config.memory.embed_timeout)
    vault = Vault(store, patient, Source(config, path, registry, store_name, embedder_name, tuple(fallbacks)))
    if vault.pending():
        vault.resume()
    return vault


def open_tokenizer(config: Config, registry: PluginRegistry) -> Tokenizer:
    """Return the tokenizer that a configuration names; it remembers what it counted."""
    chosen = config.tokenizer
    return RememberingTokenizer(registry.create_tokenizer(chosen.provider, chosen.options()))


def _open_embedder(
    config: Config, path: Path | None, registry: PluginRegistry, fallbacks: list[str]
) -> tuple[str, Embedder | None]:
    section = config.embedder
    if section.provider == "none":
        return "none", None
    if provider_of("embedder", section, registry) == "none":
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
    declared = registry.find("embedder", section.provider).spec.capabilities
    if path is not None and isinstance(declared, EmbedderCapabilities):
        embedder = with_cache(embedder, declared, path / CACHE_FOLDER)
    return section.provider, embedder


def _chosen_store(config: Config, registry: PluginRegistry, fallbacks: list[str]) -> str:
    named = config.vector_store.provider
    name = provider_of("vector_store", config.vector_store, registry)
    if name != named:
        _fall_back(fallbacks, f"vector store {named} is not installed or not enabled: {name} is used")
    return name


def _open_store(
    config: Config, name: str, options: dict[str, Any], registry: PluginRegistry, embedder: Embedder | None
) -> VectorStore:
    section = config.vector_store
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
    try:
        return registry.open_store(name, spec, options)
    except (DimensionMismatchError, FingerprintMismatchError) as exc:
        raise type(exc)(
            exc.message,
            fix="use that model again, or have the vectors made anew: `ctxkit reembed` (docs/moving.md).",
            backend=exc.backend,
            collection=exc.collection,
        ) from exc


def _store_options(config: Config, path: Path | None, name: str, registry: PluginRegistry) -> dict[str, Any]:
    """Return what the backend is opened with: the user's own options, the path and the kind of index."""
    section = config.vector_store
    options = section.options()
    accepted = registry.config_class("vector_store", name).model_fields
    if path is not None:
        if "path" not in accepted:
            raise ConfigError(
                f"the vector store {name} does not keep its data in a directory.",
                fix="leave path, or store in the configuration, out and set the backend's own options.",
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


def _reduced(vault: Vault) -> tuple[Callable[..., Vault], tuple[Any, ...]]:
    """Say how a vault is opened again: by its path, or with the records that it holds in memory."""
    source = vault.source
    records = None if source.path is not None else list(vault.store.scan(include_vectors=True))
    return _opened_again, (without_secrets(source.config), source.path, records, vault.store.spec.fingerprint)


def _opened_again(
    config: Config, path: Path | None, records: Sequence[Record] | None, fingerprint: str | None
) -> Vault:
    vault = open_vault(config, path, get_registry())
    take_over(vault, records or (), fingerprint)
    return vault


copyreg.pickle(Vault, _reduced)  # the vault knows nothing of configurations

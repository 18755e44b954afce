"""Copies of memory: records that go from one store to another with all that belongs to them."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from ctxkit.errors import ConfigError, StoreUnavailableError
from ctxkit.interfaces import CollectionSpec
from ctxkit.memory.entries import FIELDS
from ctxkit.memory.vault import Vault, without_filler
from ctxkit.plugins import PluginRegistry
from ctxkit.records import Record

_BATCH = 256
_BACKEND = "exact"  # the engine's directory, which every backend of the engine opens


def take_over(vault: Vault, records: Iterable[Record], fingerprint: str | None) -> int:
    """Store the records that the vault does not have yet; return how many those were.

    `fingerprint` names the model that made their vectors: those of another model than the vault's are made anew.
    """
    same = fingerprint == vault.store.spec.fingerprint
    taken = 0
    for batch in _batches(records):
        known = vault.store.get([record.id for record in batch])
        new = [record for record, own in zip(batch, known, strict=True) if own is None]
        if same:
            vault.keep(new)
        elif new:
            vault.write([replace(record, vector=None) for record in new])
        taken += len(new)
    if vault.pending():
        vault.resume()
    return taken


def save(vault: Vault, where: Mapping[str, Any], folder: Path, registry: PluginRegistry) -> int:
    """Copy the records that pass the filter to a store in `folder`; return how many.

    The folder must not exist or be empty: the copy is made beside it and renamed when it is whole. Raises ConfigError
    when it is in use and StoreError when it cannot be written.
    """
    with _writable(folder):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(f"{folder} exists and is not an empty folder.", fix="name a folder that does not exist.")
    partial = folder.absolute().with_name(f".{folder.name}.{uuid.uuid4().hex}")
    spec = CollectionSpec(
        name=vault.store.spec.name,
        dimension=vault.store.spec.dimension,
        metric=vault.store.spec.metric,
        fingerprint=vault.store.spec.fingerprint,
        fields=FIELDS,
    )
    try:
        with registry.open_store(_BACKEND, spec, {"path": partial}) as copy, vault.writing:
            count = 0
            for batch in _batches(vault.store.scan(where, include_vectors=True)):
                copy.upsert([without_filler(record) for record in batch])
                count += len(batch)
        with _writable(folder):
            if folder.exists():
                folder.rmdir()
            partial.rename(folder)
            _sync(partial.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return count


def load(vault: Vault, where: Mapping[str, Any], folder: Path, registry: PluginRegistry) -> int:
    """Store the records of a saved copy that pass the filter and are not here yet; return how many those were.

    Raises StoreUnavailableError when there is no copy in the folder, and whatever StoreError it has of its own.
    """
    name = vault.store.spec.name
    store_class = registry.store_class(_BACKEND)
    settings = registry.make_config("vector_store", _BACKEND, {"path": folder})
    if not folder.is_dir() or name not in store_class.list_collections(settings):
        raise StoreUnavailableError(f"there is no saved memory in {folder}.", fix="name the folder of save_memory.")
    with store_class.open(store_class.describe_collection(settings, name), settings) as copy:
        return take_over(vault, copy.scan(where, include_vectors=True), copy.spec.fingerprint)


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses into StoreUnavailableError."""
    try:
        yield
    except OSError as exc:
        raise StoreUnavailableError(
            f"the copy in {folder} cannot be written: {exc.strerror}.", fix="name a folder that can be."
        ) from exc


def _sync(directory: Path) -> None:
    """Make a renaming in a directory last through a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    remaining = iter(records)
    while batch := list(islice(remaining, _BATCH)):
        yield batch

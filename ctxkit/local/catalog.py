"""Making, opening, listing and dropping collections."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from ctxkit.errors import (
    CollectionNotFoundError,
    ConfigError,
    DimensionMismatchError,
    FingerprintMismatchError,
    MetricMismatchError,
    StoreError,
)
from ctxkit.interfaces import CollectionSpec
from ctxkit.local import layout, schema
from ctxkit.local.config import LocalConfig
from ctxkit.local.faults import Place, guarded
from ctxkit.local.session import Session, connect, connected, unforked


def open_session(spec: CollectionSpec, config: LocalConfig, backend: str) -> Session:
    """Open the collection's session, making the collection when there is none; what it is, the caller checks."""
    if config.path is None:
        place = Place(backend, spec.name, None, config.busy_timeout)
        connection = connect(None, place, config.durability, make=True)
        with guarded(place):
            incarnation = schema.create_tables(connection, spec)
        session = Session(connection, place, None, config.durability)
        session.incarnation = incarnation
        return session
    root = config.path.absolute()
    directory = layout.collection_directory(root, spec.name)
    place = Place(backend, spec.name, directory, config.busy_timeout)
    at_root = Place(backend, spec.name, root, config.busy_timeout)
    with contextlib.suppress(OSError):  # it may be another user's, and the collection is no worse for it
        layout.sweep(root)
    with unforked(), layout.root_lock(root, at_root, exclusive=False):
        opened = _open_directory(spec, config, directory, place)
    if opened is not None:
        return opened
    # A drop that was cut short between its mark and its end: end it, then start afresh.
    with layout.root_lock(root, at_root, exclusive=True):
        _end_drop(directory, config, place)
    return open_session(spec, config, backend)


def _open_directory(spec: CollectionSpec, config: LocalConfig, directory: Path, place: Place) -> Session | None:
    """Open a session, or return None where the collection is marked as dropped."""
    database = directory / layout.DATABASE
    manifest = layout.read_manifest(directory, place)
    with guarded(place):
        layout.make(directory)
        known = _is_made(directory, place)
    connection = connect(database, place, config.durability, make=not known)
    try:
        with guarded(place):
            described = _described(connection, spec, place, make=not known)
            if described is None:
                connection.close()
                return None
            stored, incarnation = described
            if manifest is None or "incarnation" not in manifest:
                layout.write_manifest(directory, stored, incarnation)
            elif manifest["incarnation"] != incarnation:
                _refuse(place, f"{database} is not the database that its manifest describes.")
        session = Session(connection, place, database, config.durability)
    except BaseException:
        connection.close()
        raise
    session.incarnation = incarnation
    return session


def _is_made(directory: Path, place: Place) -> bool:
    """Whether making the collection has come to its end, the manifest; raises where only that is left of it."""
    if not (directory / layout.MANIFEST).exists():
        return False
    database = directory / layout.DATABASE
    if not database.is_file() or not database.stat().st_size:
        raise place.corrupt(f"{database} is {'empty' if database.is_file() else 'missing'}, but its manifest is there.")
    return True


def _described(
    connection: sqlite3.Connection, spec: CollectionSpec, place: Place, *, make: bool
) -> tuple[CollectionSpec, str] | None:
    """Return what the database says it is, None where it was dropped; makes its tables first where allowed."""
    connection.execute("BEGIN IMMEDIATE")
    if schema.is_empty(connection):
        if not make:
            _refuse(place, "the database holds nothing, but its manifest is there.")
        schema.create_tables(connection, spec)
    stored, incarnation = schema.read_meta(connection, place)
    state = schema.read_state(connection, place)
    if state.incarnation != incarnation:
        _refuse(place, "the state row is damaged.")
    connection.execute("COMMIT")
    return None if state.seq == schema.DROPPED_SEQ else (stored, incarnation)


def _end_drop(directory: Path, config: LocalConfig, place: Place) -> None:
    """Discard a collection that is marked as dropped, unless another opener has done so and made it anew."""
    database = directory / layout.DATABASE
    with guarded(place):
        if not database.exists():
            return
    with connected(database, place, config.durability) as connection:
        dropped = schema.read_state(connection, place).seq == schema.DROPPED_SEQ
    if dropped:
        with guarded(place):
            layout.discard(directory, directory.parent)


def _refuse(place: Place, message: str) -> NoReturn:
    raise place.corrupt(message)


def list_names(config: LocalConfig, backend: str) -> list[str]:
    """Return the names of all collections, sorted; those that cannot be read are left to `open` to explain."""
    if config.path is None:
        return []
    root = config.path.absolute()
    place = Place(backend, None, root, config.busy_timeout)
    names = []
    for directory in layout.collection_directories(root, place):
        manifest = None
        with contextlib.suppress(StoreError):
            manifest = layout.read_manifest(directory, place)
        name = manifest.get("name") if manifest is not None else _stored_name(directory, config, place)
        if isinstance(name, str):
            names.append(name)
    return sorted(names)


def describe(config: LocalConfig, backend: str, name: str) -> CollectionSpec:
    """Return what the collection was made with; one that is just being made, or never was to the end, is not there."""
    directory, place = _existing(config, backend, name)
    layout.read_manifest(directory, place)
    with guarded(place):
        known = _is_made(directory, place)
    with connected(directory / layout.DATABASE, place, config.durability) as connection:
        if not known and schema.is_empty(connection):
            raise _not_found(place, name)
        return schema.read_meta(connection, place)[0]


def drop(config: LocalConfig, backend: str, name: str) -> None:
    """Delete a collection: handles on it learn it from the database, then the directory goes."""
    directory, place = _existing(config, backend, name)
    with layout.root_lock(directory.parent, place, exclusive=True):
        if not directory.exists():
            raise _not_found(place, name)
        database = directory / layout.DATABASE
        # A damaged database may be dropped too: there is then nothing to tell its handles.
        with contextlib.suppress(StoreError):
            _mark_dropped(database, config, place)
        with guarded(place):
            layout.discard(directory, directory.parent)
    with guarded(place):
        layout.sweep(directory.parent)


def check_same(stored: CollectionSpec, asked: CollectionSpec, place: Place, *, has_vectors: bool) -> CollectionSpec:
    """Return the specification after this opener, or raise a mismatch error.

    A fingerprint of None means "does not say"; a stored None takes the first one named while there is no vector.
    """
    where = {"backend": place.backend, "collection": place.collection}
    if stored.dimension != asked.dimension:
        raise DimensionMismatchError(
            f"the collection holds vectors of {stored.dimension} dimensions, {asked.dimension} were asked for.",
            fix=f"use dimension={stored.dimension} and a model that has it, or another collection.",
            **where,
        )
    if stored.metric != asked.metric:
        raise MetricMismatchError(
            f"the collection was made for the metric {stored.metric}, {asked.metric} was asked for.",
            fix=f"use metric={stored.metric!r}, or another collection.",
            **where,
        )
    fingerprint = stored.fingerprint
    if asked.fingerprint is not None and asked.fingerprint != stored.fingerprint:
        if stored.fingerprint is not None or has_vectors:
            raise FingerprintMismatchError(
                f"the vectors are of {stored.fingerprint or 'an unnamed model'}, {asked.fingerprint} was asked for.",
                fix="use that model again, or put the texts into another collection with the new one.",
                **where,
            )
        fingerprint = asked.fingerprint
    fields = {**stored.fields, **_added_fields(stored.fields, asked.fields, place)}
    return CollectionSpec.model_validate({**stored.model_dump(), "fingerprint": fingerprint, "fields": fields})


def _added_fields(stored: Mapping[str, str], asked: Mapping[str, str], place: Place) -> Mapping[str, str]:
    for name, kind in asked.items():
        if stored.get(name, kind) != kind:
            raise ConfigError(
                f"the field {name!r} is declared as {stored[name]}, {kind} was asked for.",
                fix=f"declare it as {stored[name]}, or use a field of another name.",
                backend=place.backend,
                collection=place.collection,
            )
    return {name: kind for name, kind in asked.items() if name not in stored}


def _existing(config: LocalConfig, backend: str, name: str) -> tuple[Path, Place]:
    if config.path is None:
        raise _not_found(Place(backend, name, None), name)
    directory = layout.collection_directory(config.path.absolute(), name)
    place = Place(backend, name, directory, config.busy_timeout)
    with guarded(place):
        if directory not in layout.collection_directories(directory.parent, place):
            raise _not_found(place, name)
    return directory, place


def _not_found(place: Place, name: str) -> CollectionNotFoundError:
    return CollectionNotFoundError(
        f"there is no collection {name!r}{'' if place.path is None else f' under {place.path.parent}'}.",
        fix="open it once to make it, or check the name with `list_collections`.",
        backend=place.backend,
        collection=name,
    )


def _stored_name(directory: Path, config: LocalConfig, place: Place) -> str | None:
    try:
        with connected(directory / layout.DATABASE, place, config.durability) as connection:
            return schema.read_meta(connection, place)[0].name
    except (StoreError, sqlite3.Error):
        return None


def _mark_dropped(database: Path, config: LocalConfig, place: Place) -> None:
    with connected(database, place, config.durability) as connection:
        connection.execute("UPDATE state SET seq = ?", (schema.DROPPED_SEQ,))

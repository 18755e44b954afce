"""Backups of a directory of collections while it is in use, and bringing one to this version's format."""

from __future__ import annotations

import glob
import json
import shutil
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ctxkit.errors import ConfigError, FormatVersionError, StoreUnavailableError
from ctxkit.local import layout, schema
from ctxkit.local.faults import Place, guarded
from ctxkit.local.session import connected

BACKEND: Final = "local"
Progress = Callable[[int, int, str], object]
# From the format version to the next one; each changes a collection's directory in place, whole or not at all.
_STEPS: Final[dict[int, Callable[[Path], None]]] = {}


@dataclass(frozen=True)
class Copied:
    """One collection of a backup: its name, its records, and the bytes of the copy."""

    name: str
    records: int
    bytes_on_disk: int


def backup(source: Path, target: Path, progress: Progress | None = None) -> list[Copied]:
    """Copy every collection under `source` to the directory `target`, which must not exist or be empty.

    Each copy is one moment of its collection: writers and readers of the source go on meanwhile. The copy is made under
    another name and renamed when it is whole; what a killed backup to this target has left is deleted. Indexes are not
    copied; they are made anew from the records. Raises StoreUnavailableError without a store, ConfigError when the
    target is in use, StoreFullError when the disk is full.
    """
    place = Place(BACKEND, None, target)
    with guarded(place):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ConfigError(f"{target} exists and is not an empty folder.", fix="name a folder that does not exist.")
    collections = _collections(source)
    _clear(target)
    partial = target.absolute().with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with guarded(place):
            layout.make(partial)
        with layout.claimed(partial):
            copied = []
            for number, directory in enumerate(collections):
                if progress is not None:
                    progress(number, len(collections), directory.name)
                copied.append(_copy(directory, partial / directory.name))
            with guarded(place):
                layout.sync(partial)
                if target.exists():
                    target.rmdir()
                partial.rename(target)
                layout.sync(target.absolute().parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if progress is not None:
        progress(len(collections), len(collections), "")
    return copied


def versions(path: Path) -> dict[str, int | None]:
    """Return the format version of each collection's directory under a path, None where it cannot be read."""
    return {directory.name: _version(directory) for directory in _collections(path)}


def upgrade(path: Path, progress: Progress | None = None) -> list[tuple[str, int, int]]:
    """Bring every collection under a path to this version's format; return (directory, from, to) of those changed.

    Raises FormatVersionError for a format of the future and for one that no step leads on from.
    """
    changed = []
    found = versions(path)
    for number, (name, version) in enumerate(found.items()):
        if progress is not None:
            progress(number, len(found), name)
        if version is None or version == layout.FORMAT_VERSION:
            continue
        now = version
        while now < layout.FORMAT_VERSION and now in _STEPS:
            _STEPS[now](path / name)
            now += 1
        if now != layout.FORMAT_VERSION:
            raise FormatVersionError(
                f"{path / name} has format version {version}; this version of ctxkit reads {layout.FORMAT_VERSION}.",
                fix="install a newer ctxkit."
                if version > layout.FORMAT_VERSION
                else "upgrade with an older ctxkit first.",
                backend=BACKEND,
                collection=name,
            )
        changed.append((name, version, now))
    return changed


def _collections(path: Path) -> list[Path]:
    found = layout.collection_directories(path.absolute(), Place(BACKEND, None, path)) if path.is_dir() else []
    if not found:
        raise StoreUnavailableError(f"there is no store in {path}.", fix="name the folder of a store.")
    return found


def _clear(target: Path) -> None:
    """Delete what killed backups to a target have left, not what others are at work on."""
    for path in target.absolute().parent.glob(f".{glob.escape(target.name)}.{layout.UNIQUE}"):
        with suppress(OSError):  # it may be another user's, and the backup is no worse for it
            if not layout.is_claimed(path):
                shutil.rmtree(path)


def _copy(directory: Path, target: Path) -> Copied:
    place, at_target = Place(BACKEND, directory.name, directory), Place(BACKEND, directory.name, target)
    database = target / layout.DATABASE
    with guarded(at_target):
        target.mkdir()
    with connected(directory / layout.DATABASE, place, "full") as connection, guarded(at_target):
        # One read transaction: the copy is of one moment, and nobody waits for it.
        connection.execute("VACUUM INTO ?", (str(database),))
    with connected(database, at_target, "full") as copy:
        spec, incarnation = schema.read_meta(copy, place)
        state = schema.read_state(copy, place)
        copy.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with guarded(at_target):
        layout.sync(database)
        layout.write_manifest(target, spec, incarnation)
    return Copied(spec.name, state.rows, database.stat().st_size)


def _version(directory: Path) -> int | None:
    try:
        content: Any = json.loads((directory / layout.MANIFEST).read_text(encoding="utf-8"))
        found = content["format_version"]
    except (OSError, ValueError, KeyError, TypeError, sqlite3.Error):
        return None
    return found if isinstance(found, int) and not isinstance(found, bool) else None

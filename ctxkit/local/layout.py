"""Where a collection lives on disk: its directory, its manifest, and the lock that guards making and dropping.

<path>/.ctxkit.lock                held while a collection is opened (shared) or dropped (exclusive)
<path>/<slug>-<hash>/store.db      the truth
<path>/<slug>-<hash>/manifest.json says that there is a database, so that an emptied one is noticed
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ctxkit.errors import FormatVersionError
from ctxkit.interfaces import CollectionSpec
from ctxkit.local.faults import Place, guarded

ENGINE = "ctxkit-local"
FORMAT_VERSION = 1
DATABASE = "store.db"
MANIFEST = "manifest.json"
_LOCK = ".ctxkit.lock"
UNIQUE = "[0-9a-f]" * 32  # how a `uuid4().hex` looks to a glob
_TRASH = ".dropped-"
_SLUG_LENGTH = 40
_POLL_SECONDS = 0.01


def collection_directory(root: Path, name: str) -> Path:
    """Return the directory of a collection: readable, and distinct for distinct names on any file system."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_SLUG_LENGTH]
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return root / (f"{slug}-{digest}" if slug else digest)


def collection_directories(root: Path, place: Place) -> list[Path]:
    """Return every directory under `root` that holds a collection."""
    with guarded(place):
        if not root.exists():
            return []
        return [
            entry
            for entry in sorted(root.iterdir())
            if not entry.name.startswith(".") and any((entry / name).is_file() for name in (MANIFEST, DATABASE))
        ]


def write_manifest(directory: Path, spec: CollectionSpec, incarnation: str) -> None:
    """Write the manifest so that a reader finds the old one or the new one, whole."""
    content = {
        "engine": ENGINE,
        "format_version": FORMAT_VERSION,
        "name": spec.name,
        "incarnation": incarnation,
        "dimension": spec.dimension,
        "metric": spec.metric,
    }
    temporary = directory / f"{MANIFEST}.{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(directory / MANIFEST)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(directory)


def read_manifest(directory: Path, place: Place) -> dict[str, Any] | None:
    """Return the manifest, or None when it is missing or unreadable; raises FormatVersionError for another format."""
    with guarded(place):
        try:
            raw = (directory / MANIFEST).read_bytes()
        except FileNotFoundError:
            return None
    try:
        content = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(content, dict):
        return None
    check_format(content.get("format_version"), place)
    return content


def check_format(found: object, place: Place) -> None:
    """Raise FormatVersionError when `found` is a format version and not ours."""
    if isinstance(found, int) and not isinstance(found, bool) and found != FORMAT_VERSION:
        raise FormatVersionError(
            f"{place.path} has format version {found}; this version of ctxkit reads {FORMAT_VERSION}.",
            fix="install a newer ctxkit." if found > FORMAT_VERSION else "run `ctxkit upgrade` on the path.",
            backend=place.backend,
            collection=place.collection,
        )


def sync(path: Path) -> None:
    """Make a file's bytes, or the names in a directory, survive a power cut."""
    with _opened(path) as descriptor:
        os.fsync(descriptor)


def make(directory: Path) -> None:
    """Make a directory and those above it where they are missing, so that their names survive a power cut."""
    if directory.is_dir():
        return
    make(directory.parent)
    directory.mkdir(exist_ok=True)
    sync(directory.parent)


def discard(directory: Path, root: Path) -> None:
    """Take a collection's directory out of sight in one step; for who holds the root's lock. `sweep` deletes it."""
    directory.rename(root / f"{_TRASH}{uuid.uuid4().hex}")
    sync(root)


def sweep(root: Path) -> None:
    """Delete what was discarded, by this process or by one that was killed since; several may do so at once."""
    for trash in root.glob(f"{_TRASH}{UNIQUE}"):
        while trash.exists():
            with suppress(FileNotFoundError):  # another one was quicker
                shutil.rmtree(trash)


@contextmanager
def root_lock(root: Path, place: Place, *, exclusive: bool) -> Iterator[None]:
    """Hold the root's lock: nobody drops a collection while another opens it."""
    with guarded(place):
        make(root)
        descriptor = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _wait_for(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, place)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Show that somebody is at work in a directory, until the block ends or the process dies."""
    with _opened(directory) as descriptor:
        with suppress(OSError):  # a network's file system may lock no directory, but then it tells who asks so as well
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def is_claimed(directory: Path) -> bool:
    """Whether somebody is at work in a directory; raises OSError where the file system cannot tell."""
    with _opened(directory) as descriptor:
        return not _taken(descriptor, fcntl.LOCK_EX)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, kind: int, place: Place) -> None:
    deadline = time.monotonic() + place.busy_timeout
    while not _taken(descriptor, kind):
        if time.monotonic() >= deadline:
            raise place.locked()
        time.sleep(_POLL_SECONDS)


def _taken(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

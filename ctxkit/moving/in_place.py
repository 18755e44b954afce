"""Re-embedding a collection where it is: the new one is made beside the old one and takes its place in one step.

<path>/<collection>/                     what is opened: the old one until the exchange, the new one from then on
<path>/.reembedding/<collection>/        the other one: the new one while it is made, for a moment the old one
<path>/.before-reembedding/<collection>/ the old one, until it is dropped

Killed at any moment, the folder opens as the old collection or as the new one, and the same command goes on. SQLite's
log belongs to a file by its name, so the exchange waits for nobody and is refused while anybody has the old one open.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from ctxkit.errors import CollectionNotFoundError, ConfigError, StoreLockedError, UnsupportedError
from ctxkit.interfaces import Embedder
from ctxkit.local import layout, schema
from ctxkit.local.faults import Place, guarded
from ctxkit.local.session import connected
from ctxkit.memory.kinds import ENGINE
from ctxkit.moving.moves import migrate
from ctxkit.moving.places import StorePlace
from ctxkit.moving.reembedding import Reembedding
from ctxkit.moving.report import MoveReport
from ctxkit.moving.settling import Order

MAKING: Final = ".reembedding"
KEPT: Final = ".before-reembedding"
_EXCHANGE: Final = 2  # RENAME_EXCHANGE, https://man7.org/linux/man-pages/man2/rename.2.html
_HERE: Final = -100  # AT_FDCWD
_PATIENCE: Final = 30.0  # seconds


def reembed(source: StorePlace, embedder: Embedder, order: Order) -> MoveReport:
    """Give every record of a collection of the engine's the vectors of an embedder; the old collection is kept.

    `report.old` says where. It may begin while others write, and then ends with StoreLockedError: once they have closed
    the collection, the same call embeds what is new and finishes. Raises UnsupportedError for another store, and where
    the system cannot exchange two folders; ConfigError while an earlier old collection is kept; otherwise as `migrate`.
    """
    root, own = _directory(source, order.collection)
    making, kept = root / MAKING / own.name, root / KEPT / own.name
    spec = source.existing(order.collection)
    if kept.exists() and (spec.fingerprint != embedder.fingerprint or making.exists()):
        raise ConfigError(
            f"{kept.parent} keeps the vectors of before an earlier re-embedding.",
            fix="see that all is well, then `ctxkit reembed --drop-old`.",
        )
    _check_exchange(root)
    here = replace(source, provider=ENGINE, options={"path": root})
    beside = replace(here, options={"path": making.parent})
    if spec.fingerprint != embedder.fingerprint:
        begun = beside.described(order.collection)
        if begun is not None and begun.fingerprint != embedder.fingerprint:
            raise ConfigError(
                "an earlier re-embedding with another model is not finished.",
                fix=f"give its --embedder again, or remove {making.parent}.",
            )
        report = migrate(here, beside, replace(order, ours=True), rule=Reembedding(embedder, spec))
        _take_place(own, making, Place(ENGINE, order.collection, own, _PATIENCE), report.version)
    elif making.exists() or kept.exists():
        report = MoveReport(
            here.title, beside.title, order.collection, spec.dimension, spec.metric, spec.fingerprint, runs=1
        )
        report.notes.append("The new vectors had taken their place already.")
    else:
        raise ConfigError(f"the vectors are those of {embedder.fingerprint} already.", fix="name another embedder.")
    layout.make(kept.parent)
    with guarded(Place(ENGINE, order.collection, root)):
        if not kept.exists():
            making.rename(kept)
            layout.sync(kept.parent)
        _tidy(making.parent)
    report.target, report.old = here.title, str(kept)
    return report


def drop_old(source: StorePlace, collection: str) -> Path:
    """Delete what a re-embedding has kept of a collection, and return where it was.

    Raises CollectionNotFoundError when nothing is kept.
    """
    root, own = _directory(source, collection)
    kept = root / KEPT / own.name
    if not kept.exists():
        raise CollectionNotFoundError(f"{root / KEPT} keeps nothing of {collection!r}.", fix="there is nothing to do.")
    old = replace(source, provider=ENGINE, options={"path": kept.parent})
    old.registry.store_class(ENGINE).drop_collection(old.config, collection)
    _tidy(kept.parent)
    return kept


def _directory(source: StorePlace, collection: str) -> tuple[Path, Path]:
    """Return the folder and the collection's own directory in it; raises UnsupportedError where the engine has none."""
    source.existing(collection)
    root = source.folder
    own = None if root is None else layout.collection_directory(root, collection)
    if root is None or own is None or not (own / layout.DATABASE).exists():
        raise UnsupportedError(
            f"{source.title} cannot be re-embedded where it is.",
            fix="name another store with --to.",
        )
    return root, own


def _take_place(own: Path, making: Path, place: Place, version: int | None) -> None:
    """Exchange the two directories while nobody can open either; raises StoreLockedError when somebody has."""
    with layout.root_lock(own.parent, place, exclusive=True), _alone(own / layout.DATABASE, place) as seq:
        if seq != version:
            raise StoreLockedError(
                "the collection was written to after its records were copied.", fix="run the same command again."
            )
        _exchange(own, making)
        layout.sync(own.parent)


@contextmanager
def _alone(database: Path, place: Place) -> Iterator[int]:
    """Hold a database that nobody else has open, without a log beside it; gives the number of its last write."""
    with connected(database, place, "full") as connection:
        try:
            with guarded(place):
                # Leaving the log's mode takes being the only one: https://www.sqlite.org/wal.html#persistence_of_wal_mode
                connection.execute("PRAGMA journal_mode = DELETE")
                connection.execute("BEGIN EXCLUSIVE")
        except StoreLockedError as exc:
            raise StoreLockedError(
                "somebody has the collection open; the new vectors are made, but not in their place yet.",
                fix="close whatever uses it, and run the same command again.",
                backend=exc.backend,
                collection=exc.collection,
            ) from exc
        yield schema.read_state(connection, place).seq
        connection.execute("ROLLBACK")


def _tidy(folder: Path) -> None:
    """Remove a folder of ours once it holds no collection any more."""
    place = Place(ENGINE, None, folder)
    if folder.exists() and not layout.collection_directories(folder, place):
        with guarded(place):
            shutil.rmtree(folder)
            layout.sync(folder.parent)


def _check_exchange(root: Path) -> None:
    """Try with two empty folders whether the system can do what is done at the end."""
    with guarded(Place(ENGINE, None, root)), tempfile.TemporaryDirectory(dir=root, prefix=".exchange-") as trial:
        left, right = Path(trial, "left"), Path(trial, "right")
        left.mkdir()
        right.mkdir()
        _exchange(left, right)


def _exchange(left: Path, right: Path) -> None:
    """Give two folders each other's name in one step."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None or call(_HERE, os.fsencode(left), _HERE, os.fsencode(right), _EXCHANGE):
        problem = "no renameat2" if call is None else os.strerror(ctypes.get_errno())
        raise UnsupportedError(
            f"two folders cannot be exchanged in {left.parent} ({problem}).",
            fix="name another store with --to.",
        )

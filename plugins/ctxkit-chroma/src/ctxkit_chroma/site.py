"""Chroma in use: one running per directory and process, one per collection in memory, one connection per handle.

A directory is locked for as long as anything of it is open here. `ctxkit/epoch.json` in it says in which state Chroma's
database was when we last closed it: whoever finds another one, or no such file, makes the sidecars anew.
`ctxkit/format.json` says which version wrote the directory; it is read before Chroma starts, which writes.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from ctxkit.errors import StoreUnavailableError
from ctxkit.interfaces import CollectionSpec
from ctxkit_chroma import naming
from ctxkit_chroma.client import Client
from ctxkit_chroma.companion import Ground
from ctxkit_chroma.config import ChromaConfig
from ctxkit_chroma.embedded import EmbeddedTable
from ctxkit_chroma.faults import BACKEND, Scene, guarded
from ctxkit_chroma.lease import lease, sweep
from ctxkit_chroma.lock import DirectoryLock
from ctxkit_chroma.remote import Connection, RemoteTable
from ctxkit_chroma.rows import Rows
from ctxkit_chroma.table import Table

OWN: Final = "ctxkit"  # our folder in Chroma's directory
DATABASE: Final = "chroma.sqlite3"
FORMAT: Final = "format.json"
_EPOCH: Final = "epoch.json"
_sites: dict[Path, Site] = {}
_sites_lock = threading.RLock()


class Site:
    """A running Chroma, or a connection to one, and the tables that are open in it."""

    def __init__(self, config: ChromaConfig, scene: Scene) -> None:
        self.config = config
        self.scene = scene
        self.users = 0
        self.process = os.getpid()
        self._tables: dict[str, EmbeddedTable] = {}
        self._opening = threading.RLock()
        self._touching = threading.Lock()
        self._lock: DirectoryLock | None = None
        self._touched = False
        self._epoch = uuid.uuid4().hex
        self._directory = None if config.path is None else config.path.absolute()
        with guarded(scene):
            if self._directory is not None:
                self._directory.mkdir(parents=True, exist_ok=True)
                self._lock = DirectoryLock(self._directory, scene, config.lock_timeout)
            try:
                self._check_format()
                self._read_epoch()
                self.client = Client(config)
            except BaseException:
                if self._lock is not None:
                    self._lock.release()
                raise
        _LIVING.add(self)

    def scene_of(self, name: str | None) -> Scene:
        """Return where errors of a collection happen."""
        return Scene(self.scene.where, name, self.scene.remote, self.scene.secrets)

    def check(self) -> None:
        """Refuse a running Chroma that this process was forked with: its threads are not here."""
        if self.process != os.getpid():
            raise StoreUnavailableError(
                "the handle was opened before this process was forked; Chroma's threads stayed behind.",
                fix="open the store after the fork, or use a server (`host`).",
                backend=BACKEND,
                collection=self.scene.collection,
            )

    def names(self) -> list[str]:
        """Return the names of our collections, sorted."""
        with guarded(self.scene):
            found = self.client.everything()
        ours = [(each.name, each.metadata) for each in found if naming.is_ours(each.metadata)]
        return sorted(_name_of(name, metadata, self.scene) for name, metadata in ours)

    def describe(self, name: str) -> CollectionSpec:
        """Return what a collection was made with."""
        scene = self.scene_of(name)
        with guarded(scene):
            found = self.client.find(naming.chroma_name(name))
        if found is None:
            raise scene.missing()
        table = self._tables.get(str(found.id))
        return naming.spec_of(found.metadata, scene) if table is None else table.spec

    def drop(self, name: str) -> None:
        """Delete a collection; handles on it learn it."""
        scene = self.scene_of(name)
        with guarded(scene):
            found = self.client.find(naming.chroma_name(name))
        if found is None or not naming.is_ours(found.metadata):
            raise scene.missing()
        key = str(found.id)
        with self._opening:
            table = self._tables.pop(key, None)
            if table is not None:
                table.drop()
            self.touch()
            with guarded(scene):
                self.client.drop(found.name)
        if self.config.mode == "server":
            sweep(self.client, key, scene)
        if self._directory is not None:
            with suppress(OSError):
                self._sidecar(key).unlink(missing_ok=True)

    def table(self, asked: CollectionSpec, config: ChromaConfig) -> Table:
        """Open a collection, making it, as the opener's configuration says, when it does not exist."""
        scene = self.scene_of(asked.name)
        rows, stored = self._found(asked, scene, config)
        table = self._opened(rows, stored, scene, asked.name)
        try:
            table.run(lambda: table.adopt(asked))
        except BaseException:
            self.release(table)
            raise
        return table

    def release(self, table: Table) -> None:
        """Let go of a table that one handle had open."""
        with self._opening:
            table.release()

    def touch(self) -> None:
        """Say that files are going to change: whoever finds them after a crash must not trust a sidecar."""
        if self._directory is None:
            return
        with self._touching, guarded(self.scene):
            if not self._touched:
                (self._directory / OWN).mkdir(exist_ok=True)
                self._write(FORMAT, {"format": naming.FORMAT_VERSION})
                (self._directory / OWN / _EPOCH).unlink(missing_ok=True)
                self._touched = True

    def stop(self) -> None:
        """Close Chroma, leave a word about the state of its files, and let others in."""
        _LIVING.discard(self)
        try:
            with guarded(self.scene):
                self.client.stop()
                self._write_epoch()
        finally:
            if self._lock is not None:
                self._lock.release()

    def abandon(self) -> None:
        """Leave everything to the process that this one was forked from."""
        if self._lock is not None:
            self._lock.abandon()

    def _found(self, asked: CollectionSpec, scene: Scene, config: ChromaConfig) -> tuple[Rows, CollectionSpec]:
        """Return the collection and what it was made with; of several makers at once, one makes it."""
        name = naming.chroma_name(asked.name)
        made = (name, naming.SPACES[asked.metric], naming.described(asked), config)
        with guarded(scene):
            found = self.client.find(name)
            if found is None:
                self.touch()
                with suppress(Exception):
                    self.client.create(*made)
                found = self.client.find(name)
            if found is None:
                found = self.client.create(*made)
        return Rows(found, scene, lists=self.client.has_lists), naming.spec_of(found.metadata, scene)

    def _opened(self, rows: Rows, stored: CollectionSpec, scene: Scene, name: str) -> Table:
        if self.config.mode == "server":
            connection = Connection(
                lambda: self._reconnected(name, scene),
                lambda key: lease(self.client, key, scene, self.config.timeout),
                lambda: self.client.max_batch,
            )
            return RemoteTable(rows, stored, scene, connection)
        key = rows.key
        with self._opening:
            if key not in self._tables:
                file = None if self._directory is None else self._sidecar(key)
                database = None if self._directory is None else self._directory / DATABASE
                ground = Ground(file, database, self._epoch, self.touch)
                self._tables[key] = EmbeddedTable(rows, stored, scene, ground, lambda: self._tables.pop(key, None))
            table = self._tables[key]
            table.users += 1
            return table

    def _reconnected(self, name: str, scene: Scene) -> Rows:
        with guarded(scene):
            if self.process != os.getpid():
                self.client = Client(self.config)
                self.process = os.getpid()
            found = self.client.find(naming.chroma_name(name))
        if found is None:
            raise scene.gone()
        return Rows(found, scene, lists=self.client.has_lists)

    def _sidecar(self, key: str) -> Path:
        assert self._directory is not None  # noqa: S101 - asked of embedded sites alone
        return self._directory / OWN / f"{key}.db"

    def _read_epoch(self) -> None:
        if self._directory is None:
            return
        try:
            content = json.loads((self._directory / OWN / _EPOCH).read_bytes())
            if content["state"] == self._state():
                self._epoch = str(content["epoch"])
        except (OSError, ValueError, KeyError, TypeError):
            return

    def _write_epoch(self) -> None:
        if self._directory is not None and self._touched:
            self._write(_EPOCH, {"epoch": self._epoch, "state": self._state()})

    def _check_format(self) -> None:
        if self._directory is None:
            return
        try:
            content = json.loads((self._directory / OWN / FORMAT).read_bytes())
            version = content["format"]
        except (OSError, ValueError, KeyError, TypeError):
            return  # each collection says it as well
        naming.check_format(version, self.scene)

    def _write(self, name: str, content: dict[str, Any]) -> None:
        """Write a file of ours so that a reader finds the old one or the new one, whole."""
        assert self._directory is not None  # noqa: S101 - asked of embedded sites alone
        temporary = self._directory / OWN / f"{name}.tmp"
        temporary.write_text(json.dumps(content), encoding="utf-8")
        temporary.replace(self._directory / OWN / name)

    def _state(self) -> list[int]:
        """Return what tells one state of Chroma's database from another; nothing may have it open."""
        assert self._directory is not None  # noqa: S101 - asked of embedded sites alone
        found = (self._directory / DATABASE).stat()
        return [found.st_size, found.st_mtime_ns]


_LIVING: weakref.WeakSet[Site] = weakref.WeakSet()
_ABANDONED: list[Site] = []  # never freed: stopping a Chroma whose threads are elsewhere would wait for ever


def enter(config: ChromaConfig) -> Site:
    """Return the site of a configuration, started where it is not; `leave` has to follow."""
    scene = scene_of(config)
    if config.path is None:
        site = Site(config, scene)
        site.users += 1
        return site
    key = config.path.resolve()  # one directory may have several names
    with _sites_lock:
        if key not in _sites:
            _sites[key] = Site(config, scene)
        site = _sites[key]
        site.users += 1
        return site


def leave(site: Site) -> None:
    """Let go of a site; the last one stops it."""
    if site.process != os.getpid():
        return
    with _sites_lock:
        site.users -= 1
        if site.users:
            return
        for key in [key for key, each in _sites.items() if each is site]:
            del _sites[key]
        site.stop()


@contextmanager
def visited(config: ChromaConfig) -> Iterator[Site]:
    """Use a site for a moment."""
    site = enter(config)
    try:
        yield site
    finally:
        leave(site)


def scene_of(config: ChromaConfig, name: str | None = None) -> Scene:
    """Return where errors of a configuration happen, and the words that none may hold."""
    if config.host is not None:
        secrets = tuple(value.get_secret_value() for value in config.headers.values())
        if config.token is not None:
            secrets += (config.token.get_secret_value(),)
        return Scene(f"the server {config.host}:{config.port}", name, remote=True, secrets=tuple(filter(None, secrets)))
    return Scene("memory" if config.path is None else str(config.path), name)


def _name_of(name: str, metadata: Any, scene: Scene) -> str:
    """Return the user's name of a collection; one of another format has at least that of Chroma's."""
    with suppress(Exception):
        return naming.spec_of(metadata, scene).name
    return name


def _before_fork() -> None:
    _sites_lock.acquire()


def _after_fork_in_parent() -> None:
    _sites_lock.release()


def _after_fork_in_child() -> None:
    global _sites_lock  # noqa: PLW0603 - a lock that another thread held is nobody's here
    _sites_lock = threading.RLock()
    for site in list(_LIVING):
        if site.config.mode != "server":
            _ABANDONED.append(site)
            site.abandon()
    _sites.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)

"""A collection on a server, which other clients write to: nothing is kept here that could grow stale.

Filters are handed to Chroma as far as it can say them; what comes is compared with the reference evaluator.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from ctxkit.errors import UnsupportedError
from ctxkit.filters import And, Filter, matches
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import FloatVectors, RecordBatch
from ctxkit_chroma import codec, naming
from ctxkit_chroma.faults import BACKEND, Scene
from ctxkit_chroma.habits import Habits
from ctxkit_chroma.pushdown import pushed
from ctxkit_chroma.remote_nearest import RemoteNearest
from ctxkit_chroma.rows import Row, Rows
from ctxkit_chroma.scoring import Found
from ctxkit_chroma.table import Table, check_limit

ResultT = TypeVar("ResultT")


class Connection:
    """What a remote table needs of its site: a connection of this process's own, and the lock between clients."""

    def __init__(
        self, connect: Callable[[], Rows], lease: Callable[[str], Any], limit: Callable[[], int | None]
    ) -> None:
        self.connect = connect
        self.lease = lease
        self.limit = limit


class RemoteTable(Table):
    """A collection on a server; each handle has its own."""

    def __init__(self, rows: Rows, spec: CollectionSpec, scene: Scene, connection: Connection) -> None:
        super().__init__(rows, spec, scene)
        self._connection = connection
        self._process = os.getpid()
        self._key = rows.key
        self._deleting = threading.Lock()
        self._habits = Habits()

    @property
    def rows(self) -> Rows:
        """Chroma's collection; a forked process gets a connection of its own."""
        if self._process != os.getpid():
            rows = self._connection.connect()
            if rows.key != self._key:
                raise self.scene.gone()
            # The process last: whoever sees it takes the others for its own.
            self._deleting, self._rows, self._process = threading.Lock(), rows, os.getpid()
        return self._rows

    def run(self, call: Callable[[], ResultT]) -> ResultT:
        """Call something; each of Chroma's answers is of one state, several need not be of the same."""
        return call()

    def upsert(self, batch: RecordBatch) -> None:
        """Write a checked batch; keys of replaced records that the new ones have not are removed."""
        check_limit(len(batch.ids), self._connection.limit(), self.scene)
        if not batch.ids:
            self.rows.count()
            return
        metadata = [dict(item) for item in batch.metadata or ()]
        vectors, exact = codec.stored_vectors(np.asarray(batch.vectors, dtype=np.float32), self.spec.metric)
        packs = codec.packed(metadata, exact)
        old = self.rows.keys(batch.ids)
        items = [
            {**dict.fromkeys(old.get(record_id, ())), **self.rows.native(item, pack)}
            for record_id, item, pack in zip(batch.ids, metadata, packs, strict=True)
        ]
        self.rows.write(batch.ids, vectors, list(batch.texts or ()), items)

    def delete(self, ids: Sequence[str] | None, node: Filter | None) -> int:
        """Delete what exists, one client at a time, so that each record is counted by one of them.

        Threads of one handle wait here for one another, which costs less than to wait at the server; and ids of which
        none exists need no lock at all.
        """
        rows = self.rows  # before the locks: a forked process connects anew here
        with self._deleting:
            if node is None and not rows.existing(list(dict.fromkeys(ids or ()))):
                return 0
            with self._connection.lease(self._key):
                going = self._going(ids, node)
                rows.remove(going)
        return len(going)

    def count(self, node: Filter) -> int:
        """Return how many records pass."""
        return self.rows.count() if node == And(()) else len(self.select(node))

    def select(self, node: Filter) -> list[str]:
        """Return the ids of the records that pass."""
        if node == And(()):
            return self.rows.ids()
        down = pushed(node)
        if down.nothing:
            self.rows.count()  # a dropped collection is an error here as well
            return []
        return [record_id for record_id, metadata in self.rows.metadata(down.where) if matches(node, metadata)]

    def values_of(self, field: str, ids: Sequence[str]) -> dict[str, Any]:
        """Return the value of a field in each of these records that has one."""
        wanted = set(ids)
        found = {}
        for record_id, metadata in self.rows.metadata():
            if record_id in wanted and field in metadata:
                found[record_id] = metadata[field]
        return found

    def fetch(self, ids: Iterable[str], *, with_vectors: bool) -> dict[str, Row]:
        """Return records as Chroma has them."""
        return self.rows.fetch(ids, with_vectors=with_vectors)

    def nearest(
        self, queries: FloatVectors, k: int, node: Filter, *, with_vectors: bool
    ) -> list[list[tuple[Found, Row]]]:
        """Return the nearest of each query with their rows."""
        down = pushed(node)
        if down.nothing or not len(queries):
            self.rows.count()
            return [[] for _ in queries]
        search = RemoteNearest(self.rows, self.spec, queries, node, vectors=with_vectors)
        return search.search(k, down, self._habits, lambda: self.select(node))

    def by_words(self, text: str, k: int, node: Filter) -> list[Found]:  # noqa: ARG002 - nothing is searched
        """Refuse: an index of words kept here could not follow the server's other clients."""
        raise UnsupportedError(
            "text search is not supported on a server.",
            fix="use Chroma embedded (path), or another backend with text_search.",
            backend=BACKEND,
            collection=self.scene.collection,
        )

    def tidy(self) -> None:
        """Ask whether the collection is there; the server looks after itself."""
        self.rows.count()

    def problems(self) -> list[str]:
        """Ask whether the collection is there; Chroma has no way of checking what is stored."""
        self.rows.count()
        return []

    def details(self) -> dict[str, Any]:
        """Return nothing: all is at the server."""
        return {}

    def wrongly_typed(self, fields: Sequence[str]) -> Iterable[tuple[str, str, Any]]:
        """Yield each value of these fields."""
        for record_id, metadata in self.rows.metadata():
            yield from ((record_id, field, metadata[field]) for field in fields if field in metadata)

    def release(self) -> None:
        """Do nothing: the connection belongs to the site."""

    def current(self) -> CollectionSpec:
        """Return what the collection says of itself now, which other clients change."""
        return naming.spec_of(self._connection.connect().collection.metadata, self.scene)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let other clients wait that change what the collection says of itself, and those that delete."""
        with self._connection.lease(self._key):
            yield

    def _going(self, ids: Sequence[str] | None, node: Filter | None) -> list[str]:
        """Return the ids of the records that are to be deleted."""
        if node is None:
            return self.rows.existing(list(dict.fromkeys(ids or ())))
        found = self.select(node)
        wanted = None if ids is None else set(ids)
        return found if wanted is None else [record_id for record_id in found if record_id in wanted]

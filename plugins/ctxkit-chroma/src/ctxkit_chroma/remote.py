"""A collection on a server, which other clients write to: nothing is kept here that could grow stale.

Filters are handed to Chroma as far as it can say them; what comes is compared with the reference evaluator.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import numpy as np

from ctxkit.errors import UnsupportedError
from ctxkit.filters import And, Filter, matches
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import FloatVectors, RecordBatch
from ctxkit_chroma import codec
from ctxkit_chroma.faults import BACKEND, Scene
from ctxkit_chroma.pushdown import Pushed, pushed
from ctxkit_chroma.rows import Row, Rows, hit_rows, pages
from ctxkit_chroma.scoring import Found, as_matrix, best, is_stuck, merged
from ctxkit_chroma.table import Table, check_limit, passing

ResultT = TypeVar("ResultT")
_MOST_FETCHED: Final = 2000
_GROWTH: Final = 6
_PAGE: Final = 1000
_COPIES: Final = 10  # of one vector among the hits: the graph may have met nothing else
_LEAST: Final = 10


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

    @property
    def rows(self) -> Rows:
        """Chroma's collection; a forked process gets a connection of its own."""
        if self._process != os.getpid():
            rows = self._connection.connect()
            if rows.key != self._key:
                raise self.scene.gone()
            self._rows, self._process, self._deleting = rows, os.getpid(), threading.Lock()
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
        return [record_id for record_id, pack in self.rows.packs(down.where) if matches(node, codec.unpacked(pack)[0])]

    def values_of(self, field: str, ids: Sequence[str]) -> dict[str, Any]:
        """Return the value of a field in each of these records that has one."""
        wanted = set(ids)
        found = {}
        for record_id, pack in self.rows.packs():
            metadata = codec.unpacked(pack)[0]
            if record_id in wanted and field in metadata:
                found[record_id] = metadata[field]
        return found

    def fetch(self, ids: Iterable[str], *, with_vectors: bool) -> dict[str, Row]:
        """Return records as Chroma has them."""
        return self.rows.fetch(ids, with_vectors=with_vectors)

    def nearest(
        self, queries: FloatVectors, k: int, node: Filter, *, with_vectors: bool
    ) -> list[list[tuple[Found, Row]]]:
        """Return the nearest of each query with their rows, from one answer where that has enough.

        Vectors are most of what goes over the wire. Under cosine Chroma's distances are as good, so they stay there
        unless they are asked for.
        """
        down = pushed(node)
        if down.nothing or not len(queries):
            self.rows.count()
            return [[] for _ in queries]
        scores = ["distances"] if self.spec.metric == "cosine" and not with_vectors else ["embeddings"]
        found = self._near(queries, k, node, down, scores)
        short = [number for number, hits in enumerate(found) if len(hits) < k]
        stuck = [number for number, hits in enumerate(found) if is_stuck([hit for hit, _ in hits], 0, _COPIES)]
        if short or stuck:
            self._complete(queries, k, node, found, short, stuck)
        return [hits[:k] for hits in found]

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
        for record_id, pack in self.rows.packs():
            metadata = codec.unpacked(pack)[0]
            yield from ((record_id, field, metadata[field]) for field in fields if field in metadata)

    def release(self) -> None:
        """Do nothing: the connection belongs to the site."""

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Nothing surrounds a change."""
        yield

    def _going(self, ids: Sequence[str] | None, node: Filter | None) -> list[str]:
        """Return the ids of the records that are to be deleted."""
        if node is None:
            return self.rows.existing(list(dict.fromkeys(ids or ())))
        found = self.select(node)
        wanted = None if ids is None else set(ids)
        return found if wanted is None else [record_id for record_id in found if record_id in wanted]

    def _near(
        self, queries: FloatVectors, k: int, node: Filter, down: Pushed, scores: list[str]
    ) -> list[list[tuple[Found, Row]]]:
        """Ask Chroma for more and more until enough of what comes passes, or it has no more."""
        asked = codec.asked_vectors(queries, self.spec.metric)
        found: list[list[tuple[Found, Row]]] = [[] for _ in queries]
        open_ = list(range(len(queries)))
        least = max(k, _LEAST)
        # Nearly all of what Chroma was told to look for will pass; of anything else perhaps half.
        size = least if down.where is not None or node == And(()) else 2 * least
        while open_:
            include = ["metadatas", "documents", *scores]
            answer = self.rows.near(asked[open_], size, include=include, where=down.where)
            rest = []
            ended = False
            for place, number in enumerate(open_):
                rows = hit_rows(answer, place)
                found[number] = (
                    self._scored(queries[number], passing(node, rows), least)
                    if answer["distances"] is None
                    else _by_distance(answer["distances"][place], rows, node)
                )
                if len(found[number]) < k:
                    rest.append(number)
                    ended = ended or len(rows) < size
            if ended or size >= _MOST_FETCHED:
                break
            open_, size = rest, min(size * _GROWTH, _MOST_FETCHED)
        return found

    def _complete(
        self,
        queries: FloatVectors,
        k: int,
        node: Filter,
        found: list[list[tuple[Found, Row]]],
        short: list[int],
        stuck: list[int],
    ) -> None:
        """Score every record that passes, where that may find more or better ones than were found."""
        ids = self.select(node)
        short = [number for number in short if len(found[number]) < min(k, len(ids))]
        short += [number for number in stuck if is_stuck([hit for hit, _ in found[number]], len(ids), _COPIES)]
        if not short:
            return
        for number in short:
            found[number] = []
        for page in pages(ids, _PAGE):
            rows = passing(node, self.rows.fetch(page, with_vectors=True).values())
            for number in short:
                both = {hit.id: (hit, row) for hit, row in (*found[number], *self._scored(queries[number], rows, k))}
                found[number] = [both[hit.id] for hit in merged((hit for hit, _ in both.values()), k)]

    def _scored(self, query: Any, rows: list[Row], k: int) -> list[tuple[Found, Row]]:
        by_id = {row.id: row for row in rows}
        matrix = as_matrix([row.vector for row in by_id.values()], self.spec.dimension)
        return [(hit, by_id[hit.id]) for hit in best(query, list(by_id), matrix, self.spec.metric, k)]


def _by_distance(distances: Sequence[float], rows: Sequence[Row], node: Filter) -> list[tuple[Found, Row]]:
    """Return the rows that pass, scored under cosine by what Chroma says, best first."""
    scored = [
        (Found(row.id, codec.cosine_of(distance)), row)
        for row, distance in zip(rows, distances, strict=True)
        if matches(node, row.metadata)
    ]
    return sorted(scored, key=lambda each: (-each[0].score, each[0].id))

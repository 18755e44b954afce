"""A collection of the Chroma in this process: one for all handles, with a sidecar in step with it.

Nobody else writes - the directory is locked -, so filters are evaluated in memory instead of in Chroma's SQLite, whose
filtered search takes ten times as long, and words are found as ctxkit's own engine finds them.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, TypeVar

import numpy as np

from ctxkit.errors import StoreCorruptError
from ctxkit.filters import And, Filter
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import FloatVectors, RecordBatch
from ctxkit_chroma import codec, room
from ctxkit_chroma.companion import Companion, Ground
from ctxkit_chroma.faults import Scene
from ctxkit_chroma.nearest import Nearest
from ctxkit_chroma.rows import Row, Rows
from ctxkit_chroma.scoring import Found, merged
from ctxkit_chroma.sidecar import Stored
from ctxkit_chroma.table import Table

ResultT = TypeVar("ResultT")
_WORD_PAGE: Final = 256
_NO_VECTORS: Final = np.zeros((0, 1), dtype=np.float32)


class EmbeddedTable(Table):
    """A collection and its sidecar, shared by the handles of this process."""

    def __init__(
        self, rows: Rows, spec: CollectionSpec, scene: Scene, ground: Ground, closed: Callable[[], object]
    ) -> None:
        super().__init__(rows, spec, scene)
        self.users = 0
        self._lock = threading.RLock()
        self._dropped = False
        self._closed = closed
        self._companion = Companion(rows, ground, scene)
        self._file = ground.sidecar

    def run(self, call: Callable[[], ResultT]) -> ResultT:
        """Call something alone; a sidecar that turns out to be damaged is made anew, and the call made again."""
        with self._lock:
            self._prepare()
            try:
                return call()
            except sqlite3.Error:
                self._companion.forget()
            self._prepare()
            try:
                return call()
            except sqlite3.Error as error:
                raise self._companion.fault(error) from error

    def upsert(self, batch: RecordBatch) -> None:
        """Write a checked batch to both; Chroma's word is what counts."""
        if not batch.ids:
            return
        companion = self._companion
        metadata = [dict(item) for item in batch.metadata or ()]
        texts = list(batch.texts or ())
        vectors, exact = codec.stored_vectors(np.asarray(batch.vectors, dtype=np.float32), self.spec.metric)
        packs = codec.packed(metadata, exact)
        companion.check_room(room.needed(texts, packs, vectors))
        old = companion.sidecar.fetch(companion.mirror.known(batch.ids))
        items = [
            self._item(item, pack, old.get(record_id))
            for record_id, item, pack in zip(batch.ids, metadata, packs, strict=True)
        ]
        with companion.changing() as sidecar:
            sidecar.remove(old.values())
            labels = sidecar.insert(batch.ids, packs, texts)
            companion.in_chroma(lambda: self.rows.write(batch.ids, vectors, texts, items))
        if companion.is_ready:
            companion.mirror.add(labels, list(batch.ids), metadata)

    def delete(self, ids: Sequence[str] | None, node: Filter | None) -> int:
        """Delete from both."""
        companion = self._companion
        going = companion.mirror.known(ids or ()) if node is None else self.select(node)
        if node is not None and ids is not None:
            wanted = set(ids)
            going = [record_id for record_id in going if record_id in wanted]
        if not going:
            return 0
        companion.check_room(room.needed((), going, _NO_VECTORS))
        with companion.changing() as sidecar:
            sidecar.remove(sidecar.fetch(going).values())
            companion.in_chroma(lambda: self.rows.remove(going))
        if companion.is_ready:
            companion.mirror.remove(going)
        return len(going)

    def count(self, node: Filter) -> int:
        """Return how many records pass."""
        mirror = self._companion.mirror
        return len(mirror) if node == And(()) else int(np.count_nonzero(mirror.mask(node)))

    def select(self, node: Filter) -> list[str]:
        """Return the ids of the records that pass, in the order of writing."""
        mirror = self._companion.mirror
        return mirror.selected(mirror.mask(node))

    def values_of(self, field: str, ids: Sequence[str]) -> dict[str, Any]:
        """Return the values of a column."""
        return self._companion.mirror.values_of(field, ids)

    def fetch(self, ids: Iterable[str], *, with_vectors: bool) -> dict[str, Row]:
        """Return records: text and metadata from the sidecar, vectors from Chroma."""
        known = self._companion.mirror.known(ids)
        stored = self._companion.sidecar.fetch(known)
        found: dict[str, Row] = {}
        for record_id in known:
            _, _, pack, text = stored[record_id]
            metadata, exact = codec.unpacked(pack, record_id, self.scene)
            found[record_id] = Row(record_id, text, metadata, exact if with_vectors else None)
        if with_vectors:
            self._add_vectors([row for row in found.values() if row.vector is None])
        return found

    def nearest(
        self, queries: FloatVectors, k: int, node: Filter, *, with_vectors: bool
    ) -> list[list[tuple[Found, Row]]]:
        """Search by Chroma's graph, and exactly where few records pass or the graph finds too few."""
        found = Nearest(self.rows, self._companion, self.spec, queries).search(k, node)
        rows = self.fetch((hit.id for hits in found for hit in hits), with_vectors=with_vectors)
        return [[(hit, rows[hit.id]) for hit in hits] for hits in found]

    def by_words(self, text: str, k: int, node: Filter) -> list[Found]:
        """Walk the ranking until k records that pass, and all that tie with the k-th, are found."""
        mirror = self._companion.mirror
        mask = mirror.mask(node)
        found: list[Found] = []
        ranking = self._companion.sidecar.ranked(text)
        while page := list(islice(ranking, _WORD_PAGE)):
            for label, score in page:
                if len(found) >= k and score < found[-1].score:
                    return merged(found, k)
                row = mirror.row_of_label(label)
                if row is not None and mask[row]:
                    found.append(Found(mirror.ids[row], score))
        return merged(found, k)

    def tidy(self) -> None:
        """Make the sidecar compact; a damaged one is made anew."""
        if self._companion.sidecar.is_sound(len(self._companion.mirror)):
            self._companion.sidecar.tidy()
        else:
            self._companion.forget()
            self._prepare()

    def problems(self) -> list[str]:
        """Compare Chroma's ids with the sidecar's, and look at the index of words."""
        found = []
        stored = self.rows.ids()
        known = set(self.select(And(())))
        if len(stored) != len(known) or set(stored) != known:
            found.append(
                f"Chroma holds {len(stored)} records, the sidecar {len(known)}: another program wrote to the directory."
                " Close the store and open it again; the sidecar is then made anew."
            )
        if not self._companion.sidecar.is_sound(len(known)):
            found.append("the index of words is damaged: call `optimize()` on the store.")
        return found

    def details(self) -> dict[str, Any]:
        """Return what the sidecar takes."""
        mirror = self._companion.mirror
        file = self._companion.sidecar.file
        return {
            "sidecar": None if file is None else str(file),
            "columns": mirror.columns.names,
            "tombstones": len(mirror.ids) - len(mirror),
            "bytes_in_memory": mirror.nbytes,
        }

    def wrongly_typed(self, fields: Sequence[str]) -> Iterable[tuple[str, str, Any]]:
        """Yield each distinct value of these fields."""
        return self._companion.mirror.distinct(fields)

    def release(self) -> None:
        """Close the sidecar when the last handle lets go."""
        with self._lock:
            self.users -= 1
            if not self.users:
                self._companion.close()
                self._closed()

    def drop(self) -> None:
        """Mark the collection as dropped, for every handle, and delete the sidecar."""
        with self._lock:
            self._dropped = True
            self._companion.forget()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Say that Chroma's files will change."""
        self._companion.touch()
        yield

    def _prepare(self) -> None:
        if self._dropped:
            raise self.scene.gone()
        self._companion.ready(self.spec)

    def _item(self, metadata: dict[str, Any], pack: str, old: Stored | None) -> codec.Native:
        """Return what Chroma gets; it merges metadata, and a key is removed by giving it None."""
        made = self.rows.native(metadata, pack)
        if old is None:
            return made
        try:
            keys: Iterable[str] = self.rows.native(codec.unpacked(old[2], old[1], self.scene)[0], "")
        except StoreCorruptError:
            keys = self.rows.keys([old[1]]).get(old[1], ())  # what was written over is written anew
        return {**dict.fromkeys(keys), **made}

    def _add_vectors(self, rows: list[Row]) -> None:
        by_id = {row.id: row for row in rows}
        for part, vectors in self.rows.vectors(list(by_id)):
            for record_id, vector in zip(part, vectors, strict=True):
                by_id[record_id].vector = vector.copy()
        lost = [row.id for row in rows if row.vector is None]
        if lost:
            raise self.scene.corrupt(f"it has lost the vectors of {len(lost)} records, of {lost[0]!r} for one")

"""What one handle holds in memory: which records there are, their vectors' index and the columns of filters.

A view is true to one sequence number of the database. It follows others' writes by replaying the change log.
Rows stand in label order; a removed row stays as a tombstone until the view is loaded anew.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from threading import Lock

import numpy as np
import numpy.typing as npt

from ctxkit.filters import And, Filter
from ctxkit.local import rows
from ctxkit.local.adoption import Adoption
from ctxkit.local.arrays import Growing
from ctxkit.local.column import Column
from ctxkit.local.columns import Columns, fields_of
from ctxkit.local.index import Mask, Slots, longest_of
from ctxkit.local.kept_texts import KeptTexts, Texts
from ctxkit.local.layers import Layers
from ctxkit.local.postings import Words
from ctxkit.local.schema import ADDED, REMOVED, State
from ctxkit.local.segment import Segment
from ctxkit.local.selections import Selection, Selections
from ctxkit.records import FloatVectors, Metadata

_TOMBSTONES_KEPT = 1024
_TOMBSTONE_SHARE = 0.3
_BYTES_PER_ID = 150  # a str of some twenty characters, its place in a list and in a dict


class View:
    """The state of a collection at sequence number `seq`."""

    def __init__(self, index: Layers, declared: Iterable[str]) -> None:
        self.seq = 0
        self.index = index
        self.columns = Columns(declared)
        self.damaged: dict[int, str] = {}
        self.lost = 0
        self.longest = 0.0
        self.ids: list[str] = []
        self._row_of: dict[str, int] = {}
        self.words = Words()
        self.texts = KeptTexts()
        self._selections = Selections()
        self._labels = Growing(np.int64)
        self._alive = Growing(np.bool_)
        self._sums = Growing(np.uint32)
        self._slot_of_row = Growing(np.int64)
        self._row_of_slot = Growing(np.int64)
        self._row_of_slot.extend(np.full(index.size, -1))

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def size(self) -> int:
        """Rows held, tombstones included."""
        return len(self.ids)

    @property
    def alive(self) -> Mask:
        """Which rows are no tombstones."""
        return self._alive.values

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """The label of each row, ascending."""
        return self._labels.values

    @property
    def worn(self) -> bool:
        """Whether so many tombstones have piled up that loading anew is worth it."""
        dead = self.size - len(self)
        return dead > _TOMBSTONES_KEPT and dead > _TOMBSTONE_SHARE * self.size

    @property
    def nbytes(self) -> int:
        """Bytes of memory held, the ids by estimate."""
        arrays = (self._labels, self._alive, self._sums, self._slot_of_row, self._row_of_slot)
        kept = (self.index, self.columns, self._selections, self.words, self.texts)
        return sum(part.nbytes for part in (*arrays, *kept)) + _BYTES_PER_ID * self.size

    def row(self, record_id: str) -> int | None:
        """Return the row of a record, None where there is none."""
        return self._row_of.get(record_id)

    def label(self, record_id: str) -> int | None:
        """Return the label of a record, damaged ones included, None where there is none."""
        row = self._row_of.get(record_id)
        if row is not None:
            return int(self.labels[row])
        return next((label for label, shown in self.damaged.items() if shown == record_id), None)

    def labels_of(self, ids: Iterable[str]) -> list[int]:
        """Return the labels of those records that there are, damaged ones included."""
        if self.damaged:
            return [label for name in ids if (label := self.label(name)) is not None]
        rows_ = [row for name in ids if (row := self._row_of.get(name)) is not None]
        found: list[int] = self.labels[rows_].tolist()
        return found

    def rows_of(self, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the live rows of those labels that have one, in the order of the labels."""
        if not self.size:
            return np.zeros(0, dtype=np.int64)
        places = np.minimum(np.searchsorted(self.labels, labels), self.size - 1)
        found = (self.labels[places] == labels) & self.alive[places]
        live: npt.NDArray[np.int64] = places[found].astype(np.int64)
        return live

    def add(
        self,
        labels: Sequence[int],
        ids: Sequence[str],
        present: npt.NDArray[np.bool_],
        vectors: FloatVectors,
        sums: Sequence[int],
        metadata: Callable[[], Sequence[Metadata]],
    ) -> None:
        """Append rows; `vectors` and `sums` have one for each in `present`. `metadata` is asked for if needed."""
        slots = self.index.add(vectors)
        if len(vectors):
            self.longest = max(self.longest, longest_of(vectors))
        self._extend(labels, ids, present, slots, sums, metadata)

    def _extend(
        self,
        labels: Sequence[int],
        ids: Sequence[str],
        present: npt.NDArray[np.bool_],
        slots: Slots,
        sums: Sequence[int],
        metadata: Callable[[], Sequence[Metadata]],
    ) -> None:
        """Append rows whose vectors are at `slots`, one for each row marked in `present`."""
        first = self.size
        self._row_of_slot.extend(np.full(self.index.size - len(self._row_of_slot), -1))
        self._row_of_slot.values[slots] = first + np.flatnonzero(present)
        own_slots, own_sums = np.full(len(ids), -1, dtype=np.int64), np.zeros(len(ids), dtype=np.uint32)
        own_slots[present], own_sums[present] = slots, sums
        if len(self.columns):
            self.columns.extend(metadata())
        self._labels.extend(labels)
        self._alive.extend(np.ones(len(ids), dtype=np.bool_))
        self._slot_of_row.extend(own_slots)
        self._sums.extend(own_sums)
        self.ids.extend(ids)
        self._row_of.update(zip(ids, range(first, first + len(ids)), strict=True))

    def remove(self, labels: npt.NDArray[np.int64]) -> None:
        """Turn the rows of these labels into tombstones; labels without a row are ignored."""
        if self.damaged:
            for label in labels.tolist():
                self.damaged.pop(label, None)
        rows_ = self.rows_of(labels)
        self.texts.forget(self.labels[rows_].tolist())
        self.alive[rows_] = False
        for row in rows_.tolist():
            # A replaced record's id already points at its new row.
            if self._row_of.get(self.ids[row]) == row:
                del self._row_of[self.ids[row]]
        slots = self._slot_of_row.values[rows_]
        slots = slots[slots >= 0]
        if len(slots):
            self.index.remove(slots)
        self._selections.remove(rows_, slots)

    def passing(self, connection: sqlite3.Connection, node: Filter) -> npt.NDArray[np.int64]:
        """Return the rows that pass the filter and are no tombstones, ascending."""
        if node == And(()):
            return np.flatnonzero(self.alive)
        self._load_columns(connection, fields_of(node))
        rows_ = self.columns.few(node, self.size)
        if rows_ is None:
            return np.flatnonzero(self.columns.mask(node, self.size) & self.alive)
        return rows_[self.alive[rows_]]

    def selection(self, connection: sqlite3.Connection, node: Filter) -> Selection:
        """Return what passes the filter; that of the last few filters is kept, and follows the view."""
        self._load_columns(connection, fields_of(node))

        def passing(first: int) -> npt.NDArray[np.int64]:
            if not first:
                return self.passing(connection, node)
            fresh = np.arange(first, self.size)
            return fresh[self.columns.mask(node, self.size, fresh) & self.alive[fresh]]

        return self._selections.of(self.columns.key(node), self._slot_of_row.values, self.index.size, passing)

    def column(self, connection: sqlite3.Connection, field: str) -> Column:
        """Return the column of a field, loading it first where needed."""
        self._load_columns(connection, [field])
        return self.columns.column(field)

    def rows_of_slots(self, slots: Slots) -> npt.NDArray[np.int64]:
        """Return the rows of slots."""
        found: npt.NDArray[np.int64] = self._row_of_slot.values[slots]
        return found

    def vectors(self, rows_: npt.NDArray[np.int64]) -> FloatVectors:
        """Return the vectors of rows that have one, as they are kept: under cosine times a power of two."""
        return self.index.rows_at(self._slot_of_row.values[rows_])

    def ids_of(self, labels: Collection[int]) -> list[str]:
        """Return the ids of labels that have rows, in the order of writing."""
        return [self.ids[row] for row in np.flatnonzero(np.isin(self.labels, list(labels))).tolist()]

    def sums_of(self, rows_: Sequence[int]) -> list[int | None]:
        """Return the checksum of each row's vector, None where it has none."""
        own, slots = self._sums.values[rows_].tolist(), self._slot_of_row.values[rows_].tolist()
        return [None if slot < 0 else s for slot, s in zip(slots, own, strict=True)]

    def read(self, connection: sqlite3.Connection, row_of: Mapping[int, int], turn: Lock) -> Texts:
        """Return text and metadata of labels, given each with its row, without those that are missing or damaged."""
        return self.texts.read(
            connection, list(row_of), lambda some: self.sums_of([row_of[label] for label in some]), turn
        )

    def with_vector(self) -> Mask:
        """Return which rows have a vector."""
        marked: Mask = self._slot_of_row.values >= 0
        return marked

    def load(self, connection: sqlite3.Connection, state: State, dimension: int, declared: Sequence[str]) -> None:
        """Fill an empty view from the database, checking every row; vectors that the segment has are not read."""
        segment = self.index.segment
        last = 0 if segment is None or not len(segment.labels) else int(segment.labels[-1])
        if segment is not None:
            self.longest = segment.longest
        self.columns.make(declared, [])
        total = digest = 0
        known = rows.chunks(connection, dimension, (0, last), with_vectors=False) if last else ()
        later = rows.chunks(connection, dimension, (last + 1, state.last_label))
        for chunk in known:
            self._claim(connection, chunk, dimension)
            digest += chunk.digest
            total += len(chunk.ids) + len(chunk.damaged)
        self.index.delta.reserve(state.vectors - len(self.index))
        for chunk in later:
            self._append(chunk)
            digest += chunk.digest
            total += len(chunk.ids) + len(chunk.damaged)
        self.lost = max(state.rows - total, int(digest != state.digest and not self.damaged))
        self.seq = state.seq

    def replay(self, connection: sqlite3.Connection, state: State, dimension: int) -> None:
        """Follow the writes between the view's sequence number and the database's."""
        logged = connection.execute(
            "SELECT op, first, last FROM changes WHERE seq > ? ORDER BY seq, op DESC", (self.seq,)
        ).fetchall()
        # Labels are never used again, so all additions that survived may come before all removals.
        for op, first, last in logged:
            if op == ADDED:
                for chunk in rows.chunks(connection, dimension, (first, last)):
                    self._append(chunk)
        for op, first, last in logged:
            if op == REMOVED:
                self.remove(np.arange(first, last + 1, dtype=np.int64))
        self.seq = state.seq

    def snapshot(
        self,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], FloatVectors, float, int]:
        """Return labels, checksums and vectors (as they are kept) of all live rows, their longest, and `seq`."""
        rows_ = np.flatnonzero(self.alive & self.with_vector())
        return self.labels[rows_].copy(), self._sums.values[rows_].copy(), self.vectors(rows_), self.longest, self.seq

    def adoption(self, segment: Segment) -> Adoption:
        """Begin to search another segment; `Adoption.copy` and `adopt` are the rest of it."""
        layers = Layers(self.index.dimension, self.index.metric, segment)
        rows_ = np.flatnonzero(self.alive & self.with_vector())
        slots = layers.claim(self.labels[rows_], self._sums.values[rows_])
        return Adoption(self.index, layers, self.size, rows_, slots, self._slot_of_row.values[rows_])

    def adopt(self, adoption: Adoption) -> None:
        """Search another segment from now on, with what was written and removed since the adoption began."""
        layers, rows_, slots = adoption.layers, adoption.rows, adoption.slots
        self._selections.clear()
        kept = self.alive[rows_]
        layers.remove(slots[~kept])
        fresh = adoption.size + np.flatnonzero((self.alive & self.with_vector())[adoption.size :])
        own = layers.claim(self.labels[fresh], self._sums.values[fresh])
        rest = own < 0
        own[rest] = layers.add_from(self.index, self._slot_of_row.values[fresh[rest]])
        self._slot_of_row.values[:] = -1
        self._row_of_slot = Growing(np.int64)
        self._row_of_slot.extend(np.full(layers.size, -1))
        for those, at in ((rows_[kept], slots[kept]), (fresh, own)):
            self._slot_of_row.values[those] = at
            self._row_of_slot.values[at] = those
        if layers.segment is not None:
            self.longest = max(self.longest, layers.segment.longest)
        self.index = layers

    def _append(self, chunk: rows.Chunk) -> None:
        self.damaged.update(chunk.damaged)
        self.add(
            chunk.labels,
            chunk.ids,
            chunk.present,
            chunk.vectors,
            chunk.sums,
            lambda: rows.all_parsed(chunk.raw_metadata),
        )

    def _claim(self, connection: sqlite3.Connection, chunk: rows.Chunk, dimension: int) -> None:
        """Append rows whose vectors are in the segment, reading those of the few that are not."""
        labels = np.array(chunk.labels, dtype=np.int64)
        with_vector = labels[chunk.present]
        slots = self.index.claim(with_vector, np.array(chunk.sums, dtype=np.uint32))
        lacking = np.flatnonzero(slots < 0)
        if len(lacking):
            stored = rows.fetch_vectors(connection, with_vector[lacking].tolist(), dimension)
            if len(stored) < len(lacking):
                # A damaged vector is a damaged row: read them all again, which sets it apart.
                for again in rows.chunks(connection, dimension, (chunk.labels[0], chunk.labels[-1])):
                    self.index.remove(slots[slots >= 0])
                    self._append(again)
                return
            slots[lacking] = self.index.add(np.stack([stored[label] for label in with_vector[lacking].tolist()]))
        self.damaged.update(chunk.damaged)
        metadata = chunk.raw_metadata
        self._extend(chunk.labels, chunk.ids, chunk.present, slots, chunk.sums, lambda: rows.all_parsed(metadata))

    def _load_columns(self, connection: sqlite3.Connection, fields: Collection[str]) -> None:
        missing = self.columns.missing(fields)
        if missing:
            self._selections.clear()  # a column that is made anew has other codes
            self.columns.make(missing, self._metadata_blocks(connection, missing))
            self.columns.trim(fields)

    def _metadata_blocks(self, connection: sqlite3.Connection, fields: Sequence[str]) -> Iterator[list[Metadata]]:
        """Yield the metadata of all rows in row order, tombstones as empty ones."""
        # Most rows may lack the field: look for its name before parsing.
        needles = [json.dumps(field, ensure_ascii=False).encode() for field in fields]
        block: list[Metadata] = []
        found = 0
        wanted = self.labels.tolist()
        for row in rows.texts(connection):
            while found < len(wanted) and wanted[found] < row.label:
                block.append({})
                found += 1
            if not row.ok or found == len(wanted) or wanted[found] != row.label:
                continue
            block.append(row.metadata if any(needle in row.raw_metadata for needle in needles) else {})
            found += 1
        block.extend({} for _ in range(len(wanted) - found))
        yield block

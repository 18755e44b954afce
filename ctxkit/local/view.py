"""What one handle holds in memory: which records there are, their vectors' index and the columns of filters.

A view is true to one sequence number of the database. It follows others' writes by replaying the change log.
Rows stand in label order; a removed row stays as a tombstone until the view is loaded anew.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ctxkit.filters import And, Filter
from ctxkit.local import rows
from ctxkit.local.arrays import Growing
from ctxkit.local.columns import Column, Columns, fields_of
from ctxkit.local.index import AnnIndex, Mask, Slots
from ctxkit.local.schema import ADDED, REMOVED, State
from ctxkit.records import FloatVectors, Metadata

_TOMBSTONES_KEPT = 1024
_TOMBSTONE_SHARE = 0.3
_BYTES_PER_ID = 150  # a str of some twenty characters, its place in a list and in a dict


class View:
    """The state of a collection at sequence number `seq`."""

    def __init__(self, index: AnnIndex, declared: Iterable[str]) -> None:
        self.seq = 0
        self.index = index
        self.columns = Columns(declared)
        self.damaged: dict[int, str] = {}
        self.lost = 0
        self.longest = 0.0
        self.ids: list[str] = []
        self._row_of: dict[str, int] = {}
        self._labels = Growing(np.int64)
        self._alive = Growing(np.bool_)
        self._slot_of_row = Growing(np.int64)
        self._row_of_slot = Growing(np.int64)

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
        arrays = (self._labels, self._alive, self._slot_of_row, self._row_of_slot)
        return self.index.nbytes + self.columns.nbytes + sum(a.nbytes for a in arrays) + _BYTES_PER_ID * self.size

    def row(self, record_id: str) -> int | None:
        """Return the row of a record, None where there is none."""
        return self._row_of.get(record_id)

    def label(self, record_id: str) -> int | None:
        """Return the label of a record, damaged ones included, None where there is none."""
        row = self._row_of.get(record_id)
        if row is not None:
            return int(self.labels[row])
        return next((label for label, shown in self.damaged.items() if shown == record_id), None)

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
        metadata: Callable[[], Sequence[Metadata]],
    ) -> None:
        """Append rows; `vectors` has one for each row marked in `present`. `metadata` is asked for if needed."""
        first = self.size
        slots = np.full(len(ids), -1, dtype=np.int64)
        slots[present] = np.arange(len(self._row_of_slot), len(self._row_of_slot) + len(vectors))
        if len(vectors):
            self.index.add(vectors)
            self.longest = max(self.longest, float(np.sqrt(_squares(vectors).max())))
            self._row_of_slot.extend(first + np.flatnonzero(present))
        if len(self.columns):
            self.columns.extend(metadata())
        self._labels.extend(labels)
        self._alive.extend(np.ones(len(ids), dtype=np.bool_))
        self._slot_of_row.extend(slots)
        self.ids.extend(ids)
        self._row_of.update(zip(ids, range(first, first + len(ids)), strict=True))

    def remove(self, labels: npt.NDArray[np.int64]) -> None:
        """Turn the rows of these labels into tombstones; labels without a row are ignored."""
        if self.damaged:
            for label in labels.tolist():
                self.damaged.pop(label, None)
        rows_ = self.rows_of(labels)
        self.alive[rows_] = False
        for row in rows_.tolist():
            # A replaced record's id already points at its new row.
            if self._row_of.get(self.ids[row]) == row:
                del self._row_of[self.ids[row]]
        slots = self._slot_of_row.values[rows_]
        slots = slots[slots >= 0]
        if len(slots):
            self.index.remove(slots)

    def mask(self, connection: sqlite3.Connection, node: Filter) -> Mask:
        """Return which rows pass the filter and are no tombstones, as an array of its own."""
        if node == And(()):
            everything: Mask = self.alive.copy()
            return everything
        self._load_columns(connection, fields_of(node))
        passing: Mask = self.columns.mask(node, self.size) & self.alive
        return passing

    def column(self, connection: sqlite3.Connection, field: str) -> Column:
        """Return the column of a field, loading it first where needed."""
        self._load_columns(connection, [field])
        return self.columns.column(field)

    def slot_mask(self, mask: Mask) -> Mask:
        """Return a mask of rows as a mask of slots."""
        allowed: Mask = mask[self._row_of_slot.values]
        return allowed

    def rows_of_slots(self, slots: Slots) -> npt.NDArray[np.int64]:
        """Return the rows of slots."""
        found: npt.NDArray[np.int64] = self._row_of_slot.values[slots]
        return found

    def with_vector(self) -> Mask:
        """Return which rows have a vector."""
        marked: Mask = self._slot_of_row.values >= 0
        return marked

    def load(self, connection: sqlite3.Connection, state: State, dimension: int, declared: Sequence[str]) -> None:
        """Fill an empty view from the database, checking every row."""
        self.index.reserve(state.vectors)
        self.columns.make(declared, [])
        total = digest = 0
        for chunk in rows.chunks(connection, dimension):
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

    def _append(self, chunk: rows.Chunk) -> None:
        self.damaged.update(chunk.damaged)
        self.add(
            chunk.labels,
            chunk.ids,
            chunk.present,
            chunk.vectors,
            lambda: [json.loads(raw.decode()) for raw in chunk.raw_metadata],
        )

    def _load_columns(self, connection: sqlite3.Connection, fields: Collection[str]) -> None:
        missing = self.columns.missing(fields)
        if missing:
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


def _squares(vectors: FloatVectors) -> npt.NDArray[np.float64]:
    squares: npt.NDArray[np.float64] = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    return squares

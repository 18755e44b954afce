"""One handle on a collection: a session, what the collection is, and a view that follows the database."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from ctxkit.errors import StoreError
from ctxkit.interfaces import CollectionSpec
from ctxkit.local import catalog, rows, schema, text, writing
from ctxkit.local.building import Builder, Policy
from ctxkit.local.index import AnnIndex
from ctxkit.local.layers import Layers
from ctxkit.local.search import damaged_rows
from ctxkit.local.segment import Wanted
from ctxkit.local.session import Session
from ctxkit.local.view import View
from ctxkit.records import FieldType, RecordBatch, check_metadata

_log = logging.getLogger("ctxkit.local")


class Handle:
    """Transactions on one collection, each with a view that is true to it."""

    def __init__(
        self, session: Session, spec: CollectionSpec, make_index: Callable[[], AnnIndex | None], policy: Policy
    ) -> None:
        self.session = session
        self.spec = spec
        self.builder = Builder(session, policy, make_index, lambda: self._view)
        self._view: View | None = None
        self._wrote = False
        self._incarnation = session.incarnation.encode()

    @contextmanager
    def reading(
        self, *, whole: bool = False, fields: Collection[str] = ()
    ) -> Iterator[tuple[sqlite3.Connection, View]]:
        """Give a read transaction, beside those of other threads as long as the view is true.

        `whole`: the answer depends on every row, so damage anywhere is an error. `fields` need columns.
        """
        with self.session.look() as (connection, found):
            view = self._view
            if view is not None and found == (view.seq, self._incarnation) and not view.columns.missing(fields):
                if whole:
                    self.refuse_damage(view)
                yield connection, view
                return
        # The view has to change first, and this thread waits until nobody else looks at it.
        with self.session.read() as (connection, state):
            view = self._fresh(connection, state)
            self.builder.look(view.index)  # who only reads takes up what others have made as well
            if whole:
                self.refuse_damage(view)
            yield connection, view

    def version(self) -> int:
        """Return the sequence number of the collection, without a look at anything else."""
        with self.session.look() as (_, found):
            if found is not None and found[1] == self._incarnation and found[0] != schema.DROPPED_SEQ:
                return found[0]
        with self.session.read() as (_, state):
            return state.seq

    @contextmanager
    def examining(self) -> Iterator[tuple[sqlite3.Connection, schema.State, View | None]]:
        """Give a read transaction that loads nothing, with the view as it is."""
        with self.session.read() as (connection, state):
            yield connection, state, self._view

    def upsert(self, normalized: Callable[[CollectionSpec], RecordBatch]) -> None:
        """Write what `normalized` makes for the collection's specification; it may be asked twice."""
        asked = self.spec
        batch = normalized(asked)
        with self.session.gate.alone:
            with self._writing() as (connection, state, view):
                if self.spec.fields != asked.fields:
                    # Another handle has declared fields since the batch was checked.
                    batch = normalized(self.spec)
                if not len(batch):
                    return
                removed = view.labels_of(batch.ids)
                added = rows.encode(batch, state.last_label + 1)
                writing.write(connection, state, view, self.session.place, removed=removed, added=added)
            self._apply(view, state, removed, batch, [row[1] for row in added.vectors])

    def delete(self, select: Callable[[sqlite3.Connection, View], list[int]]) -> int:
        """Delete the labels that `select` names; return how many."""
        with self.session.gate.alone:
            with self._writing() as (connection, state, view):
                removed = select(connection, view)
                if not removed:
                    return 0
                writing.write(connection, state, view, self.session.place, removed=removed, added=None)
            self._apply(view, state, removed, None, [])
        return len(removed)

    def adopt(self, asked: CollectionSpec) -> None:
        """Load the collection, compare it with what the opener asked for, and take over what may be added.

        Loading takes long where there is much, so it only reads: writers go on meanwhile.
        """
        place = self.session.place
        earlier = self.builder.names()
        with self.session.read() as (connection, state):
            stored, _ = schema.read_meta(connection, place)
            self.spec = catalog.check_same(stored, asked, place, has_vectors=state.vectors > 0)
            worded = text.is_as_sealed(connection, state)
            self._view = self._load(connection, state, earlier)
        if not worded:
            _log.warning("%s: the text index was damaged and is made anew.", self.spec.name)
            with self.session.write() as (connection, state):
                self._rebuild_words(connection, state)
        if self.spec != stored:
            self._describe(asked)
        self.builder.look(self._view.index)

    def optimize(self) -> None:
        """Tidy the text index (make it anew where it is damaged) and the database file."""
        with self.session.gate.alone:
            with self._writing() as (connection, state, _):
                if text.is_sound(connection, state.rows):
                    connection.execute("INSERT INTO words(words) VALUES('optimize')")
                    state.text_seq = -1
                    schema.write_state(connection, state)
                else:
                    self._rebuild_words(connection, state)
            self._wrote = True
            with self.session.outside() as connection:
                connection.execute("ANALYZE")
                pages = connection.execute("PRAGMA page_count").fetchone()[0]
                free = connection.execute("PRAGMA freelist_count").fetchone()[0]
                log = "RESTART"  # keeps its room: a commit that makes the file longer waits for the file system as well
                if free > pages // 4:
                    connection.execute("VACUUM")
                    log = "TRUNCATE"
                connection.execute(f"PRAGMA wal_checkpoint({log})").fetchall()
            self._view = None
            with self.session.read() as (connection, state):
                self._fresh(connection, state)
        self.builder.finish()

    def close(self) -> None:
        """Release everything; closing twice is fine."""
        # An interrupt may have left this thread inside, where what is being made would wait for it.
        self.session.gate.forget()
        self.builder.close()
        with self.session.gate.alone:
            if self._wrote and self.session.database is not None and not self.session.closed:
                self._seal()
            self._view = None
            self.session.close()

    def refuse_damage(self, view: View) -> None:
        """Raise StoreCorruptError when rows are known to be damaged or missing."""
        if view.damaged:
            raise damaged_rows(list(view.damaged.values()), self.session.place)
        if view.lost:
            raise self.session.place.corrupt(f"at least {view.lost} records are missing from the database.")

    def refuse_unsound(self, view: View, labels: Sequence[int], stored: Mapping[int, rows.StoredRow]) -> None:
        """Raise StoreCorruptError unless every label was read and matches its checksum."""
        bad = [row.id for row in stored.values() if not row.ok]
        if gone := set(labels).difference(stored):
            bad += view.ids_of(gone)
        if bad:
            raise damaged_rows(bad, self.session.place)

    @contextmanager
    def _writing(self) -> Iterator[tuple[sqlite3.Connection, schema.State, View]]:
        """Give a write transaction with a true view; where it has to be loaded anew, others may write meanwhile."""
        with self.session.write() as (connection, state):
            view = self._followed(connection, state)
            if view is not None:
                yield connection, state, view
                return
        with self.session.read() as (connection, state):
            self._fresh(connection, state)
        with self.session.write() as (connection, state):
            yield connection, state, self._fresh(connection, state)

    def _fresh(self, connection: sqlite3.Connection, state: schema.State) -> View:
        """Return the view, brought to the transaction's sequence number."""
        view = self._followed(connection, state)
        if view is None:
            self.spec, _ = schema.read_meta(connection, self.session.place)
            self._view = view = self._load(connection, state)
        return view

    def _followed(self, connection: sqlite3.Connection, state: schema.State) -> View | None:
        """Return the view with what others have written since, None where it has to be loaded anew."""
        view = self._view
        if view is not None and view.seq == state.seq:
            return view
        # Half a replay would be a lie: without a view, the next read loads anew.
        self._view = None
        if view is None or view.worn or not state.trimmed <= view.seq < state.seq or _described(connection, view.seq):
            return None
        view.replay(connection, state, self.spec.dimension)
        self._view = view
        return view

    def _load(self, connection: sqlite3.Connection, state: schema.State, earlier: Collection[str] = ()) -> View:
        wanted = Wanted(state.incarnation, self.spec.dimension, self.spec.metric, state.seq)
        layers = Layers(self.spec.dimension, self.spec.metric, self.builder.first(wanted, earlier))
        view = View(layers, self.spec.fields)
        view.load(connection, state, self.spec.dimension, list(self.spec.fields))
        return view

    def _describe(self, asked: CollectionSpec) -> None:
        """Take over what the opener has added to the collection's description."""
        place = self.session.place
        with self._writing() as (connection, state, view):
            # Others may have done so since the view was loaded.
            stored, _ = schema.read_meta(connection, place)
            self.spec = catalog.check_same(stored, asked, place, has_vectors=state.vectors > 0)
            if self.spec != stored:
                added = {name: kind for name, kind in self.spec.fields.items() if name not in stored.fields}
                _check_fields(connection, view, added)
                state.seq += 1
                schema.write_meta(connection, self.spec, state.incarnation)
                schema.log_change(connection, state.seq, schema.DESCRIBED, [(0, 0)])
                schema.write_state(connection, state)
                view.seq = state.seq
                self._wrote = True

    def _apply(
        self, view: View, state: schema.State, removed: Sequence[int], batch: RecordBatch | None, sums: Sequence[int]
    ) -> None:
        """Bring a committed write into the view."""
        self._view = None
        self._wrote = True
        if batch is not None:
            present = np.asarray(batch.present)
            first = state.last_label - len(batch) + 1
            vectors = np.asarray(batch.vectors, dtype=np.float32)
            vectors = vectors if present.all() else np.ascontiguousarray(vectors[present])
            metadata = [dict(item) for item in batch.metadata or ()]
            view.add(range(first, first + len(batch)), batch.ids, present, vectors, sums, lambda: metadata)
        if removed:
            view.remove(np.array(sorted(removed), dtype=np.int64))
        view.seq = state.seq
        self._view = None if view.worn else view
        self.builder.look(view.index)

    def _rebuild_words(self, connection: sqlite3.Connection, state: schema.State) -> None:
        writing.rebuild_words(connection)
        state.text_seq = -1
        schema.write_state(connection, state)
        self._wrote = True

    def _seal(self) -> None:
        """Leave a checksum of the text index, if nobody else is writing just now."""
        try:
            with self.session.outside() as connection:
                connection.execute("PRAGMA busy_timeout = 0")
            with self.session.write() as (connection, state):
                state.text_seq, state.text_digest = state.seq, text.digest(connection)
                schema.write_state(connection, state)
        except StoreError as error:
            _log.debug("%s: closed without a checksum of the text index: %s", self.spec.name, error)


def _described(connection: sqlite3.Connection, since: int) -> bool:
    query = "SELECT 1 FROM changes WHERE seq > ? AND op = ? LIMIT 1"
    return connection.execute(query, (since, schema.DESCRIBED)).fetchone() is not None


def _check_fields(connection: sqlite3.Connection, view: View, added: Mapping[str, FieldType]) -> None:
    """Refuse a newly declared field that a stored value contradicts."""
    for name, kind in added.items():
        column = view.column(connection, name)
        for code, value in enumerate(column.values):
            row = int(np.argmax(column.codes == code))
            check_metadata({name: value}, record_id=view.ids[row], fields={name: kind})

"""The durable store that any index of vectors can stand on."""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy.typing as npt
from typing_extensions import Self

from ctxkit.filters import And, Filter, Where, parse
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec, StoreHealth, StoreStats, VectorStore
from ctxkit.local import arguments, catalog, lexical, rows, scan, schema, segment
from ctxkit.local.building import Policy
from ctxkit.local.columns import fields_of
from ctxkit.local.config import LocalConfig
from ctxkit.local.handle import Handle
from ctxkit.local.health import examine
from ctxkit.local.index import AnnIndex
from ctxkit.local.purging import purge
from ctxkit.local.search import Found, Searcher, damaged_rows
from ctxkit.local.session import connected
from ctxkit.local.view import View
from ctxkit.records import Hit, Hits, Metric, Record, RecordBatch, check_k, normalize_batch


class EngineStore(VectorStore):
    """A vector store on SQLite; a backend derives from it and says which index it searches with.

    SQLite holds the truth. Each handle keeps the ids, the index and the filter columns in memory, follows other
    writers before each read, and checks the checksum of every row it reads. Threads may share a handle.
    """

    def __init__(self, handle: Handle, config: LocalConfig) -> None:
        self._handle = handle
        self._config = config

    @classmethod
    @abstractmethod
    def make_index(cls, dimension: int, metric: Metric, config: LocalConfig) -> AnnIndex | None:
        """Return an empty index, or None to search by brute force."""

    @classmethod
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        """Open the collection, making it when it does not exist; every row is read and checked."""
        local = arguments.local_config(config, cls.backend)
        arguments.check_options(spec, cls.backend)
        session = catalog.open_session(spec, local, cls.backend)
        try:
            policy = Policy(local.exact_below, local.index_build)
            handle = Handle(session, spec, lambda: cls.make_index(spec.dimension, spec.metric, local), policy)
            handle.adopt(spec)
        except BaseException:
            session.close()
            raise
        return cls(handle, local)

    @classmethod
    def list_collections(cls, config: BackendConfig) -> list[str]:
        """Return the names of all collections under the path, sorted; none for collections in memory."""
        return catalog.list_names(arguments.local_config(config, cls.backend), cls.backend)

    @classmethod
    def describe_collection(cls, config: BackendConfig, name: str) -> CollectionSpec:
        """Return what the collection was made with."""
        return catalog.describe(arguments.local_config(config, cls.backend), cls.backend, name)

    @classmethod
    def drop_collection(cls, config: BackendConfig, name: str) -> None:
        """Delete the collection; handles on it raise CollectionNotFoundError from then on."""
        catalog.drop(arguments.local_config(config, cls.backend), cls.backend, name)

    @property
    def spec(self) -> CollectionSpec:
        """What this collection is."""
        return self._handle.spec

    @property
    def capabilities(self) -> Capabilities:
        """What this store can do as it is configured."""
        return self._config.capabilities()

    def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        """Write a batch, all of it or nothing; it is committed when this returns."""
        self._handle.session.check_open()
        self._handle.upsert(
            lambda spec: normalize_batch(records, dimension=spec.dimension, metric=spec.metric, fields=spec.fields)
        )

    def get(self, ids: Sequence[str], *, include_vectors: bool = False) -> list[Record | None]:
        """Return the records in the order of `ids`, None where there is none."""
        wanted = arguments.checked_ids(ids)
        handle = self._handle
        with handle.reading() as (connection, view):
            labels = [view.label(record_id) for record_id in wanted]
            if None in labels:
                # The missing one may be the damaged one: "there is none" would be a guess.
                handle.refuse_damage(view)
            known = [label for label in labels if label is not None]
            if bad := [view.damaged[label] for label in known if label in view.damaged]:
                raise damaged_rows(bad, handle.session.place)
            stored = rows.fetch(connection, known, handle.spec.dimension, with_vectors=include_vectors)
            handle.refuse_unsound(view, known, stored)
            return [None if label is None else stored[label].record() for label in labels]

    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        """Delete by id, by filter, or the intersection; return how many existed."""
        wanted, node = arguments.deletion(ids, where)
        handle = self._handle

        def selected(connection: sqlite3.Connection, view: View) -> list[int]:
            by_id = set(view.labels_of(wanted or ()))
            if node is None:
                return sorted(by_id)
            handle.refuse_damage(view)
            labels: list[int] = view.labels[view.passing(connection, node)].tolist()
            return labels if wanted is None else [label for label in labels if label in by_id]

        return handle.delete(selected)

    def count(self, where: Where | None = None) -> int:
        """Return the number of records that pass the filter."""
        node = parse(where)
        with self._handle.reading(whole=True, fields=fields_of(node)) as (connection, view):
            if node == And(()):
                return len(view)
            return len(view.passing(connection, node))

    def query(
        self,
        vectors: npt.ArrayLike,
        k: int,
        *,
        where: Where | None = None,
        min_score: float | None = None,
        include_vectors: bool = False,
    ) -> list[Hits]:
        """Return, for each query vector, the k nearest records that pass the filter, by exact float64 scores."""
        spec = self.spec
        limit, least = check_k(k), arguments.checked_score(min_score)
        queries = arguments.query_vectors(vectors, spec)
        node = parse(where)
        with self._handle.reading(whole=True, fields=fields_of(node)) as (connection, view):
            chosen = None if node == And(()) else view.selection(connection, node)
            found = Searcher(view, spec.metric).search(queries, limit, chosen)
            if least is not None:
                found = [[hit for hit in hits if -hit[0] >= least] for hits in found]
            return self._hits(connection, view, found, spec.metric, include_vectors=include_vectors)

    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        """Return up to k records that share words with `text`, by BM25; words are stemmed as English."""
        limit, words = check_k(k), arguments.checked_text(text)
        node = parse(where)
        session = self._handle.session
        with self._handle.reading(whole=True, fields=fields_of(node)) as (connection, view):
            mask = None if node == And(()) else view.selection(connection, node).rows
            found = lexical.search(connection, view, words, limit, mask, session.place, session.turn)
            return self._hits(connection, view, [found], None, include_vectors=False)[0]

    def scan(
        self,
        where: Where | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        include_vectors: bool = False,
    ) -> Iterator[Record]:
        """Yield every record that passes the filter, each exactly once, in the order of writing or by a field.

        Bools and lists in the `order_by` field count as records without it.
        """
        scan.check_scan(order_by, limit)
        node = parse(where)
        fields = fields_of(node) | (set() if order_by is None else {order_by})
        with self._handle.reading(whole=True, fields=fields) as (connection, view):
            wanted = view.passing(connection, node)
            ids = scan.planned(view, connection, wanted, order_by=order_by, descending=descending, limit=limit)
            since = int(view.labels[-1]) if view.size else 0
        return self._pages(ids, node, since, include_vectors=include_vectors)

    def flush(self) -> None:
        """Bring everything acknowledged from the log into the database file."""
        with self._handle.examining():
            pass
        with self._handle.session.outside() as connection:
            connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall()

    def optimize(self) -> None:
        """Make the text index and the database file compact, and the index in memory anew."""
        self._handle.optimize()

    def purge(self) -> None:
        """Leave no byte of a deleted record in the files; takes as long as writing everything anew."""
        purge(self._handle)

    def version(self) -> int:
        """Return the collection's sequence number, which every write raises, of whatever process."""
        return self._handle.version()

    def stats(self) -> StoreStats:
        """Return figures about the collection."""
        database = self._handle.session.database
        with self._handle.reading() as (connection, view):
            pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
            return StoreStats(
                rows=len(view),
                vectors=len(view.index),
                bytes_in_memory=view.nbytes + (pages * size if database is None else 0),
                bytes_on_disk=None if database is None else segment.size_of(database.parent),
                details={
                    **self._segment_figures(view),
                    "columns": view.columns.names,
                    "seq": view.seq,
                    "tombstones": view.size - len(view),
                    "durability": None if database is None else self._config.durability,
                    "path": None if database is None else str(database.parent),
                },
            )

    def _segment_figures(self, view: View) -> dict[str, Any]:
        """Return what is known of the index: its kind, its age, what it lacks, and what the last search did."""
        layers = view.index
        found = layers.segment
        index = None if found is None else found.index
        return {
            "index_type": self._handle.builder.index_name,
            "indexed": 0 if found is None or index is None else len(found.labels),
            "segment": None if found is None else found.name,
            "segment_seq": None if found is None else found.seq,
            "segment_made_at": None if found is None else found.made_at,
            "segment_vectors": 0 if found is None else len(found.labels),
            "segment_problem": self._handle.builder.problem,
            "delta": layers.delta_live,
            "bytes_mapped": 0 if found is None or not found.name else found.rows.rows.nbytes,
            "plan": layers.plan,
        }

    def health(self) -> StoreHealth:
        """Read and check everything that is stored; takes as long as opening."""
        session, dimension = self._handle.session, self.spec.dimension
        with self._handle.examining() as (connection, state, view):
            held = None if view is None else (view.seq, len(view.index))
            if session.database is None:
                return examine(connection, state, held, dimension)
        # A fresh connection: the cache of ours would hide what happened to the file.
        with connected(session.database, session.place, self._config.durability) as fresh:
            fresh.execute("BEGIN")
            return examine(fresh, schema.read_state(fresh, session.place), held, dimension)

    def close(self) -> None:
        """Release everything; closing twice is fine."""
        self._handle.close()

    def __repr__(self) -> str:
        where = "in memory" if self._config.path is None else str(self._config.path)
        state = ", closed" if self._handle.session.closed else ""
        spec = self.spec
        return f"{type(self).__name__}({spec.name!r}, {spec.dimension} x {spec.metric}, {where}{state})"

    def _hits(
        self,
        connection: sqlite3.Connection,
        view: View,
        found: list[list[Found]],
        metric: Metric | None,
        *,
        include_vectors: bool,
    ) -> list[Hits]:
        row_of = {label: row for hits in found for _, _, row, label in hits}
        if include_vectors:
            labels = list(row_of)
            stored = rows.fetch(connection, labels, self.spec.dimension, with_vectors=True)
            self._handle.refuse_unsound(view, labels, stored)

            def whole(loss: float, record_id: str, _: int, label: int) -> Hit:
                row = stored[label]
                return Hit(record_id, -loss, row.text, row.metadata, row.own_vector(), metric)

            return [Hits([whole(*hit) for hit in hits]) for hits in found]
        texts = view.read(connection, row_of, self._handle.session.turn)
        if len(texts) < len(row_of):
            bad = [view.ids[row] for label, row in row_of.items() if label not in texts]
            raise damaged_rows(bad, self._handle.session.place)

        def made(hits: list[Found]) -> Iterator[Hit]:
            raws = [texts[label] for _, _, _, label in hits]
            scores, shown = [-loss for loss, _, _, _ in hits], [text.decode() for text, _ in raws]
            metadata = rows.all_parsed(raw for _, raw in raws)
            return map(Hit, [name for _, name, _, _ in hits], scores, shown, metadata, repeat(None), repeat(metric))

        return [Hits(tuple(made(hits))) for hits in found]

    def _pages(self, ids: list[str], node: Filter, since: int, *, include_vectors: bool) -> Iterator[Record]:
        session = self._handle.session
        for start in range(0, len(ids), scan.PAGE):
            part = ids[start : start + scan.PAGE]
            with self._handle.reading() as (connection, view):
                records = scan.page(view, connection, part, node, session, with_vectors=include_vectors, since=since)
            yield from records

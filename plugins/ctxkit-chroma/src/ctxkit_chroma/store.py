"""The Chroma store: the contract of every store, on Chroma embedded, in memory or on a server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from ctxkit.errors import ConfigError, StoreClosedError, StoreUnavailableError
from ctxkit.filters import And, Filter, Where, matches, parse
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec, StoreHealth, StoreStats, VectorStore
from ctxkit.local import parts
from ctxkit.records import Hit, Hits, Metadata, Metric, Record, RecordBatch, check_k, normalize_batch
from ctxkit_chroma import site as sites
from ctxkit_chroma.capabilities import MAX_BATCH
from ctxkit_chroma.config import ChromaConfig
from ctxkit_chroma.rows import Row
from ctxkit_chroma.scoring import Found, in_order
from ctxkit_chroma.table import Table

ResultT = TypeVar("ResultT")
_PAGE = 256


class ChromaStore(VectorStore):
    """Approximate search by Chroma's HNSW graph; scores, filters, counts and values as in every store of ctxkit."""

    backend: ClassVar[str] = "chroma"

    def __init__(self, site: sites.Site, table: Table, config: ChromaConfig) -> None:
        self._site = site
        self._table = table
        self._config = config
        self._closed = False

    @classmethod
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        """Open the collection, making it when it does not exist."""
        own = _own(config)
        parts.check_options(spec, cls.backend)
        site = sites.enter(own)
        try:
            return cls(site, site.table(spec, own), own)
        except BaseException:
            sites.leave(site)
            raise

    @classmethod
    def list_collections(cls, config: BackendConfig) -> list[str]:
        """Return the names of all collections, sorted; none for collections in memory."""
        own = _own(config)
        if not _exists(own):
            return []
        with sites.visited(own) as site:
            return site.names()

    @classmethod
    def describe_collection(cls, config: BackendConfig, name: str) -> CollectionSpec:
        """Return what the collection was made with."""
        own = _own(config)
        if not _exists(own):
            raise sites.scene_of(own, name).missing()
        with sites.visited(own) as site:
            return site.describe(name)

    @classmethod
    def drop_collection(cls, config: BackendConfig, name: str) -> None:
        """Delete the collection; handles on it raise CollectionNotFoundError from then on."""
        own = _own(config)
        if not _exists(own):
            raise sites.scene_of(own, name).missing()
        with sites.visited(own) as site:
            site.drop(name)

    @property
    def spec(self) -> CollectionSpec:
        """What this collection is."""
        return self._table.spec

    @property
    def capabilities(self) -> Capabilities:
        """What this store can do as it is configured."""
        return self._config.capabilities()

    def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        """Write a batch in one call of Chroma's, all of it or nothing."""

        def write() -> None:
            spec = self._table.spec
            batch = normalize_batch(
                records,
                dimension=spec.dimension,
                metric=spec.metric,
                fields=spec.fields,
                optional_vectors=False,
                max_batch=MAX_BATCH,
            )
            self._table.upsert(batch)

        self._run(write)

    def get(self, ids: Sequence[str], *, include_vectors: bool = False) -> list[Record | None]:
        """Return the records in the order of `ids`, repeats included, None where there is none."""
        wanted = parts.checked_ids(ids)

        def read() -> list[Record | None]:
            if not wanted:
                self._table.count(And(()))  # a dropped collection is an error here as well
            found = self._table.fetch(wanted, with_vectors=include_vectors)
            return [_own_record(found[record_id]) if record_id in found else None for record_id in wanted]

        return self._run(read)

    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        """Delete by id, by filter, or the intersection; return how many existed."""
        wanted, node = parts.deletion(ids, where)
        return self._run(lambda: self._table.delete(wanted, node))

    def count(self, where: Where | None = None) -> int:
        """Return the number of records that pass the filter."""
        node = parse(where)
        return self._run(lambda: self._table.count(node))

    def query(
        self,
        vectors: npt.ArrayLike,
        k: int,
        *,
        where: Where | None = None,
        min_score: float | None = None,
        include_vectors: bool = False,
    ) -> list[Hits]:
        """Return, for each query vector, the k nearest records that pass the filter, with scores in float64.

        Chroma's graph proposes; where it proposes too few, every record that passes is scored.
        """
        limit, least = check_k(k), parts.checked_score(min_score)
        queries = parts.query_vectors(vectors, self.spec)
        node = parse(where)
        metric = self.spec.metric

        def search() -> list[Hits]:
            pairs = self._table.nearest(queries, limit, node, with_vectors=include_vectors)
            return [_hits(each, metric, least, include_vectors=include_vectors) for each in pairs]

        return self._run(search)

    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        """Return up to k records that share words with `text`, by BM25; words are stemmed as English."""
        limit, words = check_k(k), parts.checked_text(text)
        node = parse(where)

        def search() -> Hits:
            found = self._table.by_words(words, limit, node)
            rows = self._table.fetch([hit.id for hit in found], with_vectors=False)
            return _hits([(hit, rows[hit.id]) for hit in found], None, None, include_vectors=False)

        return self._run(search)

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

        Bools and lists in the `order_by` field count as records without it. Which records will come is decided at the
        start; one that is replaced meanwhile comes as it is then, unless it no longer passes.
        """
        parts.check_scan(order_by, limit)
        node = parse(where)

        def planned() -> list[str]:
            ids = self._table.select(node)
            if order_by is not None:
                return in_order(ids, self._table.values_of(order_by, ids), descending=descending)[:limit]
            return (ids[::-1] if descending else ids)[:limit]

        return self._pages(self._run(planned), node, include_vectors=include_vectors)

    def flush(self) -> None:
        """Return at once: Chroma has written what it acknowledged, and offers no way to sync it."""
        self._run(lambda: self._table.count(And(())))

    def optimize(self) -> None:
        """Make the sidecar compact, or anew where it is damaged; Chroma tidies its own files (`chroma vacuum`)."""
        self._run(self._table.tidy)

    def stats(self) -> StoreStats:
        """Return figures about the collection."""

        def figures() -> StoreStats:
            rows = self._table.count(And(()))
            details = {**self._table.details(), "mode": self._config.mode, "chroma": self._site.client.version}
            path = self._config.path
            return StoreStats(
                rows=rows,
                vectors=rows,
                bytes_in_memory=details.pop("bytes_in_memory", None),
                bytes_on_disk=None if path is None else _size_of(path),
                details=details,
            )

        return self._run(figures)

    def health(self) -> StoreHealth:
        """Compare what should be one; Chroma has no way of checking its own files."""
        problems = self._run(self._table.problems)
        return StoreHealth(ok=not problems, problems=tuple(problems))

    def close(self) -> None:
        """Release everything; closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        if self._site.process != os.getpid():
            return
        try:
            self._site.release(self._table)
        finally:
            sites.leave(self._site)

    def __repr__(self) -> str:
        state = ", closed" if self._closed else ""
        spec = self._table.spec
        return f"ChromaStore({spec.name!r}, {spec.dimension} x {spec.metric}, {self._site.scene.where}{state})"

    def _run(self, call: Callable[[], ResultT]) -> ResultT:
        self._check()

        def checked() -> ResultT:
            self._check()
            return call()

        try:
            return self._table.run(checked)
        except StoreUnavailableError:
            self._check()  # closed by another thread meanwhile
            raise

    def _check(self) -> None:
        if self._closed:
            raise StoreClosedError(
                "the store was closed.", fix="open it again.", backend=self.backend, collection=self._table.spec.name
            )
        if self._config.mode != "server":
            self._site.check()

    def _pages(self, ids: list[str], node: Filter, *, include_vectors: bool) -> Iterator[Record]:
        for start in range(0, len(ids), _PAGE):
            part = ids[start : start + _PAGE]
            rows = self._run(lambda: self._table.fetch(part, with_vectors=include_vectors))  # noqa: B023
            found = [rows[record_id] for record_id in part if record_id in rows]
            yield from (row.record() for row in found if matches(node, row.metadata))


def _own(config: BackendConfig) -> ChromaConfig:
    if isinstance(config, ChromaConfig):
        return config
    raise ConfigError(
        f"chroma was given a {type(config).__name__}.", fix="pass a ChromaConfig.", backend=ChromaStore.backend
    )


def _exists(config: ChromaConfig) -> bool:
    """Whether there is anything to look into: looking must not make a directory."""
    if config.mode == "server":
        return True
    return config.path is not None and (config.path / sites.DATABASE).exists()


def _size_of(directory: Path) -> int:
    """Return how many bytes its files have; Chroma's own threads may take one away meanwhile."""
    size = 0
    for file in directory.rglob("*"):
        with suppress(FileNotFoundError):
            size += file.stat().st_size if file.is_file() else 0
    return size


def _own_metadata(row: Row) -> Metadata:
    """Return metadata that shares nothing with those of another record of the same answer."""
    return {key: value.copy() if isinstance(value, list) else value for key, value in row.metadata.items()}


def _own_record(row: Row) -> Record:
    """Return a record that shares nothing with another one of the same answer."""
    return Record(row.id, row.text, None if row.vector is None else np.array(row.vector), _own_metadata(row))


def _hits(
    pairs: Sequence[tuple[Found, Row]], metric: Metric | None, least: float | None, *, include_vectors: bool
) -> Hits:
    return Hits(
        [
            Hit(
                hit.id,
                hit.score,
                row.text,
                _own_metadata(row),
                np.array(row.vector, dtype=np.float32) if include_vectors else None,
                metric,
            )
            for hit, row in pairs
            if least is None or hit.score >= least
        ]
    )

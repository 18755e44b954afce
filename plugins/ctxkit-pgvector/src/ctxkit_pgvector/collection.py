"""One open collection: what is asked of it is checked here and becomes a plan, for both faces alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy.typing as npt

from ctxkit.errors import ConfigError
from ctxkit.filters import Where, parse
from ctxkit.interfaces import BackendConfig, CollectionSpec, StoreHealth, StoreStats
from ctxkit.local import parts
from ctxkit.records import Hits, Record, RecordBatch, check_k, normalize_batch
from ctxkit_pgvector import lexical, nearest, reading, writing
from ctxkit_pgvector.conditions import condition
from ctxkit_pgvector.config import PgvectorConfig
from ctxkit_pgvector.faults import BACKEND
from ctxkit_pgvector.plan import Ask, Plan
from ctxkit_pgvector.sizes import Sizes
from ctxkit_pgvector.table import Table

PAGE: Final = 256  # records that a scan fetches at once
_MOST: Final = 2**40  # records that anybody asks for, as a number that PostgreSQL can count


def own(config: BackendConfig) -> PgvectorConfig:
    """Return the configuration, or raise ConfigError where it is another backend's."""
    if isinstance(config, PgvectorConfig):
        return config
    raise ConfigError(f"{BACKEND} was given a {type(config).__name__}.", fix="pass a PgvectorConfig.", backend=BACKEND)


class Collection:
    """The plans of one collection's methods. Each checks its arguments when it is made, not when it is followed."""

    def __init__(self, table: Table, config: PgvectorConfig) -> None:
        self.table = table
        self.config = config
        self._sizes = Sizes(table, config.exact_below)

    @property
    def spec(self) -> CollectionSpec:
        """What the collection is."""
        return self.table.spec

    def checked(self, records: Iterable[Record] | RecordBatch) -> RecordBatch:
        """Return a batch that may be written, and shares nothing with what was given."""
        spec = self.spec
        return normalize_batch(records, dimension=spec.dimension, metric=spec.metric, fields=spec.fields)

    def upsert(self, batch: RecordBatch) -> Plan[None]:
        """Write a checked batch."""
        return self._changed(writing.upsert(self.table, batch))

    def get(self, ids: Sequence[str], *, include_vectors: bool) -> Plan[list[Record | None]]:
        """Read by id."""
        return reading.by_ids(self.table, parts.checked_ids(ids), with_vectors=include_vectors)

    def delete(self, ids: Sequence[str] | None, where: Where | None) -> Plan[int]:
        """Delete and count."""
        wanted, node = parts.deletion(ids, where)
        return self._changed(writing.delete(self.table, wanted, node))

    def count(self, where: Where | None) -> Plan[int]:
        """Count."""
        return reading.count(self.table, parse(where))

    def query(
        self,
        vectors: npt.ArrayLike,
        k: int,
        *,
        where: Where | None,
        min_score: float | None,
        include_vectors: bool,
    ) -> Plan[list[Hits]]:
        """Search by vectors."""
        limit, least = min(check_k(k), _MOST), parts.checked_score(min_score)
        queries = parts.query_vectors(vectors, self.spec)
        test = condition(parse(where), self.table.columns)

        def search() -> Plan[list[Hits]]:
            exact = self.config.index == "none"
            if not exact and self.config.exact_below:
                exact = yield from self._sizes.is_small()
            asked = nearest.Question(limit, test, least, include_vectors, exact)
            if not len(queries):
                yield from reading.present(self.table)
            return (yield from nearest.search(self.table, queries, asked))

        return search()

    def text_query(self, text: str, k: int, where: Where | None) -> Plan[Hits]:
        """Search by words."""
        limit, words = min(check_k(k), _MOST), parts.checked_text(text)
        test = condition(parse(where), self.table.columns)

        return lexical.search(self.table, words, limit, test, self._sizes)

    def scan(
        self,
        where: Where | None,
        *,
        order_by: str | None,
        descending: bool,
        limit: int | None,
        include_vectors: bool,
    ) -> Ask:
        """Return the statement of a scan."""
        parts.check_scan(order_by, limit)
        return reading.scan(
            self.table,
            parse(where),
            order_by=order_by,
            descending=descending,
            limit=limit if limit is None else min(limit, _MOST),
            with_vectors=include_vectors,
        )

    def page(self, ask: Ask) -> Plan[list[Record]]:
        """Return the records of a scan that fits a page."""
        return reading.records((yield ask), self.spec.dimension)

    def flush(self) -> Plan[None]:
        """Do nothing: what was acknowledged is on the server's disk; a dropped collection is an error here as well."""
        return reading.present(self.table)

    def optimize(self) -> Plan[None]:
        """Make the graph where it is missing, take away what is dead, and count what the planner asks."""
        if self.config.index == "hnsw":
            for made in self.table.make_graph(self.config):
                yield Ask(made)
        yield Ask(self.table.sql("VACUUM (ANALYZE) {table}"))

    def version(self) -> Plan[int | None]:
        """Return the number of writes."""
        return writing.version(self.table)

    def stats(self) -> Plan[StoreStats]:
        """Return figures."""
        return reading.stats(self.table)

    def health(self) -> Plan[StoreHealth]:
        """Look for what is wrong."""
        return reading.health(self.table, wants_graph=self.config.index == "hnsw")

    def _changed(self, plan: Plan[Any]) -> Plan[Any]:
        result = yield from writing.counted(self.table, plan)
        self._sizes.forget()
        return result

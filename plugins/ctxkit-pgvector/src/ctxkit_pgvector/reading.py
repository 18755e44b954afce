"""Reading by id and by filter, counting, and the state of a collection, as plans."""

# ruff: noqa: S608 - fragments of our own are put together; every value is a parameter

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ctxkit.filters import Filter
from ctxkit.interfaces import StoreHealth, StoreStats
from ctxkit.records import Record
from ctxkit_pgvector.codec import loaded, read, stored_ids, unpacked, written
from ctxkit_pgvector.conditions import Column, condition
from ctxkit_pgvector.plan import Ask, Plan, Rows
from ctxkit_pgvector.table import MOST_IN_GRAPH, Table

# What a record is read from; the vector last.
COLUMNS: Final = "id, text, metadata::text"
VECTOR: Final = "coalesce(exact, vector_send(embedding))"
_NUMBERS: Final = frozenset({"int", "float", "number"})


def records(rows: Rows, dimension: int) -> list[Record]:
    """Return the records of rows of `COLUMNS`, with or without a vector."""
    return [
        Record(
            read(row[0]),
            read(row[1]),
            unpacked([row[3]], dimension)[0] if len(row) > 3 and row[3] is not None else None,  # noqa: PLR2004
            metadata,
        )
        for row, metadata in zip(rows, loaded(row[2] for row in rows), strict=True)
    ]


def by_ids(table: Table, ids: Sequence[str], *, with_vectors: bool) -> Plan[list[Record | None]]:
    """Return the records of ids, in their order, repeats included, None where there is none."""
    text = f"SELECT {_columns(with_vectors=with_vectors)} FROM {{table}} WHERE id = ANY(%s)"
    rows = yield Ask(table.sql(text), (stored_ids(ids),))
    found = {row[0]: row for row in rows}
    stored = [found.get(written(record_id)) for record_id in ids]
    # Each of them made anew, so that two of one id share nothing.
    return [None if row is None else records([row], table.spec.dimension)[0] for row in stored]


def count(table: Table, node: Filter) -> Plan[int]:
    """Return how many records pass."""
    test = condition(node, table.columns)
    text = f"SELECT count(*) FROM {{table}} WHERE {test.sql}"
    number: int = (yield Ask(table.sql(text), test.values, test.prepared))[0][0]
    return number


def scan(
    table: Table, node: Filter, *, order_by: str | None, descending: bool, limit: int | None, with_vectors: bool
) -> Ask:
    """Return the statement that yields the records that pass: by id, or by a field and then by id."""
    test = condition(node, table.columns)
    order, values = ("id", ()) if order_by is None else _order(order_by, table.columns, descending=descending)
    text = (
        f"SELECT {_columns(with_vectors=with_vectors)} FROM {{table}} WHERE {test.sql} ORDER BY {order}"
        f"{'' if limit is None else ' LIMIT %s'}"
    )
    return Ask(table.sql(text), (*test.values, *values, *(() if limit is None else (limit,))), test.prepared)


def _columns(*, with_vectors: bool) -> str:
    return f"{COLUMNS}, {VECTOR}" if with_vectors else COLUMNS


def _order(field: str, columns: Mapping[str, Column], *, descending: bool) -> tuple[str, tuple[str, ...]]:
    """Return the order by a field: numbers, then strings, then records with neither; ties by id."""
    turn = "DESC" if descending else "ASC"
    column = columns.get(field)
    if column is not None and column.kind in _NUMBERS:
        return f"{column.name} {turn} NULLS LAST, id", ()
    name = written(field)
    first, second = ("string", "number") if descending else ("number", "string")
    return (
        (
            f"CASE jsonb_typeof(metadata -> %s) WHEN '{first}' THEN 0 WHEN '{second}' THEN 1 ELSE 2 END,"
            f" CASE jsonb_typeof(metadata -> %s) WHEN 'number' THEN (metadata -> %s)::numeric END {turn},"
            f" CASE jsonb_typeof(metadata -> %s) WHEN 'string' THEN metadata ->> %s END COLLATE \"C\" {turn}, id"
        ),
        (name,) * 5,
    )


def present(table: Table) -> Plan[None]:
    """Raise where the collection was dropped."""
    yield Ask(table.sql("SELECT FROM {table} LIMIT 0"))


def stats(table: Table) -> Plan[StoreStats]:
    """Return figures about the collection."""
    rows = yield Ask(
        table.sql(
            "SELECT count(*), count(embedding), pg_total_relation_size(%s::regclass),"
            " coalesce(pg_relation_size(to_regclass(%s)), 0), current_setting('server_version'),"
            " (SELECT extversion FROM pg_extension WHERE extname = 'vector') FROM {table}"
        ),
        (table.name, table.graph),
    )
    found, vectors, size, graph, server, pgvector = rows[0]
    details: dict[str, Any] = {
        "table": table.name,
        "index": "hnsw" if graph else "none",
        "index_bytes": graph,
        "postgresql": server,
        "pgvector": pgvector,
    }
    return StoreStats(rows=found, vectors=vectors, bytes_on_disk=size, details=details)


def health(table: Table, *, wants_graph: bool) -> Plan[StoreHealth]:
    """Look for indexes that are not whole, or missing; PostgreSQL itself checks its pages where checksums are on."""
    yield from present(table)
    broken = yield Ask(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = %s::regclass AND NOT indisvalid",
        (table.name,),
    )
    problems = [f"the index {name} is not whole: REINDEX INDEX {name}." for (name,) in broken]
    graph = yield Ask("SELECT to_regclass(%s) IS NOT NULL", (table.graph,))
    if wants_graph and table.spec.dimension <= MOST_IN_GRAPH and not graph[0][0]:
        problems.append("there is no HNSW index, so every search reads all vectors: call optimize().")
    return StoreHealth(ok=not problems, problems=tuple(problems))

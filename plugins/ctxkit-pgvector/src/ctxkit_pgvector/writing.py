"""Writing and deleting, as plans of one transaction each, and the number of writes.

That number is a sum of rows of which each write raises one that no other is raising, or adds one: so no write waits for
another, and the sum changes when, and only when, what was written can be seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from psycopg import sql
from psycopg.types.numeric import Int4

from ctxkit.filters import Filter
from ctxkit.records import RecordBatch
from ctxkit_pgvector.codec import PackedVectors, dumped, stored_ids, written
from ctxkit_pgvector.conditions import Condition, condition
from ctxkit_pgvector.plan import Ask, Copy, Each, Plan, ResultT
from ctxkit_pgvector.session import PackedVector
from ctxkit_pgvector.table import WORDS, Table
from ctxkit_pgvector.words import said

_COPIED_FROM: Final = 64  # records on, a batch goes by COPY into a temporary table
_AT_ONCE: Final = 2000  # records of one statement, which has to end within the statement's time
_INTO: Final = "INSERT INTO {table} (id, text, metadata, embedding, exact, words, terms) "
_REPLACING: Final = (
    " ON CONFLICT (id) DO UPDATE SET (text, metadata, embedding, exact, words, terms) ="
    " (excluded.text, excluded.metadata, excluded.embedding, excluded.exact, excluded.words, excluded.terms)"
)
_VALUES: Final = "VALUES (%s, %s, %s::text::jsonb, %s::vector, %s, %s, to_tsvector({words}, %s))"
# In the order of the ids, so that two writers of the same records wait for one another and never in a circle.
_STAGED: Final = (
    "SELECT id, text, metadata::jsonb, embedding, exact, words, to_tsvector({words}, said) FROM pg_temp.ctxkit_batch"
    ' ORDER BY id COLLATE "C"'
)
_STAGE: Final = (
    "CREATE TEMPORARY TABLE ctxkit_batch (id text, text text, metadata text, embedding vector({dimension}),"
    " exact bytea, words integer, said text) ON COMMIT DROP"
)
_COUNTED: Final = (
    "WITH raised AS (UPDATE {writes} SET number = number + 1"
    " WHERE slot = (SELECT slot FROM {writes} LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING slot)"
    " INSERT INTO {writes} (number) SELECT 1 WHERE NOT EXISTS (SELECT FROM raised)"
)
# The moment of the server's start (its last 20 bits, in seconds) stands before the number of writes: after a failover
# that lost some, or a restore, that number may stand for other contents, but on a server of another start.
# A standby answers None: another one may be asked next, which is behind it.
_VERSION: Final = (
    "SELECT CASE WHEN NOT pg_is_in_recovery() THEN"
    " ((extract(epoch FROM pg_postmaster_start_time())::bigint & 1048575) << 42) + coalesce(sum(number), 0)::bigint END"
    " FROM {writes}"
)


def upsert(table: Table, batch: RecordBatch) -> Plan[None]:
    """Write a checked batch."""
    rows = sorted(_rows(table, batch), key=lambda row: str(row[0]))
    words = sql.Literal(WORDS)
    if len(rows) < _COPIED_FROM:
        if rows:
            yield Each(table.sql(_INTO + _VALUES + _REPLACING, words=words), rows)
        else:
            yield Ask(table.sql("SELECT FROM {table} LIMIT 0"))
        return
    yield Ask(table.sql(_STAGE, dimension=sql.Literal(table.spec.dimension)))
    for start in range(0, len(rows), _AT_ONCE):
        if start:
            yield Ask("TRUNCATE pg_temp.ctxkit_batch")
        yield Copy("COPY pg_temp.ctxkit_batch FROM STDIN (FORMAT BINARY)", rows[start : start + _AT_ONCE])
        yield Ask(table.sql(_INTO + _STAGED + _REPLACING, words=words))


def _rows(table: Table, batch: RecordBatch) -> Iterator[Sequence[Any]]:
    """Yield what each record's columns are made of."""
    present = np.ones(len(batch), dtype=np.bool_) if batch.present is None else batch.present
    vectors = PackedVectors(np.asarray(batch.vectors, dtype=np.float32), table.spec.metric, table.longest)
    texts, metadata = batch.texts or (), batch.metadata or ()
    for row, (record_id, text, values) in enumerate(zip(batch.ids, texts, metadata, strict=True)):
        words, count = said(text)
        compared = PackedVector(vectors.compared(row)) if present[row] else None
        exact = vectors.exact(row) if present[row] else None
        yield written(record_id), written(text), dumped(values), compared, exact, Int4(count), words


def delete(table: Table, ids: Sequence[str] | None, node: Filter | None) -> Plan[int]:
    """Delete by id, by filter, or the intersection; return how many existed."""
    test = Condition("TRUE") if node is None else condition(node, table.columns)
    values: tuple[Any, ...] = test.values
    chosen = test.sql
    if ids is not None:
        chosen = f"id = ANY(%s) AND {test.sql}"
        values = (stored_ids(ids), *values)
    text = f"DELETE FROM {{table}} WHERE id IN (SELECT id FROM {{table}} WHERE {chosen} ORDER BY id FOR UPDATE)"  # noqa: S608 - no value is in it
    count: int = (yield Ask(table.sql(text), values, test.prepared))[0][0]
    return count


def counted(table: Table, plan: Plan[ResultT]) -> Plan[ResultT]:
    """Follow a plan that writes, and raise the number of writes by one."""
    result = yield from plan
    yield Ask(table.sql(_COUNTED))
    return result


def version(table: Table) -> Plan[int | None]:
    """Return a number that each write raises by one and another start of the server changes, None on a standby."""
    found: int | None = (yield Ask(table.sql(_VERSION)))[0][0]
    return found

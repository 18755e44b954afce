"""How long ctxkit takes on PostgreSQL, as a multiple of what psycopg alone takes for the same.

    python scripts/measure_overhead.py VECTORS.npy GLOSSES.jsonl.gz
    python scripts/measure_overhead.py VECTORS.npy GLOSSES.jsonl.gz --rows 10000 --cpu

The table that psycopg writes is what one would make by hand: id, text, jsonb, vector, a tsvector generated from the
text, an HNSW index with the same options, a GIN index, and generated columns with indexes for what is filtered by. Rows
come by COPY, and a search is one prepared statement that returns what a hit has: id, text, metadata as a dict and
distance, in binary, on a connection that is open. ctxkit's statement returns vectors besides, for its scores.

Two graphs of the same vectors are not equally fast: one table made twice by hand differs by up to a tenth. So psycopg
searches in its own table, in ctxkit's ("same table"), and there with the statement of ctxkit itself ("same SQL").
All work turn by turn, twenty questions each, so that what else the machine does hits all; whose turn is first changes,
and at any time each is at other questions: who asks what another has just asked finds that part of the graph in the
processor's caches. psycopg asks on a new connection with the same options of the search: one that has copied many rows
keeps memory that a new one asks of the system for each question, which is a tenth of its time, and which ctxkit has its
connections keep as well. Shown are the medians, and the sums, of ours over theirs. --cpu counts the processor time
of this process and of the server's.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from ctxkit_pgvector.codec import packed_one
from ctxkit_pgvector.config import PgvectorConfig
from ctxkit_pgvector.server import PostgresServer
from ctxkit_pgvector.session import PackedVector, arguments
from ctxkit_pgvector.store import PgvectorStore
from psycopg.types.json import Jsonb

from ctxkit.interfaces import CollectionSpec
from ctxkit.records import FloatVector, FloatVectors, RecordBatch

K = 10
_AT_ONCE = 20
TABLE = """
DROP TABLE IF EXISTS plain;
CREATE TABLE plain (id text PRIMARY KEY, text text, metadata jsonb, embedding vector({}) STORAGE PLAIN,
    words tsvector GENERATED ALWAYS AS (to_tsvector('english', text)) STORED,
    ten numeric GENERATED ALWAYS AS ((metadata -> 'ten')::numeric) STORED,
    hundred numeric GENERATED ALWAYS AS ((metadata -> 'hundred')::numeric) STORED);
CREATE INDEX ON plain USING gin (words);
CREATE INDEX ON plain (ten);
CREATE INDEX ON plain (hundred)
"""
GRAPH = "CREATE INDEX ON plain USING hnsw (embedding vector_cosine_ops) WITH (m = 16, ef_construction = 64)"
OPTIONS = """
SELECT set_config('jit', 'off', false), set_config('hnsw.iterative_scan', 'relaxed_order', false),
    set_config('hnsw.ef_search', %s, false), set_config('hnsw.max_scan_tuples', %s, false)
"""
SEARCH = """
SELECT id, text, metadata, embedding <=> %s::vector AS distance FROM {} WHERE {} ORDER BY distance LIMIT {}
"""
SAME = """
SELECT id, text, metadata, exact, embedding FROM (SELECT id, text, metadata, exact, embedding FROM {}
WHERE embedding IS NOT NULL AND {} ORDER BY embedding <=> %s::vector LIMIT {} + 1) nearest
"""
FILTERS: dict[str, dict[str, Any]] = {"query": {}, "query, 10 %": {"ten": 1}, "query, 1 %": {"hundred": 1}}


class Plain:
    """The table by hand, and psycopg."""

    def __init__(self, config: PgvectorConfig, dimension: int) -> None:
        self._config = config
        self.connect()
        self._connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        for statement in TABLE.format(dimension).split(";"):
            self._connection.execute(statement.encode())

    def connect(self) -> None:
        """Go on with a new connection."""
        self._connection = psycopg.connect(**arguments(self._config))
        chosen = (str(self._config.ef_search), str(self._config.max_scan_tuples))
        self._connection.execute(OPTIONS, chosen)

    def make_graph(self) -> None:
        """Make the HNSW index."""
        self._connection.execute(GRAPH)

    def write(self, batch: RecordBatch) -> None:
        """Write by COPY."""
        rows = zip(batch.ids, batch.texts or (), batch.metadata or (), np.asarray(batch.vectors), strict=True)
        into = "COPY plain (id, text, metadata, embedding) FROM STDIN (FORMAT BINARY)"
        with self._connection.transaction(), self._connection.cursor() as cursor, cursor.copy(into) as copy:
            for record_id, text, metadata, vector in rows:
                copy.write_row((record_id, text, Jsonb(metadata), PackedVector(packed_one(vector))))

    def search(self, vector: FloatVector, table: str, test: str, sql: str = SEARCH) -> list[Any]:
        """Ask for the nearest."""
        with self._connection.cursor(binary=True) as cursor:
            statement = sql.format(table, test, K).encode()
            return cursor.execute(statement, (PackedVector(packed_one(vector)),)).fetchall()

    def tidy(self) -> None:
        """Do what optimize() does."""
        self._connection.execute("VACUUM (ANALYZE) plain")

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def processor_time(server: PostgresServer) -> float:
    """Return how many seconds this process and the server's have worked so far."""
    found = time.process_time()
    for process in server.processes:
        with suppress(OSError):
            found += int(Path(f"/proc/{process}/schedstat").read_text("ascii").split()[0]) / 1e9
    return found


def turns(
    times: int,
    calls: Sequence[Callable[[int], object]],
    clock: Callable[[], float],
    at_once: int = 1,
    rounds: int = 1,
) -> list[list[float]]:
    """Return the times of each in milliseconds a call, called by turns, some calls between two looks at the clock.

    In a round each is called with every number below `times`, and at no time two with the same.
    """
    figures: list[list[float]] = [[] for _ in calls]
    for turn, first in enumerate([*range(0, times - at_once + 1, at_once)] * rounds):
        for place in range(len(calls)):
            who = (place + turn) % len(calls)
            ahead = who * (times // len(calls))
            start = clock()
            for number in range(first, first + at_once):
                calls[who]((number + ahead) % times)
            figures[who].append(1000 * (clock() - start) / at_once)
    return figures


def show(what: str, plain: list[float], ours: list[float]) -> None:
    """Print one line."""
    middle, whole = np.median(ours) / np.median(plain), sum(ours) / sum(plain)
    print(
        f"{what:14} psycopg {np.median(plain):9.2f} ms  ctxkit {np.median(ours):9.2f} ms"
        f"  ratio of medians {middle:5.2f}, of sums {whole:5.2f}",
        flush=True,
    )


def batches(given: argparse.Namespace) -> tuple[list[RecordBatch], FloatVectors]:
    """Return the rows to write, and vectors to ask for, which are among them no more."""
    vectors = np.load(given.vectors, mmap_mode="r")[: given.rows + given.times].astype(np.float32)
    with gzip.open(given.glosses, "rt", encoding="utf-8") as file:
        texts = [json.loads(line).get("text") or line for line in islice(file, given.rows)]
    rows = min(given.rows, len(texts), len(vectors) - given.times)
    made = []
    for start in range(0, rows, given.batch):
        part = range(start, min(start + given.batch, rows))
        metadata = [{"n": i, "ten": i % 10, "hundred": i % 100} for i in part]
        ids = [f"r{i:06d}" for i in part]
        made.append(RecordBatch(ids, vectors[part.start : part.stop], texts[part.start : part.stop], metadata))
    return made, vectors[rows : rows + given.times]


def measure_ingest(given: argparse.Namespace, parts: list[RecordBatch], server: PostgresServer) -> None:
    """Write batches into tables that have their graph."""
    config, spec = config_of(server), spec_of(parts)
    plain = Plain(config, spec.dimension)
    plain.make_graph()
    with PgvectorStore.open(spec.model_copy(update={"name": "ingested"}), config) as store:
        calls = (lambda n: plain.write(parts[n]), lambda n: store.upsert(parts[n]))
        figures = turns(min(given.batches, len(parts)), calls, clock_of(given, server))
    show(f"ingest {given.batch}", *figures)
    print(f"{'':14} rows a second, as a share of COPY: {sum(figures[0]) / sum(figures[1]):.2f}")
    plain.close()


def measure_queries(
    given: argparse.Namespace, parts: list[RecordBatch], queries: FloatVectors, server: PostgresServer
) -> None:
    """Write everything, make both graphs in one go, and search."""
    config, spec = config_of(server), spec_of(parts)
    plain = Plain(config, spec.dimension)
    with PgvectorStore.open(spec, config.model_copy(update={"index": "none"})) as store:
        for part in parts:
            plain.write(part)
            store.upsert(part)
    plain.make_graph()
    plain.tidy()
    plain.close()
    plain.connect()
    with PgvectorStore.open(spec, config) as store:
        store.optimize()
        table = store.stats().details["table"]
        clock = clock_of(given, server)
        names = {field: f"f{place}" for place, field in enumerate(spec.fields)}
        for what, where in FILTERS.items():
            by_hand = " AND ".join(["TRUE", *(f"{field} = {value}" for field, value in where.items())])
            same = " AND ".join(["TRUE", *(f"{names[field]} = {value}" for field, value in where.items())])
            calls = (
                lambda n, test=by_hand: plain.search(queries[n], "plain", test),
                lambda n, test=same: plain.search(queries[n], f"{config.schema_name}.{table}", test),
                lambda n, test=same: plain.search(queries[n], f"{config.schema_name}.{table}", test, SAME),
                lambda n, where=where: store.query(queries[n], K, where=where),
            )
            turns(_AT_ONCE, calls, time.perf_counter, _AT_ONCE)
            own, shared, same_sql, ours = turns(len(queries), calls, clock, _AT_ONCE, given.rounds)
            show(what, own, ours)
            show("  same table", shared, ours)
            show("  same SQL", same_sql, ours)
        print(store.stats())
    plain.close()


def config_of(server: PostgresServer) -> PgvectorConfig:
    """Return how to reach the server."""
    return PgvectorConfig.model_validate({"conninfo": server.conninfo})


def spec_of(parts: list[RecordBatch]) -> CollectionSpec:
    """Return the collection for these rows."""
    fields = {"ten": "int", "hundred": "int"}
    return CollectionSpec(name="measured", dimension=np.asarray(parts[0].vectors).shape[1], fields=fields)


def clock_of(given: argparse.Namespace, server: PostgresServer) -> Callable[[], float]:
    """Return the clock that was asked for."""
    return partial(processor_time, server) if given.cpu else time.perf_counter


def main() -> None:
    """Measure with the rows that were given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors", type=Path, help="float vectors, .npy, one row each")
    parser.add_argument("glosses", type=Path, help="their texts, .jsonl.gz")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--batches", type=int, default=10, help="batches of the measurement of ingest")
    parser.add_argument("--times", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5, help="how often each question is asked")
    parser.add_argument("--cpu", action="store_true", help="measure processor time instead of the clock on the wall")
    given = parser.parse_args()
    parts, queries = batches(given)
    server = PostgresServer(["-cshared_buffers=512MB", "-cmaintenance_work_mem=512MB", "-cautovacuum=off"])
    try:
        measure_ingest(given, parts, server)
        measure_queries(given, parts, queries, server)
    finally:
        server.stop()


if __name__ == "__main__":
    main()

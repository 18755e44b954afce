"""Search by words: BM25 in SQL, as the engine of ctxkit ranks.

PostgreSQL finds a word in `terms` by its index, and `ts_rank_cd` of a single word, with all weights 1, is how often the
word is there: https://www.postgresql.org/docs/current/textsearch-controls.html. The weight of a word and the mean
length are those of the whole collection, whatever the filter: the formula is SQLite's, k1 = 1.2 and b = 0.75,
https://www.sqlite.org/fts5.html#the_bm25_function.
"""

from __future__ import annotations

from typing import Final

from ctxkit.records import Hit, Hits
from ctxkit_pgvector.codec import loaded, read
from ctxkit_pgvector.conditions import Condition
from ctxkit_pgvector.plan import Ask, Plan
from ctxkit_pgvector.reading import COLUMNS
from ctxkit_pgvector.table import WORDS, Table
from ctxkit_pgvector.words import asked

SIZES: Final = "SELECT count(*)::float8 AS n, coalesce(avg(words), 0)::float8 AS mean FROM {table}"
_KNOWN: Final = "SELECT %s::float8 AS n, %s::float8 AS mean"
_SCORED: Final = (
    "WITH sizes AS MATERIALIZED ({sizes}), asked AS MATERIALIZED ("
    "SELECT row_number() OVER (ORDER BY q) AS place, q FROM (SELECT DISTINCT CASE WHEN part"
    " THEN ('''' || word || ''':*')::tsquery ELSE plainto_tsquery('{words}', word) END AS q"
    " FROM unnest(%s::text[], %s::boolean[]) AS given (word, part)) terms WHERE numnode(q) > 0),"
    " met AS MATERIALIZED (SELECT r.id, r.words, asked.place,"
    " ts_rank_cd('{{{{1,1,1,1}}}}', r.terms, asked.q)::float8 AS times, {test} AS passes"
    " FROM asked JOIN {table} r ON r.terms @@ asked.q),"
    " weights AS (SELECT place,"
    " greatest(ln((greatest(n, count(*)) - count(*) + 0.5) / (count(*) + 0.5)), 1e-6) AS weight"
    " FROM met CROSS JOIN sizes GROUP BY place, n),"
    " best AS MATERIALIZED (SELECT id, sum(weight * times * 2.2"
    " / (times + 1.2 * (0.25 + 0.75 * words / greatest(mean, 1))) ORDER BY place) AS score"
    " FROM met JOIN weights USING (place) CROSS JOIN sizes WHERE passes GROUP BY id ORDER BY score DESC, id LIMIT %s)"
    " SELECT {columns}, score FROM best JOIN {table} USING (id) ORDER BY score DESC, id"
)


def search(table: Table, text: str, k: int, test: Condition, sizes: tuple[float, float] | None) -> Plan[Hits]:
    """Return up to k records that share words with the text; `sizes` are count and mean length, None to look."""
    words, parts = asked(text)
    if not words:
        yield Ask(table.sql("SELECT FROM {table} LIMIT 0"))  # a dropped collection is an error here as well
        return Hits()
    filled = _SCORED.format(
        sizes=SIZES if sizes is None else _KNOWN,
        words=WORDS,
        test=f"({test.sql}) IS TRUE",
        table="{table}",
        columns=COLUMNS,
    )
    rows = yield Ask(table.sql(filled), (*(sizes or ()), words, parts, *test.values, k))
    found = zip(rows, loaded(row[2] for row in rows), strict=True)
    return Hits([Hit(read(row[0]), row[3], read(row[1]), metadata) for row, metadata in found])

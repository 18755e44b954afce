"""What PostgreSQL adds to the contract: roles, versions, indexes, words, snapshots, many writers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from ctxkit_pgvector.async_store import AsyncPgvectorStore
from ctxkit_pgvector.codec import packed_one, stored_ids
from ctxkit_pgvector.conditions import condition
from ctxkit_pgvector.config import PgvectorConfig
from ctxkit_pgvector.harness import PgvectorHarness
from ctxkit_pgvector.plan import Ask, drive
from ctxkit_pgvector.session import PackedVector, arguments, settings
from ctxkit_pgvector.store import PgvectorStore
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import (
    ConfigError,
    InvalidQueryError,
    InvalidRecordError,
    StoreUnavailableError,
    UnsupportedError,
)
from ctxkit.filters import matches, parse
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import Metric, Record, RecordBatch

SPEC = CollectionSpec(name="notes", dimension=3)
ONE = [1.0, 0.0, 0.0]


@pytest.fixture(scope="module")
def harness() -> Iterator[PgvectorHarness]:
    """A server of these tests, or the one that the environment names."""
    made = PgvectorHarness(PgvectorConfig, {})
    yield made
    made.close()


@pytest.fixture
def config(harness: PgvectorHarness, tmp_path: Path) -> PgvectorConfig:
    """A configuration with a schema of its own."""
    return harness.fresh(tmp_path)


@pytest.fixture
def admin(config: PgvectorConfig) -> Iterator[psycopg.Connection[Any]]:
    """A connection beside the store, in the schema of the test."""
    with psycopg.connect(config.conninfo.get_secret_value(), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute(sql.SQL("SET search_path = {}, public").format(sql.Identifier(config.schema_name)))
        yield connection


def with_user(config: PgvectorConfig, **parts: str) -> PgvectorConfig:
    """Return the configuration with other parts of the address."""
    given = config.conninfo.get_secret_value()
    return PgvectorConfig.model_validate(
        {**config.model_dump(), "conninfo": psycopg.conninfo.make_conninfo(given, **parts)}
    )


@pytest.fixture
def role(admin: psycopg.Connection[Any]) -> Iterator[str]:
    """A role that may do nothing yet."""
    admin.execute("CREATE ROLE app LOGIN")
    yield "app"
    admin.execute("DROP OWNED BY app")
    admin.execute("DROP ROLE app")


def test_a_role_with_few_rights(config: PgvectorConfig, admin: psycopg.Connection[Any], role: str) -> None:
    """An application's role reads and writes a collection that another one has made, and may not make one."""
    app = with_user(config, user=role)
    with pytest.raises(StoreUnavailableError, match="rights that docs"):
        PgvectorStore.open(SPEC, app)
    PgvectorStore.open(SPEC, config).close()
    for right in (
        "GRANT USAGE ON SCHEMA {} TO app",
        "GRANT SELECT ON {}.collections TO app",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {} TO app",
    ):
        admin.execute(sql.SQL(right).format(sql.Identifier(config.schema_name)))
    with PgvectorStore.open(SPEC, app) as store:
        store.upsert([Record("a", "by the application", ONE)])
        store.upsert([Record(f"b{i}", "many", ONE) for i in range(100)])
        assert (store.count(), store.delete(["a"]), store.text_query("many", 1).ids) == (101, 1, ["b0"])
        with pytest.raises(StoreUnavailableError, match="rights"):
            PgvectorStore.open(SPEC.model_copy(update={"name": "another"}), app)


@pytest.fixture
def database(admin: psycopg.Connection[Any]) -> Iterator[Callable[[str], str]]:
    """Makes a database with options, and takes it away at the end."""
    made: list[str] = []

    def make(options: str) -> str:
        name = f"other{len(made)}"
        made.append(name)
        admin.execute(f"CREATE DATABASE {name} {options}")
        return name

    yield make
    for name in made:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_an_old_pgvector_is_refused(config: PgvectorConfig, database: Callable[[str], str]) -> None:
    """Before 0.8 a filter could leave fewer hits than there are: said at opening, with what to do."""
    other = with_user(config, dbname=database(""))
    with psycopg.connect(other.conninfo.get_secret_value()) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute("UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'")
    with pytest.raises(UnsupportedError, match=r"pgvector 0\.7\.4.*ALTER EXTENSION vector UPDATE"):
        PgvectorStore.open(SPEC, other)


def test_another_encoding_is_refused(config: PgvectorConfig, database: Callable[[str], str]) -> None:
    """Texts of any language, and their order, need UTF8."""
    name = database("TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    with pytest.raises(ConfigError, match=r"SQL_ASCII.*UTF8"):
        PgvectorStore.open(SPEC, with_user(config, dbname=name))


def test_the_extension_is_made_where_others_look(config: PgvectorConfig, database: Callable[[str], str]) -> None:
    """A superuser's first opening makes the extension in the schema public, as CREATE EXTENSION by hand would."""
    other = with_user(config, dbname=database(""))
    PgvectorStore.open(SPEC, other).close()
    with psycopg.connect(other.conninfo.get_secret_value()) as connection:
        home = "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector'"
        assert connection.execute(home).fetchone() == ("public",)


def test_pgvector_in_a_schema_of_its_own(config: PgvectorConfig, database: Callable[[str], str]) -> None:
    """Managed servers often keep extensions apart; names that need quotes are names."""
    other = with_user(config, dbname=database("")).model_copy(update={"schema_name": 'my "notes"'})
    with psycopg.connect(other.conninfo.get_secret_value()) as connection:
        connection.execute('CREATE SCHEMA "the extensions"; CREATE EXTENSION vector SCHEMA "the extensions"')
    for _ in range(2):
        with PgvectorStore.open(SPEC, other) as store:
            store.upsert([Record("a", "north", ONE)])
            assert store.query(ONE, 1)[0].ids == store.text_query("north", 1).ids == ["a"]


def test_a_declared_field_is_found_by_its_index(config: PgvectorConfig, admin: psycopg.Connection[Any]) -> None:
    """Each declared field is a generated column with an index, which its filters use."""
    spec = CollectionSpec(name="n", dimension=3, fields={"it's": "int", "tags": "list", "who": "str"})
    with PgvectorStore.open(spec, config) as store:
        store.upsert([Record(f"r{i}", "", ONE, {"it's": i, "tags": [f"t{i}"], "who": f"w{i}"}) for i in range(1000)])
        store.optimize()
        table = store.stats().details["table"]
        for where in ({"it's": {"$gte": 998}}, {"tags": {"$contains": "t7"}}, {"who": "w7"}, {"who": {"$in": ["w7"]}}):
            test = condition(parse(where), store._collection.table.columns)
            admin.execute("SET enable_seqscan = off")
            plan = admin.execute(
                store._collection.table.sql("EXPLAIN SELECT id FROM {table} WHERE " + test.sql),  # noqa: S608
                test.values,
            ).fetchall()
            assert f"Index Scan on {table}_f" in str(plan) or f"Index Scan using {table}_f" in str(plan)


def test_a_server_may_publish_its_tables(config: PgvectorConfig, admin: psycopg.Connection[Any]) -> None:
    """Logical replication of all tables refuses to change one without a key; there is none such."""
    admin.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    try:
        with PgvectorStore.open(SPEC, config) as store:
            for number in range(3):
                store.upsert([Record(f"r{number}", "", ONE)])
            assert store.delete(["r0"]) == 1
            assert store.count() == 2
    finally:
        admin.execute("DROP PUBLICATION everything")


def test_a_filter_is_planned_for_its_values(config: PgvectorConfig) -> None:
    """Whoever asks often has the plan kept, but not that of a filter: another value may need another index."""
    one = config.model_copy(update={"pool_size": 1})
    with PgvectorStore.open(CollectionSpec(name="n", dimension=3, fields={"lex": "int"}), one) as store:
        store.upsert([Record(f"r{i}", "", ONE, {"lex": i % 7}) for i in range(50)])
        for number in range(12):
            store.query(ONE, 3)
            store.query(ONE, 3, where={"lex": number})
            store.count({"lex": number})
            list(store.scan({"lex": number}, limit=2))
            store.delete(where={"lex": number + 100})

        def kept() -> Generator[Ask, list[tuple[Any, ...]], str]:
            return str((yield Ask("SELECT array_agg(statement) FROM pg_prepared_statements"))[0][0])

        statements = store._links.read(kept)
    column = store._collection.table.columns["lex"].name
    assert "embedding" in statements
    assert column not in statements


def test_long_strings_in_a_declared_field(config: PgvectorConfig) -> None:
    """An index has no room for a long string: its beginning is indexed, and nothing is mistaken for another."""
    long = "é" * 5000
    values = ["é", "é" * 199, "é" * 200, long, long + "a", long + "b", "é" * 200 + "z", "z", ""]
    with PgvectorStore.open(CollectionSpec(name="n", dimension=3, fields={"s": "str"}), config) as store:
        records = [Record(f"r{i}", "", None, {"s": value}) for i, value in enumerate(values)]
        store.upsert(records)
        for operator in ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte"):
            for value in values:
                where = {"s": {operator: value}}
                expected = sum(matches(parse(where), record.metadata) for record in records)
                assert store.count(where) == expected, (operator, len(value))
        assert store.count({"s": {"$in": [long, "z"]}}) == 2


def test_a_field_declared_by_another_handle_is_kept(config: PgvectorConfig) -> None:
    """The server itself checks the types of declared fields, for handles that do not know of them yet."""
    with PgvectorStore.open(SPEC, config) as old:
        PgvectorStore.open(SPEC.model_copy(update={"fields": {"n": "int", "f": "float"}}), config).close()
        old.upsert([Record("a", "", ONE, {"n": 1, "f": 1.0})])
        for wrong in ({"n": 1.0}, {"n": "1"}, {"f": 1}, {"n": True}):
            with pytest.raises(InvalidRecordError, match="declared field"):
                old.upsert([Record("b", "", ONE), Record("c", "", ONE, wrong)])
        assert old.count() == 1


TEXTS = [
    "the quick brown foxes jumped over the lazy dog",
    "a fox is a fox is a fox",
    "dogs and foxes and dogs",
    "the the the the the",
    "Ärger über Öl, naïve café",
    "記憶は失われない",
    "東京都に住む",
    "",
    "foxglove",
    "word " * 400 + "fox",
]


def test_words_are_ranked_as_by_the_engine(config: PgvectorConfig) -> None:
    """Switching stores changes neither which texts a question finds, nor their order, nor their BM25."""
    records = [Record(f"r{i}", text, ONE, {"even": i % 2 == 0}) for i, text in enumerate(TEXTS)]
    questions = ("fox", "the dog", "quick foxes", "cafe arger", "記憶", "東", "no such", "lazy the fox fox", "FOX's \0")
    with PgvectorStore.open(SPEC, config) as store, ExactStore.open(SPEC, ExactConfig()) as engine:
        for each in (store, engine):
            each.upsert(records)
        for question in questions:
            for where in (None, {"even": True}):
                found, expected = (
                    store.text_query(question, 9, where=where),
                    engine.text_query(question, 9, where=where),
                )
                assert found.ids == expected.ids, question
                assert found.scores == pytest.approx(expected.scores, rel=1e-6, abs=1e-9), question


def test_sizes_that_are_known_rank_alike(config: PgvectorConfig) -> None:
    """A large collection's count and mean length are looked up now and then; the ranking is the same."""
    records = [Record(f"r{i}", text, ONE) for i, text in enumerate(TEXTS)]
    with PgvectorStore.open(SPEC, config) as store:
        store.upsert(records)
        large = PgvectorStore.open(SPEC, config.model_copy(update={"exact_below": 0}))
        with large:
            for question in ("fox", "the dog"):
                assert large.text_query(question, 9).ids == store.text_query(question, 9).ids
                assert list(large.text_query(question, 9).scores) == list(store.text_query(question, 9).scores)


def test_only_what_could_be_among_the_best_is_scored(config: PgvectorConfig) -> None:
    """Rare and common words in any mixture, filters, few and many hits: the same as where every record is scored."""
    chance = np.random.default_rng(3)
    frequencies = 1 / np.arange(1, 401)
    frequencies /= frequencies.sum()
    texts = [[f"w{word}" for word in chance.choice(400, chance.integers(3, 30), p=frequencies)] for _ in range(1500)]
    records = [
        Record(f"r{row}", " ".join(words), ONE, {"few": row % 50, "most": row % 10 > 0})
        for row, words in enumerate(texts)
    ]
    spec = SPEC.model_copy(update={"fields": {"few": "int"}})
    questions = [
        " ".join(f"w{word}" for word in chance.choice(400, size)) for size in (1, 2, 4, 8, 16) for _ in range(6)
    ]
    questions += ["w0 w1 w2", "w399 w0", "w0", "nothing w399 w398 w1", " ".join(f"w{word}" for word in range(1200))]
    large = config.model_copy(update={"exact_below": 0})
    with PgvectorStore.open(spec, large) as store, ExactStore.open(spec, ExactConfig()) as engine:
        for each in (store, engine):
            each.upsert(records)
        for number, question in enumerate(questions):
            for k in (1, 10, 200):
                where = ({}, {"few": 7}, {"most": True})[number % 3]
                found, expected = (each.text_query(question, k, where=where) for each in (store, engine))
                assert found.scores == pytest.approx(expected.scores, rel=1e-9), (question, k)
                theirs = {hit.id: hit.score for hit in engine.text_query(question, 1500, where=where)}
                assert [theirs[hit.id] for hit in found] == pytest.approx(found.scores, rel=1e-9), (question, k)


def test_a_question_of_more_words_than_a_statement_has_columns(config: PgvectorConfig) -> None:
    """Words that a text holds beside others count as they do in a short question."""
    with PgvectorStore.open(SPEC, config) as store, ExactStore.open(SPEC, ExactConfig()) as engine:
        for each in (store, engine):
            each.upsert([Record(f"r{row}", f"w{row} w{row + 1} w{row + 2}", ONE) for row in range(2500)])
        question = " ".join(f"w{word}" for word in range(2000))
        found, expected = (each.text_query(question, 2100) for each in (store, engine))
        assert found.scores == pytest.approx(expected.scores, rel=1e-9)
        assert len(found) == 2000


def test_a_text_beyond_what_is_indexed(config: PgvectorConfig) -> None:
    """A text of megabytes is stored whole; its first 500 000 bytes of words are found."""
    text = "first " + " ".join(f"w{i}x{i * 7919}" for i in range(200_000)) + " last"
    with PgvectorStore.open(SPEC, config) as store:
        store.upsert([Record("a", text, ONE)])
        assert store.get(["a"]) == [Record("a", text)]
        assert (store.text_query("first", 1).ids, store.text_query("last", 1).ids) == (["a"], [])


def test_a_filter_that_starves_the_graph_is_searched_exactly(config: PgvectorConfig) -> None:
    """The graph is left after a few vectors, all of which the filter excludes: the hits are there all the same."""
    small = config.model_copy(update={"exact_below": 0, "max_scan_tuples": 1, "ef_search": 1})
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(600, 3)).astype(np.float32)
    vectors[:20] = [-1, 0.1, 0.1]
    batch = RecordBatch([f"r{i:03d}" for i in range(600)], vectors, None, [{"far": i < 20} for i in range(600)])
    with PgvectorStore.open(SPEC, small) as store:
        store.upsert(batch)
        store.optimize()
        with psycopg.connect(config.conninfo.get_secret_value()) as connection:
            connection.execute("ALTER ROLE postgres SET enable_seqscan = off")
        try:
            with PgvectorStore.open(SPEC, small) as other:
                hits = other.query(ONE, 30, where={"far": True})[0]
        finally:
            with psycopg.connect(config.conninfo.get_secret_value()) as connection:
                connection.execute("ALTER ROLE postgres RESET enable_seqscan")
    assert hits.ids == [f"r{i:03d}" for i in range(20)]
    assert not hits.truncated


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("index", ["hnsw", "none"])
def test_lengths_beyond_what_pgvector_can_square(config: PgvectorConfig, metric: Any, index: Any) -> None:
    """pgvector sums in float32: very long and very short vectors are scored from what was given."""
    vectors = np.array(
        [
            [1e30, 1e30, 0],
            [1e-30, 0, 1e-30],
            [3e38, 1, 1],
            [1, 2, 3],
            [-2e19, 1e19, 1e19],
            [1e-40, 1e-42, 0],
            [0, 1, 0],
        ],
        dtype=np.float32,
    )
    spec = CollectionSpec(name=f"{metric} {index}", dimension=3, metric=metric)
    queries = np.concatenate([vectors, [[1, 1, 1]]])
    with (
        PgvectorStore.open(spec, config.model_copy(update={"index": index})) as store,
        ExactStore.open(spec, ExactConfig()) as exact,
    ):
        for each in (store, exact):
            each.upsert(RecordBatch([f"r{i}" for i in range(len(vectors))], vectors))
        ids = [f"r{i}" for i in range(len(vectors))]
        assert store.get(ids, include_vectors=True) == exact.get(ids, include_vectors=True)
        for query in queries:
            for k in (1, 3, 7):
                found, expected = store.query(query, k)[0], exact.query(query, k)[0]
                assert list(found.scores) == pytest.approx(list(expected.scores), rel=1e-6, abs=1e-12)
                assert found.ids == expected.ids


def test_a_scan_reads_pages_of_one_snapshot(config: PgvectorConfig, admin: psycopg.Connection[Any]) -> None:
    """A scan is a server-side cursor: a page is fetched at a time, and later writes are not in it."""
    with PgvectorStore.open(SPEC, config) as store:
        store.upsert([Record(f"r{i:04d}", "", ONE) for i in range(1000)])
        records = store.scan()
        assert next(records).id == "r0000"
        store.delete([f"r{i:04d}" for i in range(500, 1000)])
        last = admin.execute("SELECT query FROM pg_stat_activity WHERE state = 'idle in transaction'").fetchall()
        assert any("FETCH FORWARD 256" in query for (query,) in last), last
        assert len(list(records)) == 999
        assert store.count() == 500


def test_many_scans_leave_connections_for_calls(config: PgvectorConfig) -> None:
    """Scans that are open have connections of their own: a call among them does not wait for itself."""
    with PgvectorStore.open(SPEC, config.model_copy(update={"pool_size": 2, "pool_timeout": 2.0})) as store:
        store.upsert([Record(f"r{i:04d}", "", ONE) for i in range(600)])
        scans = [store.scan(), store.scan()]
        assert [next(scan).id for scan in scans] == ["r0000"] * 2
        assert store.count() == 600
        with pytest.raises(StoreUnavailableError, match="pool_size"):
            next(store.scan())
        for scan in scans:
            assert len(list(scan)) == 599


def test_an_index_is_made_later(config: PgvectorConfig) -> None:
    """A large import is faster without the graph; optimize() makes it, and health says that it is missing."""
    with PgvectorStore.open(SPEC, config.model_copy(update={"index": "none"})) as store:
        store.upsert([Record(f"r{i}", "", [1, i, 0]) for i in range(50)])
        assert store.health().ok
    with PgvectorStore.open(SPEC, config) as store:
        assert "optimize()" in str(store.health().problems)
        store.optimize()
        assert (store.health().ok, store.stats().details["index"]) == (True, "hnsw")


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_a_graph_in_half_precision(config: PgvectorConfig, metric: Metric) -> None:
    """From 2001 to 4000 dimensions the graph proposes and the vectors decide, also those beyond half precision."""
    made = np.random.default_rng(0).normal(size=(330, 3072)).astype(np.float32)
    made[:3] *= 1e6
    made[3:6] *= 1e-9
    made[6] = made[7]
    spec = CollectionSpec(name="long", dimension=3072, metric=metric)
    ids = [f"r{row:03d}" for row in range(300)]
    # The planner would read so small a table as a whole.
    address = make_conninfo(config.conninfo.get_secret_value(), options="-c enable_seqscan=off")
    walked = config.model_copy(update={"conninfo": SecretStr(address), "exact_below": 0, "ef_search": 400})
    with PgvectorStore.open(spec, walked) as store:
        store.upsert(RecordBatch(ids, made[:300]))
        assert (store.health().ok, store.stats().details["index"]) == (True, "hnsw")
        asked = np.concatenate([made[:10], made[300:]])
        table = store._collection.table
        with psycopg.connect(**arguments(walked)) as connection:
            connection.execute(*settings(walked, store._links.path))
            explained = table.sql("EXPLAIN SELECT FROM {table} ORDER BY " + table.by_graph + " LIMIT 5").encode()
            shown = connection.execute(explained, (PackedVector(packed_one(asked[9])),)).fetchall()
        assert table.graph in str(shown)
        found = store.query(asked, 5)
    with PgvectorStore.open(spec, config.model_copy(update={"index": "none"})) as store:
        exact = store.query(asked, 5)
    pairs = zip(found, exact, strict=True)
    differ = [ours for ours, theirs in pairs if (ours.ids, [*ours.scores]) != (theirs.ids, [*theirs.scores])]
    assert len(differ) <= 1


def test_vectors_too_long_for_the_graph(config: PgvectorConfig) -> None:
    """Beyond 4000 dimensions the search is exact; beyond 16 000 there is a typed error."""
    with PgvectorStore.open(CollectionSpec(name="long", dimension=4001), config) as store:
        store.upsert(RecordBatch(["a", "b"], np.eye(4001)[:2]))
        assert store.query(np.eye(4001)[1], 1)[0].ids == ["b"]
        assert (store.health().ok, store.stats().details["index"]) == (True, "none")
    with pytest.raises(UnsupportedError, match="16000"):
        PgvectorStore.open(CollectionSpec(name="longer", dimension=16_001), config)


def test_ids_that_no_record_can_have_are_not_found(config: PgvectorConfig) -> None:
    """A lone surrogate, which cannot be encoded, is not there; NUL and what stands for it are told apart."""
    names = ["a\0b", "a\x01b", "a\x01\x01b", "a\x01\x02b"]
    with PgvectorStore.open(SPEC, config) as store:
        store.upsert([Record(name, name, ONE, {name: name}) for name in names])
        assert store.get(["\ud800", *names]) == [None, *(Record(name, name, None, {name: name}) for name in names)]
        assert [record.id for record in store.scan()] == sorted(names)
        for name in names:
            assert store.count({name: name}) == 1
            assert store.count({"other": {"$not": {"$eq": name}}}) == 4
    assert stored_ids(["\udfff"]) == []


def test_both_zeros_are_kept(config: PgvectorConfig) -> None:
    """PostgreSQL's decimals have no negative zero: it is a number of its own spelling, and equal to the other."""
    given = {"a": -0.0, "b": 0.0, "c": [0.0, -0.0, 0.001], "d": 0}
    with PgvectorStore.open(SPEC.model_copy(update={"fields": {"a": "float"}}), config) as store:
        store.upsert([Record("a", "0.00", ONE, given)])
        found = store.get(["a"])[0]
        assert found is not None
        assert {key: repr(value) for key, value in found.metadata.items()} == {k: repr(v) for k, v in given.items()}
        for field in "abd":
            assert store.count({field: 0.0}) == store.count({field: -0.0}) == store.count({field: {"$lte": -0.0}}) == 1
        assert store.count({"c": {"$contains": -0.0}}) == store.count({"a": {"$in": [-0.0]}}) == 1


def test_more_than_anybody_has(config: PgvectorConfig) -> None:
    """Asking for all with a very large number gives all."""
    with PgvectorStore.open(SPEC, config) as store:
        store.upsert([Record("a", "north", ONE)])
        found = [store.query(ONE, 2**70)[0].ids, store.text_query("north", 2**70).ids]
        assert [*found, [record.id for record in store.scan(limit=2**70)]] == [["a"]] * 3


def test_what_cannot_be_encoded_is_refused(config: PgvectorConfig) -> None:
    """A lone surrogate in a filter or an order is the caller's, and not the server's."""
    with PgvectorStore.open(SPEC, config) as store:
        for call in (
            lambda: store.count({"x": "\ud800"}),
            lambda: store.query(ONE, 1, where={"\ud800": 1}),
            lambda: list(store.scan(order_by="\ud800")),
        ):
            with pytest.raises(InvalidQueryError, match="lone surrogate"):
                call()


def test_a_cancelled_call_ends_at_the_server(config: PgvectorConfig, admin: psycopg.Connection[Any]) -> None:
    """A request that timed out does not go on working, and its write is not there."""

    async def check() -> None:
        async with await AsyncPgvectorStore.open(SPEC, config) as store:
            await store.upsert([Record("a", "before", ONE)])
            with admin.transaction():
                admin.execute(sql.SQL("LOCK TABLE {}").format(sql.Identifier((await store.stats()).details["table"])))
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(store.upsert([Record("a", "after", ONE)]), 0.3)
            active = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'INSERT%'"
            assert admin.execute(active).fetchone() == (0,)
            assert await store.get(["a"]) == [Record("a", "before")]

    asyncio.run(check())


WRITERS = """
    import os, sys
    from ctxkit_pgvector.config import PgvectorConfig
    from ctxkit_pgvector.store import PgvectorStore
    from ctxkit.interfaces import CollectionSpec
    from ctxkit.records import Record

    config = PgvectorConfig.model_validate_json(sys.stdin.read())

    def work(me):
        with PgvectorStore.open(CollectionSpec(name="notes", dimension=3, fields={"who": "int"}), config) as store:
            for turn in range(10):
                records = [Record(f"{me}.{turn}.{i}", f"word{turn}", [1, me, i], {"who": me}) for i in range(5)]
                shared = [Record(f"shared{i}", str(me), [1, me, turn], {"turn": turn}) for i in range(5)]
                store.upsert([*records, *(shared if me % 2 else shared[::-1])])
                store.delete(where={"who": me, "none": turn})

    children = []
    for me in range(8):
        child = os.fork()
        if not child:
            work(me)
            os._exit(0)
        children.append(child)
    sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


def test_eight_processes_write_at_once(config: PgvectorConfig) -> None:
    """Nothing is lost, no batch is torn, and those who write the same records do not stop one another."""
    given = {"conninfo": config.conninfo.get_secret_value(), "schema_name": config.schema_name}
    command = [sys.executable, "-c", textwrap.dedent(WRITERS)]
    run = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    with PgvectorStore.open(SPEC, config) as store:
        assert store.spec.fields == {"who": "int"}
        found = {record.id: record for record in store.scan(include_vectors=True)}
        own = {f"{me}.{turn}.{i}" for me in range(8) for turn in range(10) for i in range(5)}
        assert set(found) - {f"shared{i}" for i in range(5)} == own
        shared = [found[f"shared{i}"] for i in range(5) if f"shared{i}" in found]
        # Whoever was last wrote all five at once.
        assert len({(record.text, record.metadata["turn"]) for record in shared}) == 1
        assert len(shared) == 5
        assert len(store.text_query("word3", 100)) == 40
        assert (store.version() or 0) % 2**42 == 160


def test_a_version_changes_when_a_write_can_be_seen(config: PgvectorConfig) -> None:
    """Not before its COMMIT, when a reader would keep the old records under the new number; and nobody waits."""
    with PgvectorStore.open(SPEC, config) as store, psycopg.connect(**arguments(config)) as other:
        other.execute(*settings(config, store._links.path))
        store.upsert([Record("a", "", ONE)])
        before = store.version()
        assert before is not None
        with other.transaction():
            drive(other, store._collection.upsert(store._collection.checked([Record("b", "", ONE)])))
            assert (store.version(), store.count()) == (before, 1)
            store.upsert([Record("c", "", ONE)])
            assert (store.version(), store.count()) == (before + 1, 2)
        assert (store.version(), store.count()) == (before + 2, 3)
        with suppress(ZeroDivisionError), other.transaction():
            drive(other, store._collection.delete(["a"], None))
            raise ZeroDivisionError
        assert (store.version(), store.count()) == (before + 2, 3)

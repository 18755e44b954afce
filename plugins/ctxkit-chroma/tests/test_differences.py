"""What Chroma itself does, and that none of it reaches a user of the store: one test for each difference."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.config import Settings
from ctxkit_chroma import naming
from ctxkit_chroma.capabilities import MAX_BATCH
from ctxkit_chroma.config import ChromaConfig
from ctxkit_chroma.store import ChromaStore

from ctxkit.errors import InvalidQueryError, InvalidRecordError
from ctxkit.interfaces import CollectionSpec, VectorStore
from ctxkit.records import Record, RecordBatch

SPEC = CollectionSpec(name="notes", dimension=3)
RAW = "tests-raw"
ONE = [1.0, 0.0, 0.0]


@pytest.fixture
def raw() -> Iterator[Any]:
    """A collection of Chroma's own client."""
    client = chromadb.EphemeralClient(Settings(anonymized_telemetry=False))
    yield client.get_or_create_collection(RAW, embedding_function=None)
    client.delete_collection(RAW)


@pytest.fixture
def store(config: ChromaConfig) -> Iterator[VectorStore]:
    """An empty collection, by each way in."""
    with ChromaStore.open(SPEC, config) as opened:
        yield opened


def metadata_of(store: VectorStore, record_id: str) -> dict[str, Any]:
    """Return the metadata of one record."""
    (found,) = store.get([record_id])
    assert found is not None
    return dict(found.metadata)


def test_upsert_replaces_metadata(raw: Any, store: VectorStore) -> None:
    """Chroma merges the metadata of an upsert into the old; here old keys are gone, for filters and by its client."""
    for metadata in ({"old": 1, "both": 1}, {"both": 2}):
        raw.upsert(ids=["a"], embeddings=[ONE], metadatas=[metadata])
        store.upsert([Record("a", "", ONE, metadata)])
    assert raw.get(ids=["a"])["metadatas"] == [{"old": 1, "both": 2}]
    assert metadata_of(store, "a") == {"both": 2}
    assert (store.count({"old": 1}), store.count({"both": 2})) == (0, 1)


def test_upsert_without_metadata_removes_it(raw: Any, store: VectorStore) -> None:
    """Chroma refuses an empty metadata, and keeps the old one when none is given."""
    raw.upsert(ids=["a"], embeddings=[ONE], metadatas=[{"old": 1}])
    with pytest.raises(ValueError, match="non-empty"):
        raw.upsert(ids=["a"], embeddings=[ONE], metadatas=[{}])
    raw.upsert(ids=["a"], embeddings=[ONE])
    assert raw.get(ids=["a"])["metadatas"] == [{"old": 1}]
    store.upsert([Record("a", "", ONE, {"old": 1})])
    store.upsert([Record("a", "", ONE)])
    assert metadata_of(store, "a") == {}


def test_a_known_id_is_never_ignored(raw: Any, store: VectorStore) -> None:
    """Chroma's add of an id that exists, and its update of one that does not, do nothing and say nothing."""
    raw.add(ids=["a"], embeddings=[ONE], documents=["first"])
    raw.add(ids=["a"], embeddings=[ONE], documents=["second"])
    raw.update(ids=["b"], embeddings=[ONE], documents=["third"])
    assert raw.get()["documents"] == ["first"]
    for record_id, text in (("a", "first"), ("a", "second"), ("b", "third")):
        store.upsert([Record(record_id, text, ONE)])
    assert [record and record.text for record in store.get(["a", "b"])] == ["second", "third"]


def test_deleting_counts_what_existed(raw: Any, store: VectorStore) -> None:
    """Chroma says that it deleted one when there was none (or, in older versions, nothing at all)."""
    raw.add(ids=["a"], embeddings=[ONE])
    assert raw.delete(ids=["missing"]) in ({"deleted": 1}, None)
    store.upsert([Record("a", "", ONE)])
    assert store.delete(["missing"]) == 0
    assert store.delete(["missing", "a", "a"]) == 1
    assert store.delete(["a"]) == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, [], [1, "a"], [1, 2.0], [True, 1], [[1]]])
def test_values_that_no_store_takes(store: VectorStore, value: object) -> None:
    """Chroma turns NaN into null and has rules of its own for lists; here each is refused, and nothing is written."""
    with pytest.raises(InvalidRecordError):
        store.upsert([Record("good", "", ONE), Record("bad", "", ONE, {"key": value})])
    assert store.count() == 0


@pytest.mark.parametrize(
    "value",
    [
        2**53 + 1,
        2**63 - 1,
        -(2**63),
        1,
        1.0,
        True,
        -0.5,
        "",
        "a\0b \U0001f600",
        [1, 2**60],
        [1.0],
        [True, False],
        ["x"],
    ],
)
def test_values_come_back_with_their_types(store: VectorStore, value: Any) -> None:
    """On its way over JSON Chroma makes floats of large ints; here a value comes back as what it was."""
    store.upsert([Record("a", "", ONE, {"key": value})])
    found = metadata_of(store, "a")["key"]
    assert (type(found), found) == (type(value), value)
    if isinstance(value, list):
        assert store.count({"key": {"$contains": value[-1]}}) == 1
    else:
        assert store.count({"key": value}) == 1


def test_neighbours_beyond_2_to_the_53(store: VectorStore) -> None:
    """To a float, 2**53 and 2**53 + 1 are one number; to a filter they are two."""
    numbers = [2**53 - 1, 2**53, 2**53 + 1, 2**53 + 2, 2**63 - 1]
    store.upsert([Record(str(n), "", ONE, {"n": n}) for n in numbers])
    for operand in (*numbers, float(2**53)):
        assert store.count({"n": operand}) == 1
        assert store.count({"n": {"$gt": operand}}) == sum(n > operand for n in numbers)
        assert store.count({"n": {"$lte": operand}}) == sum(n <= operand for n in numbers)
        assert store.count({"n": {"$in": [operand, "x"]}}) == 1


@pytest.mark.parametrize("key", ["chroma:document", "#document", "#x", "_ctxkit", "a b", "a\0b", "é.\U0001f600", "'"])
def test_any_key_is_a_field(store: VectorStore, key: str) -> None:
    """Chroma reserves some keys and refuses others."""
    store.upsert([Record("a", "text", ONE, {key: 1}), Record("b", "", ONE)])
    assert metadata_of(store, "a") == {key: 1}
    assert store.count({key: 1}) == 1
    assert store.count({key: {"$exists": False}}) == 1
    assert store.query(ONE, 5, where={key: {"$gte": 1}})[0].ids == ["a"]


def test_empty_and_repeated_arguments(raw: Any, store: VectorStore) -> None:
    """Chroma raises for an empty batch, an empty list of ids, repeated ids and k = 0, each in a way of its own."""
    calls: list[Callable[[], object]] = [
        lambda: raw.upsert(ids=[], embeddings=[]),
        lambda: raw.get(ids=[]),
        lambda: raw.get(ids=["a", "a"]),
        lambda: raw.query(query_embeddings=[ONE], n_results=0),
    ]
    for call in calls:
        with pytest.raises((ValueError, TypeError, chromadb.errors.ChromaError)):
            call()
    store.upsert([])
    store.upsert([Record("a", "", ONE)])
    assert store.get([]) == []
    assert [record and record.id for record in store.get(["a", "x", "a"])] == ["a", None, "a"]
    assert store.delete([]) == 0
    with pytest.raises(InvalidRecordError, match="twice"):
        store.upsert([Record("a", "", ONE), Record("a", "", ONE)])
    with pytest.raises(InvalidQueryError):
        store.query(ONE, 0)


FILTERS: list[tuple[dict[str, Any], str]] = [
    ({}, "abcde"),
    ({"n": {"$not": {"$eq": 1}}}, "bcde"),
    ({"n": {"$exists": True}}, "abcd"),
    ({"$and": [{"n": 1}]}, "a"),
    ({"n": {"$in": []}}, ""),
    ({"n": {"$nin": []}}, "abcde"),
    ({"n": {"$gt": "b"}}, "d"),
    ({"n": {"$gt": 1, "$lt": 3}}, "b"),
    ({"n": 1, "m": 1}, ""),
    ({"n": {"$ne": 1}}, "bcde"),
    ({"n": {"$nin": [1, "x"]}}, "bcde"),
    ({"n": {"$in": [1, "c", True, 2.5]}}, "abd"),
    ({"n": ["u", "v"]}, "c"),
    ({"n": {"$contains": "u"}}, "c"),
    ({"$not": {"$or": [{"n": 1}, {"n": {"$exists": False}}]}}, "bcd"),
    ({"$or": [{"n": {"$lt": 2}}, {"m": {"$ne": 1}}]}, "abcd"),
]


@pytest.mark.parametrize(("where", "expected"), FILTERS, ids=[json.dumps(where) for where, _ in FILTERS])
def test_filters_that_chroma_cannot_say(config: ChromaConfig, where: dict[str, Any], expected: str) -> None:
    """No $not, no $exists, $and of two at least, no empty $in, numbers only for $gt: here the grammar is whole."""
    values: dict[str, dict[str, Any]] = {
        "a": {"n": 1},
        "b": {"n": 2.5},
        "c": {"n": ["u", "v"]},
        "d": {"n": "c"},
        "e": {"m": 1},
    }
    with ChromaStore.open(SPEC, config) as store:
        store.upsert([Record(name, "", [1.0, 1.0, number], values[name]) for number, name in enumerate(values)])
        assert "".join(sorted(record.id for record in store.scan(where))) == expected
        assert store.count(where) == len(expected)
        assert "".join(sorted(store.query(ONE, 9, where=where)[0].ids)) == expected
        if where:
            assert store.delete(where=where) == len(expected)
            assert store.count() == len(values) - len(expected)


def test_batch_limit(store: VectorStore) -> None:
    """Chroma takes 5461 records at once; one more is refused with the limit, and nothing of them is written."""
    ids = [f"r{i}" for i in range(MAX_BATCH + 1)]
    vectors = np.random.default_rng(0).normal(size=(len(ids), 3))
    with pytest.raises(InvalidRecordError, match=str(MAX_BATCH)):
        store.upsert(RecordBatch(ids, vectors))
    assert store.count() == 0


NAMES = ["c", "ab", "a b", "ÄÖ", "..", "a..b", "127.0.0.1", "x" * 512, "plain-name", "Plain-name", "ctxkit-x", "a/b\0c"]


def test_collections_of_any_name(config: ChromaConfig) -> None:
    """Chroma's names have 3 to 512 of few characters; here any name is a collection, listed under it."""
    if config.mode == "memory":
        assert len({naming.chroma_name(name) for name in NAMES}) == len(NAMES)
        return
    for number, name in enumerate(NAMES):
        with ChromaStore.open(CollectionSpec(name=name, dimension=number + 1), config):
            pass
    assert ChromaStore.list_collections(config) == sorted(NAMES)
    for number, name in enumerate(NAMES):
        assert ChromaStore.describe_collection(config, name) == CollectionSpec(name=name, dimension=number + 1)
        ChromaStore.drop_collection(config, name)
    assert ChromaStore.list_collections(config) == []


def test_l2_is_not_squared(raw: Any, config: ChromaConfig) -> None:
    """Chroma's l2 is the square of the distance; the score here is 1 / (1 + the distance)."""
    raw.upsert(ids=["a"], embeddings=[[3.0, 4.0, 0.0]])
    assert raw.query(query_embeddings=[[0.0, 0.0, 0.0]], n_results=1)["distances"] == [[25.0]]
    with ChromaStore.open(SPEC.model_copy(update={"metric": "l2"}), config) as store:
        store.upsert([Record("a", "", [3.0, 4.0, 0.0])])
        (hit,) = store.query([0.0, 0.0, 0.0], 1)[0]
        assert hit.score == pytest.approx(1 / 6)
        assert hit.distance == pytest.approx(5.0)


def test_vectors_come_back_as_they_were(config: ChromaConfig) -> None:
    """Under cosine Chroma gives back what normalising left of a vector: rounded, zeros, or NaN."""
    vectors = np.array([[2, 3, 4], [1e-40, 1e-30, 0], [3e38, 0, 1], [1, 1e-40, -1e30]], dtype=np.float32)
    for metric in ("cosine", "dot", "l2"):
        with ChromaStore.open(CollectionSpec(name=f"notes-{metric}", dimension=3, metric=metric), config) as store:
            store.upsert([Record(str(i), "", vector) for i, vector in enumerate(vectors)])
            got = store.get(["0", "1", "2", "3"], include_vectors=True)
            for vector, record in zip(vectors, got, strict=True):
                assert record is not None
                assert np.array_equal(np.asarray(record.vector), vector)
            hits = store.query(vectors[0], 4)[0]
            assert len(hits) == 4
            assert np.isfinite(hits.scores).all()


def test_a_record_needs_a_vector(store: VectorStore) -> None:
    """Chroma would download a model and embed the text; here optional_vectors is not declared, so it is refused."""
    assert not store.capabilities.optional_vectors
    with pytest.raises(InvalidRecordError, match="vector"):
        store.upsert([Record("a", "text")])


def test_what_chroma_cannot_give_is_not_declared(config: ChromaConfig) -> None:
    """Neither crash safety nor checksums; words only where one process writes."""
    declared = config.capabilities()
    assert (declared.crash_safe, declared.detects_corruption, declared.optional_vectors) == (False, False, False)
    assert declared.text_search == (None if config.mode == "server" else "bm25")
    assert declared.concurrency == ("multi-writer" if config.mode == "server" else "single-process")
    assert not declared.exact


def test_another_process_of_chromas_does_not_see_new_rows(tmp_path: Path) -> None:
    """This is why a second process is refused: an open handle of Chroma's own answers queries from before."""
    code = (
        "import sys, chromadb\nfrom chromadb.config import Settings\n"
        "client = chromadb.PersistentClient(sys.argv[1], Settings(anonymized_telemetry=False))\n"
        "collection = client.get_collection('raw-one', embedding_function=None)\n"
        "ask = lambda: print(len(collection.query(query_embeddings=[[1, 0, 0]], n_results=5)['ids'][0]), flush=True)\n"
        "ask(); sys.stdin.readline(); ask()\n"
    )
    client = chromadb.PersistentClient(str(tmp_path), Settings(anonymized_telemetry=False))
    collection = client.create_collection("raw-one", embedding_function=None)
    collection.upsert(ids=["a"], embeddings=[ONE])
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "1\n"
        collection.upsert(ids=["b"], embeddings=[ONE])
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "1\n", "Chroma has learnt it: declare another concurrency"

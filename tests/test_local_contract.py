"""What every store on the local engine owes its users, whichever index searches.

`StoreContract` holds the checks; a subclass per backend says how a store is opened.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import (
    CollectionNotFoundError,
    ConfigError,
    InvalidFilterError,
    InvalidQueryError,
    InvalidRecordError,
    StoreClosedError,
    StoreError,
)
from ctxkit.interfaces import BackendConfig, CollectionSpec, VectorStore
from ctxkit.local import EngineStore, LocalConfig
from ctxkit.records import Hits, Metric, Record, RecordBatch

METRICS: list[Metric] = ["cosine", "dot", "l2"]
VALUES = {
    "one": 1,
    "real": 1.0,
    "yes": True,
    "big": 2**63 - 1,
    "least": -(2**63),
    "tiny": 5e-324,
    "e": 1e22,
    "n": "a\0b",
}
LISTS = {"ints": [1, 2], "reals": [1.0, 2.5], "flags": [True, False], "words": ["x", ""]}


class StoreContract:
    """The checks; `store` is a fresh three-dimensional cosine store."""

    cls: ClassVar[type[EngineStore]]
    config_class: ClassVar[type[LocalConfig]]
    durable: ClassVar[bool]

    @pytest.fixture
    def config(self, tmp_path: Path) -> LocalConfig:
        """Where this test's collections live."""
        return self.config_class(path=tmp_path / "päth with space" if self.durable else None)

    def open(self, config: LocalConfig, metric: Metric = "cosine", dimension: int = 3, name: str = "c") -> EngineStore:
        """Open a collection."""
        return self.cls.open(CollectionSpec(name=name, dimension=dimension, metric=metric), config)

    @pytest.fixture
    def store(self, config: LocalConfig) -> Iterator[EngineStore]:
        """A fresh store."""
        with self.open(config) as opened:
            yield opened

    def test_empty_store_answers(self, store: VectorStore) -> None:
        """An empty store has nothing, without errors."""
        assert store.count() == 0
        assert store.get(["a"]) == [None]
        assert list(store.scan()) == []
        assert [list(hits) for hits in store.query([1, 0, 0], 3)] == [[]]
        assert list(store.text_query("word", 3)) == []
        assert store.delete(["a"]) == 0
        assert store.health().ok

    def test_values_survive(self, store: VectorStore) -> None:
        """Ids, text, vectors and metadata come back exactly, types included."""
        ids = ["A", "a", "é", "e\u0301", " ", "\0", "x" * 512, "日本", "\U0001f600", "'; DROP TABLE records; --"]
        texts = ["", "\0", "a\0b", "line\n", "\U0001f469\u200d\U0001f680", "ß", "x" * 10_000, "'\"", "$", "\ufeff"]
        records = [
            Record(record_id, text, [i + 1.0, 1e-40, -1e30], {**VALUES, **LISTS, "i": i, '"q\\': "é"})
            for i, (record_id, text) in enumerate(zip(ids, texts, strict=True))
        ]
        store.upsert(records)
        found = store.get(ids, include_vectors=True)
        assert [r and r.id for r in found] == ids
        assert [r and r.text for r in found] == texts
        for got, given in zip(found, records, strict=True):
            assert got is not None
            assert got == Record(given.id, given.text, np.array(given.vector, dtype=np.float32), given.metadata)
            assert list(got.metadata) == list(given.metadata)

    def test_get_is_aligned(self, store: VectorStore) -> None:
        """`get` keeps order and repeats, and answers None for strangers."""
        store.upsert([Record("a", "A", [1, 0, 0]), Record("b", "B", None)])
        assert [r and r.text for r in store.get(["b", "x", "a", "b", ""])] == ["B", None, "A", "B", None]
        assert store.get([]) == []
        assert store.get(["a"])[0] == Record("a", "A")

    def test_get_many(self, store: VectorStore) -> None:
        """More ids than one statement takes come back in order."""
        ids = [f"r{i}" for i in range(1500)]
        store.upsert(RecordBatch(ids, np.ones((1500, 3))))
        assert [r and r.id for r in store.get(ids[::-1])] == ids[::-1]

    def test_upsert_replaces_the_whole_record(self, store: VectorStore) -> None:
        """Nothing of the old record is left: text, vector, metadata, words, filters."""
        store.upsert([Record("a", "ancient words", [1, 0, 0], {"k": 1, "old": True})])
        assert store.count({"k": 1}) == 1
        store.upsert([Record("a", "modern", None, {"k": 2})])
        assert store.get(["a"], include_vectors=True) == [Record("a", "modern", None, {"k": 2})]
        assert len(store.query([1, 0, 0], 5)[0]) == 0
        assert len(store.text_query("ancient", 5)) == 0
        assert (store.count({"k": 1}), store.count({"k": 2}), store.count({"old": True})) == (0, 1, 0)
        store.upsert([Record("a", "modern", [0, 1, 0])])
        assert store.query([0, 1, 0], 5)[0].ids == ["a"]
        assert store.count() == 1

    @pytest.mark.parametrize(
        "bad",
        [
            Record("", "t", [1, 0, 0]),
            Record("x" * 513, "t", [1, 0, 0]),
            Record("\ud800", "t", [1, 0, 0]),
            Record("b", "\ud800", [1, 0, 0]),
            Record("b", "t", [1, 0]),
            Record("b", "t", [1, math.nan, 0]),
            Record("b", "t", [1, math.inf, 0]),
            Record("b", "t", [0, 0, 0]),
            Record("b", "t", [3e38, 3e38, 3e38]),
            Record("b", "t", [1e300, 0, 0]),
            Record("b", "t", np.array(["x", "0", "0"])),
            Record("b", "t", [1, 0, 0], {"k": None}),
            Record("b", "t", [1, 0, 0], {"k": math.nan}),
            Record("b", "t", [1, 0, 0], {"k": []}),
            Record("b", "t", [1, 0, 0], {"k": [1, "a"]}),
            Record("b", "t", [1, 0, 0], {"k": {"nested": 1}}),
            Record("b", "t", [1, 0, 0], {"k": 2**63}),
            Record("b", "t", [1, 0, 0], {"$k": 1}),
            Record("b", "t", [1, 0, 0], {"": 1}),
            Record("a", "again", [1, 0, 0]),
        ],
    )
    def test_one_bad_record_writes_nothing(self, store: VectorStore, bad: Record) -> None:
        """A batch is atomic: what is refused leaves the old state, what came with it too."""
        store.upsert([Record("old", "old", [1, 0, 0])])
        with pytest.raises(InvalidRecordError):
            store.upsert([Record("a", "fine", [1, 0, 0]), bad])
        assert [r.id for r in store.scan()] == ["old"]

    def test_empty_batches_do_nothing(self, store: VectorStore) -> None:
        """Empty input is no error and no write."""
        store.upsert([])
        store.upsert(RecordBatch([]))
        assert store.delete([]) == 0
        assert store.query(np.zeros((0, 3)), 2) == []
        assert store.query([], 2) == []
        assert store.stats().details["seq"] == 0

    def test_input_is_never_changed_nor_shared(self, store: VectorStore) -> None:
        """What the caller does with input or results afterwards changes nothing stored."""
        vectors = np.eye(3, dtype=np.float32)
        metadata = [{"l": [1]}, {"l": [2]}, {"l": [3]}]
        store.upsert(RecordBatch(["a", "b", "c"], vectors, ["x", "y", "z"], metadata))
        vectors[:] = 7
        metadata[0]["l"].append(9)
        got = store.get(["a"], include_vectors=True)[0]
        assert got is not None
        got_vector = np.asarray(got.vector)
        got_vector[:] = 5
        got.metadata["l"].append(1)
        hit = store.query([1, 0, 0], 1, include_vectors=True)[0][0]
        assert hit.metadata == {"l": [1]}
        assert hit.vector is not None
        hit.vector[:] = 4
        assert store.get(["a"], include_vectors=True) == [Record("a", "x", [1.0, 0.0, 0.0], {"l": [1]})]

    @pytest.mark.parametrize("kind", ["float64", "int", "strided", "readonly", "fortran", "list"])
    def test_any_array_is_accepted(self, store: VectorStore, kind: str) -> None:
        """float64, integer, non-contiguous and read-only arrays are fine as vectors and as queries."""
        base = np.array([[3, 0, 0], [0, 2, 0], [1, 1, 1]], dtype=np.float64)
        wide = np.zeros((3, 6))
        wide[:, ::2] = base
        readonly = base.astype(np.float32)
        readonly.setflags(write=False)
        vectors = {
            "float64": base,
            "int": base.astype(np.int64),
            "strided": wide[:, ::2],
            "readonly": readonly,
            "fortran": np.asfortranarray(base),
            "list": base.tolist(),
        }[kind]
        store.upsert(RecordBatch(["x", "y", "z"], vectors))
        assert [hits.ids[0] for hits in store.query(vectors, 1)] == ["x", "y", "z"]

    @pytest.mark.parametrize(
        ("metric", "expected"),
        [
            ("cosine", {"a": 1.0, "b": 0.6, "c": -1.0, "d": 0.0}),
            ("dot", {"a": 10.0, "b": 3.0, "c": -5.0, "d": 0.0}),
            ("l2", {"a": 1 / 6, "b": 1 / (1 + math.sqrt(20)), "c": 1 / 11, "d": 1 / (1 + math.sqrt(26))}),
        ],
    )
    def test_scores_by_hand(self, config: LocalConfig, metric: Metric, expected: dict[str, float]) -> None:
        """Scores are those of the contract, best first, and `distance` goes back to the distance."""
        with self.open(config, metric) as store:
            store.upsert(
                [
                    Record("a", "", [10, 0, 0]),
                    Record("b", "", [3, 4, 0]),
                    Record("c", "", [-5, 0, 0]),
                    Record("d", "", [0, 0, 1]),
                ]
            )
            query = [5, 0, 0] if metric != "dot" else [1, 0, 0]
            hits = store.query(query, 10)[0]
            assert {hit.id: hit.score for hit in hits} == pytest.approx(expected, rel=1e-9, abs=1e-12)
            assert hits.ids == sorted(expected, key=lambda name: -expected[name])
            distances = {hit.id: hit.distance for hit in hits}
            assert distances["a"] == {"cosine": 0.0, "dot": None, "l2": pytest.approx(5.0)}[metric]

    @pytest.mark.parametrize("metric", METRICS)
    def test_extreme_magnitudes_score_right(self, config: LocalConfig, metric: Metric) -> None:
        """Vectors whose float32 products overflow or vanish are still found and scored in float64."""
        rows = {
            "huge": [1e30, 1e30, 0.0],
            "tiny": [1e-40, 0.0, 0.0],
            "unit": [0.0, 1.0, 0.0],
            "less": [2e-40, 1e-40, 0.0],
        }
        with self.open(config, metric) as store:
            store.upsert([Record(name, "", vector) for name, vector in rows.items()])
            for query in ([1e30, 0, 0], [1e-40, 1e-40, 0], [0, 1e15, 1]):
                hits = store.query(query, 4)[0]
                asked = np.array(query, dtype=np.float32).astype(np.float64)
                for hit in hits:
                    vector = np.array(rows[hit.id], dtype=np.float32).astype(np.float64)
                    dot = float((vector * asked).sum())
                    expected = {
                        "dot": dot,
                        "cosine": dot / float(np.linalg.norm(vector) * np.linalg.norm(asked)),
                        "l2": 1 / (1 + float(np.linalg.norm(vector - asked))),
                    }[metric]
                    assert hit.score == pytest.approx(expected, rel=1e-9)
                assert len(hits) == 4
                assert list(hits.scores) == sorted(hits.scores, reverse=True)

    def test_law_of_k(self, store: VectorStore) -> None:
        """Exactly min(k, matching) hits, after deletes, under strict filters, and for k beyond the count."""
        rng = np.random.default_rng(1)
        store.upsert(
            RecordBatch(
                [f"r{i}" for i in range(600)], rng.normal(size=(600, 3)), None, [{"b": i % 200} for i in range(600)]
            )
        )
        store.upsert([Record("no vector", "", None, {"b": 7})])
        assert store.delete([f"r{i}" for i in range(0, 600, 2)]) == 300
        query = rng.normal(size=3)
        assert len(store.query(query, 1000)[0]) == 300
        assert len(store.query(query, 5)[0]) == 5
        assert len(store.query(query, 50, where={"b": 7})[0]) == 3
        assert len(store.query(query, 2, where={"b": 7})[0]) == 2
        assert len(store.query(query, 2, where={"b": 8})[0]) == 0
        assert not any(hits.truncated for hits in store.query(rng.normal(size=(3, 3)), 7))

    def test_filter_that_excludes_the_near(self, store: VectorStore) -> None:
        """A filter is part of the search: the far ones that pass are found."""
        store.upsert(RecordBatch([f"near{i}" for i in range(500)], np.tile([1, 0, 0.001], (500, 1))))
        store.upsert([Record("far", "", [-1, 0, 0], {"keep": True})])
        assert store.query([1, 0, 0], 3, where={"keep": True})[0].ids == ["far"]

    @pytest.mark.parametrize("metric", METRICS)
    def test_ties_across_the_boundary(self, config: LocalConfig, metric: Metric) -> None:
        """Equal scores come by id in code-point order, also where k cuts through them."""
        names = [f"{i:04d}" for i in range(3000)]
        shuffled = np.random.default_rng(2).permutation(names).tolist()
        with self.open(config, metric) as store:
            store.upsert(RecordBatch(shuffled, np.tile([0.1, 0.2, 0.3], (3000, 1))))
            store.upsert([Record("best", "", [0.2, 0.4, 0.6] if metric == "dot" else [0.1, 0.2, 0.3])])
            hits = store.query([0.1, 0.2, 0.3], 20)[0]
            expected = ["best", *names[:19]] if metric == "dot" else names[:20]
            assert hits.ids == expected
            assert len(set(hits.scores[1:])) == 1
            store.upsert([Record("\U00010000", "", [-1, 0, 0]), Record("\uffff", "", [-1, 0, 0])])
            assert store.query([-1, 0, 0], 2)[0].ids == ["\uffff", "\U00010000"]

    def test_many_ties_beyond_every_candidate(self, config: LocalConfig) -> None:
        """A tie group larger than the engine is ready to re-score is still cut by id."""
        count = 17_000
        with self.open(config) as store:
            store.upsert(RecordBatch([f"{i:05d}" for i in range(count, 0, -1)], np.ones((count, 3))))
            assert store.query([1, 1, 1], 3)[0].ids == ["00001", "00002", "00003"]
            assert store.query([1, 1, 1], 2, where={"$not": {"x": 1}})[0].ids == ["00001", "00002"]

    def test_near_ties_below_float32(self, config: LocalConfig) -> None:
        """Order follows the float64 score even where float32 sees a tie."""
        with self.open(config, "l2") as store:
            base = 1000.0
            steps = np.arange(200, dtype=np.float32) * np.float32(2**-13)
            order = np.random.default_rng(3).permutation(200)
            vectors = np.stack([np.full(200, base), base + steps, np.zeros(200)], axis=1)[order]
            store.upsert(RecordBatch([f"{i:03d}" for i in order], vectors))
            assert store.query([base, base, 0], 10)[0].ids == [f"{i:03d}" for i in range(10)]

    def test_batch_equals_one_by_one_and_prefixes_agree(self, config: LocalConfig) -> None:
        """n queries at once give what each gives alone; a smaller k gives the beginning of a larger one."""
        rng = np.random.default_rng(4)
        with self.open(config, "dot", 24) as store:
            store.upsert(
                RecordBatch(
                    [str(i) for i in range(400)], rng.normal(size=(400, 24)), None, [{"i": i} for i in range(400)]
                )
            )
            queries = rng.normal(size=(150, 24))
            for where in (None, {"i": {"$lt": 350}}, {"i": {"$lt": 40}}):
                together = store.query(queries, 7, where=where)
                for query, hits in zip(queries[::10], together[::10], strict=True):
                    alone = store.query(query, 12, where=where)[0]
                    assert alone.ids[:7] == hits.ids
                    assert list(alone.scores[:7]) == list(hits.scores)

    def test_min_score_is_inclusive(self, store: VectorStore) -> None:
        """A hit at exactly the least score stays."""
        store.upsert([Record("a", "", [1, 0, 0]), Record("b", "", [0, 1, 0]), Record("c", "", [-1, 0, 0])])
        assert store.query([1, 0, 0], 3, min_score=0.0)[0].ids == ["a", "b"]
        assert store.query([1, 0, 0], 3, min_score=1.0)[0].ids == ["a"]
        assert store.query([1, 0, 0], 3, min_score=2)[0].ids == []

    @pytest.mark.parametrize(
        ("vectors", "k", "options"),
        [
            ([1, 0, 0], 0, {}),
            ([1, 0, 0], -1, {}),
            ([1, 0, 0], True, {}),
            ([1, 0, 0], 1.5, {}),
            ([1, 0], 1, {}),
            ([[[1, 0, 0]]], 1, {}),
            ([0, 0, 0], 1, {}),
            ([math.nan, 0, 0], 1, {}),
            ([math.inf, 0, 0], 1, {}),
            ("abc", 1, {}),
            ([[1, 0, 0], [1, 0]], 1, {}),
            ([1, 0, 0], 1, {"min_score": math.nan}),
            ([1, 0, 0], 1, {"min_score": "high"}),
        ],
    )
    def test_bad_queries_are_refused(
        self, store: VectorStore, vectors: object, k: int, options: dict[str, object]
    ) -> None:
        """A query that means nothing raises InvalidQueryError, on an empty store as well."""
        with pytest.raises(InvalidQueryError):
            store.query(vectors, k, **options)  # type: ignore[arg-type]

    def test_bad_reads_and_deletes_are_refused(self, store: VectorStore) -> None:
        """Arguments that would be misread are refused, and so is deleting everything."""
        with pytest.raises(InvalidQueryError):
            store.get("abc")
        with pytest.raises(InvalidQueryError):
            store.get([1])  # type: ignore[list-item]
        with pytest.raises(InvalidQueryError):
            store.delete()
        with pytest.raises(InvalidFilterError):
            store.delete(where={})
        with pytest.raises(InvalidFilterError):
            store.delete(["a"], where={})
        with pytest.raises(InvalidFilterError):
            store.count({"$nope": 1})
        with pytest.raises(InvalidQueryError):
            store.text_query(5, 1)  # type: ignore[arg-type]
        with pytest.raises(InvalidQueryError):
            store.text_query("a", 0)
        for options in ({"limit": -1}, {"limit": 1.5}, {"limit": True}, {"order_by": ""}, {"order_by": 3}):
            with pytest.raises(InvalidQueryError):
                store.scan(**options)

    def test_delete_by_ids_by_filter_and_by_both(self, store: VectorStore) -> None:
        """delete counts what existed; ids and filter together are the intersection."""
        store.upsert([Record(f"r{i}", "", None, {"i": i}) for i in range(10)])
        assert store.delete(["r0", "r0", "nobody"]) == 1
        assert store.delete(where={"i": {"$gte": 8}}) == 2
        assert store.delete(["r1", "r2", "r3"], where={"i": {"$lt": 3}}) == 2
        assert store.delete(["r5"], where={"i": 99}) == 0
        assert store.delete([], where={"i": 5}) == 0
        assert [r.id for r in store.scan()] == ["r3", "r4", "r5", "r6", "r7"]

    def test_missing_field_matches_negations(self, store: VectorStore) -> None:
        """$ne, $nin and $not are exact complements; {} means everything."""
        store.upsert(
            [Record("a", "", None, {"x": 1}), Record("b", "", None, {"y": 1}), Record("c", "", None, {"x": True})]
        )
        assert [r.id for r in store.scan({"x": {"$ne": 1}})] == ["b", "c"]
        assert [r.id for r in store.scan({"x": {"$nin": [1, True]}})] == ["b"]
        assert [r.id for r in store.scan({"$not": {"x": {"$exists": True}}})] == ["b"]
        assert store.count({"x": {"$in": []}}) == 0
        assert store.count({}) == 3

    def test_columns_follow_writes(self, store: VectorStore) -> None:
        """A filter column made by a first query sees every later write."""
        assert store.count({"n": 1}) == 0
        for i in range(50):
            store.upsert([Record(f"r{i}", "", None, {"n": i % 5, "tags": [f"t{i % 3}"]})])
            assert store.count({"n": i % 5}) == i // 5 + 1
        assert store.count({"tags": {"$contains": "t0"}}) == 17
        assert store.delete(where={"n": 2}) == 10
        assert store.count({"n": {"$gte": 0}}) == 40

    def test_more_fields_than_columns_are_kept(self, store: VectorStore) -> None:
        """The number of columns in memory is bounded; a field that lost its column gets it again."""
        store.upsert([Record("a", "", None, {f"f{i}": i for i in range(100)})])
        for _ in range(2):
            assert [store.count({f"f{i}": i}) for i in range(100)] == [1] * 100
        assert len(store.stats().details["columns"]) <= 64
        assert store.count({"$and": [{f"f{i}": i} for i in range(100)]}) == 1

    def test_scan_order(self, store: VectorStore) -> None:
        """order_by: numbers, then strings, then the rest; ties by id; descending turns only the values round."""
        values: dict[str, object] = {
            "s2": "b",
            "n2": 2,
            "n1b": 1.0,
            "n1a": 1,
            "s1": "a",
            "flag": True,
            "list": [1],
            "big": 2**60 + 1,
        }
        store.upsert([Record(name, "", None, {"v": value}) for name, value in values.items()])
        store.upsert([Record("big.", "", None, {"v": 2.0**60}), Record("none", "")])
        up = ["n1a", "n1b", "n2", "big.", "big", "s1", "s2", "flag", "list", "none"]
        down = ["s2", "s1", "big", "big.", "n2", "n1a", "n1b", "flag", "list", "none"]
        assert [r.id for r in store.scan(order_by="v")] == up
        assert [r.id for r in store.scan(order_by="v", descending=True)] == down
        for limit in range(11):
            assert [r.id for r in store.scan(order_by="v", limit=limit)] == up[:limit]
            assert [r.id for r in store.scan(order_by="v", descending=True, limit=limit)] == down[:limit]
        assert [r.id for r in store.scan({"v": {"$gte": 2}}, order_by="v", limit=2)] == ["n2", "big."]
        assert [r.id for r in store.scan(order_by="unknown", limit=2)] == ["big", "big."]

    @pytest.mark.parametrize("sign", [1, 1.0])
    def test_scan_order_of_plain_numbers(self, store: VectorStore, sign: float) -> None:
        """A field of ints only, or floats only, orders both ways, extremes included."""
        numbers = (
            [-(2**63), -5, 0, 7, 2**63 - 1] if sign == 1 and isinstance(sign, int) else [-1e300, -0.5, 0.0, 2.5, 1e300]
        )
        store.upsert([Record(str(i), "", None, {"v": value}) for i, value in enumerate(numbers)])
        assert [r.id for r in store.scan(order_by="v")] == list("01234")
        assert [r.id for r in store.scan(order_by="v", descending=True, limit=4)] == list("4321")

    def test_scan_plain(self, store: VectorStore) -> None:
        """Without order_by a scan goes in the order of writing, both ways, with vectors when asked."""
        store.upsert([Record(f"r{i}", "", [1, i, 0]) for i in range(600)])
        assert [r.id for r in store.scan()] == [f"r{i}" for i in range(600)]
        assert [r.id for r in store.scan(descending=True, limit=2)] == ["r599", "r598"]
        assert [r.vector is None for r in store.scan(limit=2)] == [True, True]
        last = list(store.scan(include_vectors=True))[-1]
        assert np.asarray(last.vector).tolist() == [1.0, 599.0, 0.0]

    def test_scan_under_concurrent_writes(self, store: VectorStore) -> None:
        """Each record that existed throughout comes once, however often it is rewritten meanwhile."""
        store.upsert([Record(f"r{i:04d}", "", None, {"keep": True}) for i in range(1000)])
        seen = []
        for record in store.scan({"keep": True}):
            seen.append(record.id)
            if len(seen) == 300:
                store.upsert([Record(f"r{i:04d}", "new", None, {"keep": True}) for i in range(0, 1000, 3)])
                store.upsert([Record(f"r{i:04d}", "gone", None, {"keep": False}) for i in range(901, 1000, 3)])
                store.delete([f"r{i:04d}" for i in range(902, 1000, 3)])
                store.upsert([Record(f"new{i}", "", None, {"keep": True}) for i in range(50)])
        expected = [f"r{i:04d}" for i in range(1000) if i < 900 or i % 3 == 0]
        assert seen == expected

    def test_text_query(self, store: VectorStore) -> None:
        """Words are stemmed, accents folded, CJK found by part; scores are positive, ties by id."""
        store.upsert(
            [
                Record("run", "The runner was running quickly"),
                Record("café", "Un CAFÉ noir"),
                Record("zh", "今天天气很好。我们去公园"),
                Record("ja", "東京タワーに行きました"),
                Record("ko", "한국어를 공부합니다"),
                Record("rare", "𠀀𠀁 extension b"),
                Record("nul", "left\0right"),
                Record("b", "same words here"),
                Record("a", "same words here"),
            ]
        )
        expected = {
            "runs": ["run"],
            "cafe": ["café"],
            "天气": ["zh"],
            "好": ["zh"],
            "园": ["zh"],
            "タワー": ["ja"],
            "공부": ["ko"],
            "𠀀𠀁": ["rare"],
            "right": ["nul"],
            "same": ["a", "b"],
            'words" OR "x* NEAR(': ["a", "b"],
            "": [],
            "?!* \0 ()": [],
            "\ud800": [],
            "absent": [],
        }
        assert {text: store.text_query(text, 5).ids for text in expected} == expected
        hits = store.text_query("same running", 9)
        assert sorted(hits.ids) == ["a", "b", "run"]
        assert (hits.scores > 0).all()
        assert store.text_query("same", 1).ids == ["a"]
        assert hits[0].distance is None

    def test_text_query_filters_inside(self, store: VectorStore) -> None:
        """The filter is applied while walking the ranking: strict ones still give k hits."""
        store.upsert([Record(f"r{i:03d}", "common word", None, {"i": i}) for i in range(700)])
        assert store.text_query("common", 3, where={"i": {"$gte": 650}}).ids == ["r650", "r651", "r652"]
        assert len(store.text_query("common", 1000)) == 700
        store.delete([f"r{i:03d}" for i in range(695)])
        assert store.text_query("word", 9).ids == [f"r{i}" for i in range(695, 700)]
        assert store.health().ok

    def test_closed_store(self, config: LocalConfig) -> None:
        """Every method of a closed store raises StoreClosedError; closing twice is fine."""
        store = self.open(config)
        store.upsert([Record(str(i)) for i in range(300)])
        pages = store.scan()
        next(pages)
        store.close()
        store.close()
        calls: list[Callable[[], object]] = [
            lambda: store.upsert([]),
            lambda: store.upsert([Record("b")]),
            lambda: store.get(["a"]),
            lambda: store.delete(["a"]),
            store.count,
            lambda: store.query([1, 0, 0], 1),
            lambda: store.text_query("a", 1),
            store.scan,
            store.flush,
            store.optimize,
            store.stats,
            store.health,
            lambda: list(pages),
        ]
        for call in calls:
            with pytest.raises(StoreClosedError):
                call()
        assert "closed" in repr(store)

    def test_housekeeping_changes_nothing(self, store: VectorStore) -> None:
        """flush and optimize keep every answer, and stats and health tell the truth."""
        rng = np.random.default_rng(5)
        store.upsert(RecordBatch([str(i) for i in range(3000)], rng.normal(size=(3000, 3)), ["text"] * 3000))
        store.delete([str(i) for i in range(0, 3000, 2)])
        before = (store.query([1, 2, 3], 20)[0].ids, store.count(), store.text_query("text", 5).ids)
        store.flush()
        store.optimize()
        assert (store.query([1, 2, 3], 20)[0].ids, store.count(), store.text_query("text", 5).ids) == before
        stats = store.stats()
        assert (stats.rows, stats.vectors, stats.details["tombstones"]) == (1500, 1500, 0)
        assert stats.bytes_in_memory is not None
        assert stats.bytes_in_memory > 1500 * 12
        assert (stats.bytes_on_disk is not None) == self.durable
        assert store.health().ok
        assert "closed" not in repr(store)

    def test_capabilities(self, store: VectorStore, config: LocalConfig) -> None:
        """The store says what its configuration says, and memory promises less."""
        assert store.capabilities == config.capabilities()
        assert store.capabilities.persistent is store.capabilities.crash_safe is self.durable
        assert store.capabilities.concurrency == ("multi-writer" if self.durable else "single-process")
        assert store.spec == CollectionSpec(name="c", dimension=3)

    def test_declared_fields(self, config: LocalConfig) -> None:
        """A value of another type in a declared field is refused."""
        spec = CollectionSpec(name="typed", dimension=3, fields={"n": "int", "x": "number", "s": "str"})
        with self.cls.open(spec, config) as store:
            store.upsert([Record("a", "", None, {"n": 1, "x": 1.5, "s": "s", "free": True})])
            for bad in ({"n": 1.0}, {"n": True}, {"x": "1"}, {"s": 1}):
                with pytest.raises(InvalidRecordError):
                    store.upsert([Record("b", "", None, bad)])
            assert store.count({"n": {"$gt": 0}, "x": {"$lt": 2}}) == 1

    def test_foreign_configuration_and_options_are_refused(self, config: LocalConfig) -> None:
        """Another backend's configuration, and options that would change nothing, are errors."""
        with pytest.raises(ConfigError):
            self.cls.open(CollectionSpec(dimension=3), BackendConfig())
        with pytest.raises(ConfigError):
            self.cls.open(CollectionSpec(dimension=3, index_options={"m": 16}), config)

    def test_unknown_collection(self, config: LocalConfig) -> None:
        """Describing or dropping what does not exist is a CollectionNotFoundError."""
        for call in (self.cls.describe_collection, self.cls.drop_collection):
            with pytest.raises(CollectionNotFoundError):
                call(config, "nobody")
        assert self.cls.list_collections(config) == []

    def test_a_long_life(self, store: VectorStore) -> None:
        """Replacing the same records over and over piles up nothing."""
        for round_ in range(12):
            store.upsert(
                RecordBatch([str(i) for i in range(400)], np.full((400, 3), round_ + 1.0), [f"round {round_}"] * 400)
            )
        assert store.count() == 400
        assert store.stats().details["tombstones"] < 2000
        assert len(store.query([1, 1, 1], 500)[0]) == 400
        assert len(store.text_query("11", 500)) == 400
        assert store.health().ok

    def test_errors_name_backend_and_collection(self, store: VectorStore) -> None:
        """A refusal says where it happened."""
        store.close()
        with pytest.raises(StoreError) as caught:
            store.count()
        assert (caught.value.backend, caught.value.collection) == (self.cls.backend, "c")
        assert "Fix:" in str(caught.value)

    def test_results_are_hits(self, store: VectorStore) -> None:
        """Results are Hits with the collection's metric on each hit."""
        store.upsert([Record("a", "text", [1, 0, 0], {"k": 1})])
        hits = store.query([1, 0, 0], 1)[0]
        assert isinstance(hits, Hits)
        assert (hits[0].text, hits[0].metadata, hits[0].vector, hits[0].metric) == ("text", {"k": 1}, None, "cosine")


class TestExactInMemory(StoreContract):
    """The exact store without a path."""

    cls = ExactStore
    config_class = ExactConfig
    durable = False


class TestExactDurable(StoreContract):
    """The exact store in a directory."""

    cls = ExactStore
    config_class = ExactConfig
    durable = True

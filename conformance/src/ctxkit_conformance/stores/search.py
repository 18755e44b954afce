"""Checks of search by vector: the law of k, the scores, the order, and what is no query."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ctxkit.errors import InvalidQueryError
from ctxkit.interfaces import BackendConfig, Capabilities, VectorStore
from ctxkit.records import Hits, Metric, Record, RecordBatch
from ctxkit_conformance.marks import covers
from ctxkit_conformance.stores import clauses
from ctxkit_conformance.stores.base import METRICS, StoreChecks, check_nearest, check_order, fill


class SearchChecks(StoreChecks):
    """Geometry by hand, ties, filters inside the search, batches, limits, refusals."""

    tier = "T2"
    faces = ("sync", "async")

    @pytest.mark.parametrize("kind", ["float64", "int", "strided", "readonly", "fortran", "list"])
    @covers(clauses.VECTORS)
    def test_any_array_is_accepted(self, store: VectorStore, kind: str) -> None:
        """A failure means that an embedder's output has to be converted before it is stored or asked for."""
        base = np.array([[3, 0, 0], [0, 5, 0], [2, 2, 2]], dtype=np.float64)
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
        assert [list(r.vector) for r in store.get(["x", "z"], include_vectors=True) if r] == [[3, 0, 0], [2, 2, 2]]  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("metric", "expected"),
        [
            ("cosine", {"a": 1.0, "b": 0.6, "c": -1.0, "d": 0.0}),
            ("dot", {"a": 10.0, "b": 3.0, "c": -5.0, "d": 0.0}),
            ("l2", {"a": 1 / 6, "b": 1 / (1 + math.sqrt(20)), "c": 1 / 11, "d": 1 / (1 + math.sqrt(26))}),
        ],
    )
    @covers(clauses.SCORES)
    def test_scores_by_hand(
        self, config: BackendConfig, declared: Capabilities, metric: Metric, expected: dict[str, float]
    ) -> None:
        """A failure means that scores mean something else than on other backends, so thresholds do not carry over."""
        if self.refuses_metric(config, declared, metric):
            return
        with self.open(config, metric) as store:
            vectors = {"a": [10, 0, 0], "b": [3, 4, 0], "c": [-5, 0, 0], "d": [0, 0, 1]}
            store.upsert([Record(name, "", vector) for name, vector in vectors.items()])
            query = [5, 0, 0] if metric != "dot" else [1, 0, 0]
            hits = store.query(query, 10)[0]
            assert {hit.id: hit.score for hit in hits} == self.near(expected)
            assert hits.ids == sorted(expected, key=lambda name: -expected[name])
            distances = {hit.id: hit.distance for hit in hits}
            assert distances["a"] == {"cosine": self.near(0.0), "dot": None, "l2": self.near(5.0)}[metric]

    @pytest.mark.parametrize("metric", METRICS)
    @covers(clauses.SCORES)
    def test_extreme_magnitudes_score_right(
        self, config: BackendConfig, declared: Capabilities, metric: Metric
    ) -> None:
        """A failure means that vectors whose float32 products overflow or vanish are lost or score NaN."""
        if self.refuses_metric(config, declared, metric):
            return
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
                for hit in hits:
                    assert hit.score == self.near(_score(rows[hit.id], query, metric))
                assert len(hits) == 4
                check_order(hits)

    @covers(clauses.SCORES)
    def test_cosine_stays_within_its_limits(self, config: BackendConfig, declared: Capabilities) -> None:
        """A failure means that a score of 1.0000001 breaks whoever takes its arc cosine, or a negative distance."""
        if self.refuses_metric(config, declared, "cosine"):
            return
        vectors = np.random.default_rng(7).normal(size=(40, 24)).astype(np.float32)
        with self.open(config, "cosine", 24) as store:
            fill(store, RecordBatch([str(i) for i in range(40)], vectors))
            for hits in store.query(np.concatenate([vectors, -vectors]), 40):
                assert min(hits.scores) >= -1, "a cosine is below -1"
                assert max(hits.scores) <= 1, "a cosine is above 1"

    @pytest.mark.parametrize("metric", METRICS)
    @covers(clauses.SCORES, clauses.NEAREST)
    def test_scores_against_brute_force(self, config: BackendConfig, declared: Capabilities, metric: Metric) -> None:
        """A failure means that the nearest records are not those returned, or that their scores are wrong."""
        if self.refuses_metric(config, declared, metric):
            return
        rng = np.random.default_rng(6)
        vectors, queries = rng.normal(size=(300, 24)).astype(np.float32), rng.normal(size=(5, 24)).astype(np.float32)
        with self.open(config, metric, 24) as store:
            fill(store, RecordBatch([f"{i:03d}" for i in range(300)], vectors))
            for query, hits in zip(queries, store.query(queries, 10), strict=True):
                scores = {f"{i:03d}": _score(vector, query, metric) for i, vector in enumerate(vectors)}
                check_nearest(store, hits, sorted(scores, key=lambda name: -scores[name])[:10])
                assert [scores[hit.id] for hit in hits] == self.near(list(hits.scores))

    @covers(clauses.LAW_OF_K)
    def test_law_of_k(self, store: VectorStore) -> None:
        """A failure means that a prompt is built from fewer records than there are: the strict filters starve."""
        rng = np.random.default_rng(1)
        metadata = [{"b": i % 200} for i in range(600)]
        fill(store, RecordBatch([f"r{i}" for i in range(600)], rng.normal(size=(600, 3)), None, metadata))
        if store.capabilities.optional_vectors:
            store.upsert([Record("no vector", "", None, {"b": 7})])
        assert store.delete([f"r{i}" for i in range(0, 600, 2)]) == 300
        query = rng.normal(size=3)
        assert len(store.query(query, 1000)[0]) == 300
        assert len(store.query(query, 10**9)[0]) == 300
        assert len(store.query(query, 5)[0]) == 5
        assert len(store.query(query, 50, where={"b": 7})[0]) == 3
        assert len(store.query(query, 2, where={"b": 7})[0]) == 2
        assert len(store.query(query, 2, where={"b": 8})[0]) == 0
        assert not any(hits.truncated for hits in store.query(rng.normal(size=(3, 3)), 7))

    @covers(clauses.LAW_OF_K)
    def test_filter_that_excludes_the_near(self, store: VectorStore) -> None:
        """A failure means that the filter is applied after the search: what a user may see is not found."""
        fill(store, RecordBatch([f"near{i}" for i in range(500)], np.tile([1, 0, 0.001], (500, 1))))
        store.upsert([Record("far", "", [-1, 0, 0], {"keep": True})])
        assert store.query([1, 0, 0], 3, where={"keep": True})[0].ids == ["far"]

    @pytest.mark.parametrize("metric", METRICS)
    @covers(clauses.ORDER)
    def test_ties_across_the_boundary(self, config: BackendConfig, declared: Capabilities, metric: Metric) -> None:
        """A failure means that the same question gives other records on another day or another backend."""
        if self.refuses_metric(config, declared, metric):
            return
        names = [f"{i:04d}" for i in range(3000)]
        shuffled = np.random.default_rng(2).permutation(names).tolist()
        with self.open(config, metric) as store:
            fill(store, RecordBatch(shuffled, np.tile([0.1, 0.2, 0.3], (3000, 1))))
            store.upsert([Record("best", "", [0.2, 0.4, 0.6] if metric == "dot" else [0.1, 0.2, 0.3])])
            hits = store.query([0.1, 0.2, 0.3], 20)[0]
            check_nearest(store, hits, ["best", *names[:19]] if metric == "dot" else names[:20])
            assert len(set(hits.scores[1:])) == 1
            store.upsert([Record("\U00010000", "", [-1, 0, 0]), Record("\uffff", "", [-1, 0, 0])])
            check_nearest(store, store.query([-1, 0, 0], 2)[0], ["\uffff", "\U00010000"])

    @covers(clauses.SCORES)
    def test_close_together_far_from_the_origin(self, config: BackendConfig, declared: Capabilities) -> None:
        """A failure means that l2 distances are taken as differences of large squares, which float32 cannot hold."""
        if self.refuses_metric(config, declared, "l2"):
            return
        with self.open(config, "l2") as store:
            base = 1000.0
            steps = np.arange(100, dtype=np.float32) * np.float32(2**-11)
            order = np.random.default_rng(3).permutation(100)
            vectors = np.stack([np.full(100, base), base + steps, np.zeros(100)], axis=1)[order]
            fill(store, RecordBatch([f"{i:03d}" for i in order], vectors))
            hits = store.query([base, base, 0], 10)[0]
            check_nearest(store, hits, [f"{i:03d}" for i in range(10)])
            assert list(hits.scores) == self.near([1 / (1 + float(steps[int(hit.id)])) for hit in hits])

    @covers(clauses.BATCHES)
    def test_batch_equals_one_by_one_and_prefixes_agree(self, config: BackendConfig, metric: Metric) -> None:
        """A failure means that an answer depends on the other questions of a batch, or on how many hits are wanted."""
        rng = np.random.default_rng(4)
        with self.open(config, metric, 24) as store:
            metadata = [{"most": i < 350, "few": i < 40} for i in range(400)]
            fill(store, RecordBatch([str(i) for i in range(400)], rng.normal(size=(400, 24)), None, metadata))
            queries = rng.normal(size=(150, 24))
            for where in (None, {"most": True}, {"few": True}):
                together = store.query(queries, 7, where=where)
                assert len(together) == 150
                for query, hits in zip(queries[::10], together[::10], strict=True):
                    alone = store.query(query, 12, where=where)[0]
                    check_nearest(store, hits, alone.ids[:7])
                    assert list(alone.scores[:7]) == self.near(list(hits.scores)) or not store.capabilities.exact

    @pytest.mark.parametrize("metric", METRICS)
    @covers(clauses.MIN_SCORE)
    def test_min_score_is_inclusive(self, config: BackendConfig, declared: Capabilities, metric: Metric) -> None:
        """A failure means that a threshold drops a hit that reaches it, or keeps one that does not."""
        if self.refuses_metric(config, declared, metric):
            return
        with self.open(config, metric) as store:
            store.upsert([Record("a", "", [1, 0, 0]), Record("b", "", [0, 1, 0]), Record("c", "", [-1, 0, 0])])
            hits = store.query([1, 0, 0], 3)[0]
            for place, score in enumerate(hits.scores):
                assert store.query([1, 0, 0], 3, min_score=float(score))[0].ids == ["a", "b", "c"][: place + 1]
                above = math.nextafter(float(score), math.inf)
                assert store.query([1, 0, 0], 3, min_score=above)[0].ids == ["a", "b", "c"][:place]
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
            ([math.nan, 0, 0], 1, {}),
            ([math.inf, 0, 0], 1, {}),
            ("abc", 1, {}),
            ([[1, 0, 0], [1, 0]], 1, {}),
            ([1, 0, 0], 1, {"min_score": math.nan}),
            ([1, 0, 0], 1, {"min_score": "high"}),
        ],
    )
    @covers(clauses.QUERIES)
    def test_bad_queries_are_refused(
        self, store: VectorStore, vectors: object, k: int, options: dict[str, object]
    ) -> None:
        """A failure means that a query which means nothing gets an answer, or an error that no caller can catch."""
        for _ in ("empty", "with a record"):
            with pytest.raises(InvalidQueryError):
                store.query(vectors, k, **options)  # type: ignore[arg-type]
            store.upsert([Record("a", "", [1, 0, 0])])

    @pytest.mark.parametrize("metric", METRICS)
    @covers(clauses.QUERIES, clauses.SCORES)
    def test_zero_queries(self, config: BackendConfig, declared: Capabilities, metric: Metric) -> None:
        """A failure means scores of NaN for the embedding of an empty question."""
        if self.refuses_metric(config, declared, metric):
            return
        with self.open(config, metric) as store:
            for _ in ("empty", "with a record"):
                if metric == "cosine":
                    with pytest.raises(InvalidQueryError):
                        store.query([0, 0, 0], 1)
                else:
                    expected = [0.0 if metric == "dot" else 0.5][: store.count()]
                    assert list(store.query([0, 0, 0], 1)[0].scores) == self.near(expected)
                store.upsert([Record("a", "", [1, 0, 0])])

    @covers(clauses.NO_ALIASING, clauses.SCORES)
    def test_results_are_hits(self, store: VectorStore) -> None:
        """A failure means that a hit lacks the text, the metadata or the metric that a caller reads from it."""
        store.upsert([Record("a", "text", [2, 0, 0], {"k": 1})])
        found = store.query([1, 0, 0], 1)
        assert isinstance(found, list), "query returns a list with one Hits per query, for one query too"
        hits = found[0]
        assert isinstance(hits, Hits)
        assert (hits[0].text, hits[0].metadata) == ("text", {"k": 1})
        assert hits[0].vector is None, "a vector came back that nobody asked for"
        assert hits[0].metric == store.spec.metric
        with_vector = store.query([[1, 0, 0]], 1, include_vectors=True)[0][0].vector
        assert with_vector is not None
        assert (with_vector.dtype, with_vector.tolist()) == (np.dtype(np.float32), [2.0, 0.0, 0.0])


def _score(vector: object, query: object, metric: Metric) -> float:
    """Return the score by its definition, in float64, of two vectors as float32 holds them."""
    left, right = (np.array(each, dtype=np.float32).astype(np.float64) for each in (vector, query))
    if metric == "l2":
        return 1 / (1 + float(np.linalg.norm(left - right)))
    dot = float((left * right).sum())
    return dot if metric == "dot" else dot / float(np.linalg.norm(left) * np.linalg.norm(right))

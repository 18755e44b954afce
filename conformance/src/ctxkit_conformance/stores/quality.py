"""Checks of recall: on clustered data, after churn, under filters, among equal vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest

from ctxkit.interfaces import BackendConfig, Capabilities, VectorStore
from ctxkit.records import FloatVectors, Hits, Metric, RecordBatch
from ctxkit_conformance.effort import Effort
from ctxkit_conformance.marks import covers
from ctxkit_conformance.measurement import measure, p50_ms
from ctxkit_conformance.oracle import Oracle
from ctxkit_conformance.stores import clauses
from ctxkit_conformance.stores.base import METRICS, StoreChecks, fill
from ctxkit_conformance.strategies import Where

_K: Final = 10
_ROWS: Final = 5000
_DIMENSION: Final = 32
_CLUSTERS: Final = 50
_QUERIES: Final = 30
_LEAST: Final = 0.9  # recall of a store that does not declare exact
_SHARES: Final[dict[str, float]] = {"tenth": 0.1, "hundredth": 0.01, "thousandth": 0.001}


@dataclass(frozen=True)
class Clustered:
    """Vectors around some centres, whose places in the batch say nothing, and queries near the same centres.

    The metadata of row i has the number of its cluster, and True for each of the shares that it belongs to.
    """

    batch: RecordBatch
    vectors: FloatVectors
    queries: FloatVectors
    clusters: npt.NDArray[np.int64]
    centres: FloatVectors

    @property
    def metadata(self) -> Sequence[Any]:
        """What the rows are filtered by."""
        return self.batch.metadata or ()


def clustered(rng: np.random.Generator, rows: int = _ROWS, queries: int = _QUERIES) -> Clustered:
    """Return data such as embeddings are: dense groups of similar vectors, far from each other."""
    centres = rng.normal(size=(_CLUSTERS, _DIMENSION)).astype(np.float32)
    clusters = rng.integers(_CLUSTERS, size=rows)
    vectors = _around(rng, centres[clusters])
    # Exactly so many rows of each share, all of them where chance puts them.
    order = {name: rng.permutation(rows) < round(rows * share) for name, share in _SHARES.items()}
    metadata: list[dict[str, Any]] = [
        {"cluster": int(cluster), **{name: True for name, chosen in order.items() if chosen[row]}}
        for row, cluster in enumerate(clusters)
    ]
    batch = RecordBatch([f"r{row:05d}" for row in range(rows)], vectors, None, metadata)
    return Clustered(batch, vectors, _around(rng, centres[rng.integers(_CLUSTERS, size=queries)]), clusters, centres)


def _around(rng: np.random.Generator, centres: FloatVectors) -> FloatVectors:
    spread: FloatVectors = (centres + 0.25 * rng.normal(size=centres.shape)).astype(np.float32)
    return spread


class QualityChecks(StoreChecks):
    """Recall of the ten nearest at the declared settings: all of them where exact is declared, 0.9 elsewhere."""

    tier = "T3"

    @pytest.mark.parametrize("metric", METRICS)
    @covers(clauses.NEAREST, clauses.SCORES)
    def test_recall_on_clusters(
        self,
        config: BackendConfig,
        declared: Capabilities,
        metric: Metric,
        effort: Effort,
        rng: np.random.Generator,
        request: pytest.FixtureRequest,
    ) -> None:
        """A failure means that the passages which answer a question are in the store and are not found."""
        if self.refuses_metric(config, declared, metric):
            return
        data = clustered(rng, queries=effort.times(_QUERIES))
        with self.open(config, metric, _DIMENSION) as store:
            oracle = self._filled(store, data)
            recall = self._recall(store, oracle, data.queries)
            measured = _measured(store, data, None)
        measure(request, "recall", recall=recall, metric=metric, **measured.recall)
        measure(request, "selectivity", metric=metric, **measured.selectivity)
        _check_recall(recall, "over all rows")

    @covers(clauses.NEAREST, clauses.LAW_OF_K)
    def test_recall_under_filters(
        self,
        config: BackendConfig,
        metric: Metric,
        effort: Effort,
        rng: np.random.Generator,
        request: pytest.FixtureRequest,
    ) -> None:
        """A failure means that what one user, project or day may see is found badly among everybody's records."""
        data = clustered(rng, queries=effort.times(_QUERIES))
        with self.open(config, metric, _DIMENSION) as store:
            oracle = self._filled(store, data)
            recalls = {}
            for name in _SHARES:
                where: Where = {name: True}
                passing = oracle.count(where)
                assert 0 < passing < len(data.batch), f"the filter {where} is no filter"
                recalls[name] = self._recall(store, oracle, data.queries, where)
                measured = _measured(store, data, name)
                measure(request, "recall", recall=recalls[name], metric=metric, **measured.recall)
                measure(request, "selectivity", metric=metric, **measured.selectivity)
        for name, recall in recalls.items():
            _check_recall(recall, f"under a filter that {_SHARES[name]:.1%} of the rows pass")

    @covers(clauses.NEAREST, clauses.LAW_OF_K)
    def test_recall_far_from_the_query(
        self, config: BackendConfig, metric: Metric, effort: Effort, rng: np.random.Generator
    ) -> None:
        """A failure means that a search gives up, or answers anything, when the filter excludes all that is near."""
        data = clustered(rng, rows=2500)
        with self.open(config, metric, _DIMENSION) as store:
            oracle = self._filled(store, data)
            recalls = []
            for query in data.queries[: effort.times(8)]:
                away = ((data.centres - query) ** 2).sum(axis=1).argsort()[-3:].tolist()
                where: Where = {"$or": [{"cluster": number} for number in away]}
                if "$or" not in store.capabilities.filter_operators:
                    where = {"cluster": away[-1]}
                near = oracle.query(query, 100)[0].ids
                assert not set(near) & set(oracle.passing(where)), "the filter excludes nothing that is near"
                recalls.append(self._recall(store, oracle, query[None, :], where))
        _check_recall(float(np.mean(recalls)), "under a filter that excludes every near neighbour")

    @covers(clauses.NEAREST, clauses.LAW_OF_K, clauses.READ_WRITES)
    def test_recall_after_churn(
        self, config: BackendConfig, metric: Metric, effort: Effort, rng: np.random.Generator
    ) -> None:
        """A failure means that a store which is used for a while, with deletes and updates, finds less and less."""
        data = clustered(rng, rows=3000, queries=effort.times(_QUERIES))
        ids = list(data.batch.ids)
        with self.open(config, metric, _DIMENSION) as store:
            oracle = self._filled(store, data)
            gone = [ids[row] for row in rng.permutation(len(ids))[: len(ids) // 2]]
            assert store.delete(gone) == oracle.delete(gone)
            left = sorted(oracle.records)
            for part in np.array_split(rng.permutation(left), 4)[:2]:
                # A record that moves to another cluster: whoever keeps its old vector finds it in the wrong one.
                moved = _around(rng, data.centres[rng.integers(_CLUSTERS, size=len(part))])
                batch = RecordBatch(part.tolist(), moved, None, [{"moved": True}] * len(part))
                fill(store, batch)
                oracle.upsert(batch)
            _check_recall(self._recall(store, oracle, data.queries), "after half was deleted and half of it updated")
            recall = self._recall(store, oracle, data.queries, {"moved": True})
            _check_recall(recall, "of the updated records, after half was deleted")
            # More than there are: each of them, and none that is gone.
            oracle.check_query(store, data.queries[0], len(ids))
            store.optimize()
            _check_recall(self._recall(store, oracle, data.queries), "after churn and optimize")

    @covers(clauses.NEAREST, clauses.ORDER, clauses.LAW_OF_K)
    def test_many_equal_vectors(self, config: BackendConfig, metric: Metric, rng: np.random.Generator) -> None:
        """A failure means that copies of one text crowd out what is as near, or are lost because they are copies."""
        data = clustered(rng, rows=500, queries=10)
        copies = np.repeat(data.vectors[:3], 400, axis=0)
        ids = [f"c{number:04d}" for number in rng.permutation(len(copies))]
        with self.open(config, metric, _DIMENSION) as store:
            oracle = self._filled(store, data)
            batch = RecordBatch(ids, copies, None, [{"copy": True}] * len(ids))
            fill(store, batch)
            oracle.upsert(batch)
            queries = np.concatenate([data.vectors[:3], data.queries])
            for k in (_K, 450):
                recall = self._recall(store, oracle, queries, k=k)
                _check_recall(recall, f"of {k} among three vectors with 400 copies each")
            recall = self._recall(store, oracle, queries, {"copy": True})
            _check_recall(recall, "of the copies alone")

    def _filled(self, store: VectorStore, data: Clustered) -> Oracle:
        spec = store.spec
        oracle = Oracle(spec.dimension, spec.metric, relative=self.relative_tolerance, absolute=self.absolute_tolerance)
        fill(store, data.batch)
        oracle.upsert(data.batch)
        return oracle

    def _recall(
        self, store: VectorStore, oracle: Oracle, queries: FloatVectors, where: Where | None = None, k: int = _K
    ) -> float:
        """Check the hits of every query and return the share of the true k that were found; near ties count."""
        found = wanted = 0
        for query, hits in zip(queries, store.query(queries, k, where=where), strict=True):
            oracle.check_hits(hits, query, k, where=where, exact=store.capabilities.exact)
            true = oracle.query(query, k, where=where)[0]
            wanted += len(true)
            found += _as_good(hits, true)
        assert wanted, "nothing was to be found"
        return found / wanted


def _as_good(hits: Hits, true: Hits) -> int:
    """Return how many hits are among the true ones, or as good as the last of them."""
    if not len(true):
        return 0
    ids, last = set(true.ids), true[-1].score
    return sum(hit.id in ids or hit.score >= last for hit in hits)


def _check_recall(recall: float, where: str) -> None:
    assert recall >= _LEAST, f"the recall of the nearest is {recall:.3f} {where}; at least {_LEAST} is needed"


@dataclass(frozen=True)
class _Measured:
    """One point of each series."""

    recall: dict[str, Any]
    selectivity: dict[str, Any]


def _measured(store: VectorStore, data: Clustered, share: str | None) -> _Measured:
    """Return how long single queries take, and brute force over the rows that pass."""
    where: Where | None = None if share is None else {share: True}
    rows = [row for row, values in enumerate(data.metadata) if share is None or values.get(share)]
    # The method of the class: what the journal and the settling add is not the store's.
    ask = partial(type(store).query, store, k=_K, where=where)
    store_ms = p50_ms([partial(ask, query) for query in data.queries])
    mask = np.zeros(len(data.batch), dtype=np.bool_)
    mask[rows] = True
    brute_ms = p50_ms([partial(_exact, data.vectors, mask, query, store.spec.metric) for query in data.queries])
    passing = len(rows) / len(data.batch)
    return _Measured(
        {"share": passing, "p50_ms": store_ms, "k": _K},
        {"share": passing, "p50_ms": store_ms, "exact_p50_ms": brute_ms, "ratio": store_ms / brute_ms},
    )


def _exact(vectors: FloatVectors, mask: npt.NDArray[np.bool_], query: FloatVectors, metric: Metric) -> object:
    """Search in float32 as plainly as numpy can: what the store's time is compared with."""
    rows = vectors[mask]
    scores = -((rows - query) ** 2).sum(axis=1) if metric == "l2" else rows @ query
    if metric == "cosine":
        scores = scores / np.sqrt((rows * rows).sum(axis=1))
    best = min(_K, len(scores))
    chosen = np.argpartition(-scores, best - 1)[:best]
    return chosen[np.argsort(-scores[chosen])]

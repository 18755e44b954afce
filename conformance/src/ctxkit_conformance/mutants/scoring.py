"""Scores that mean something else, or lose their digits."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import Self, override

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec
from ctxkit.local.search import similarity
from ctxkit.records import FloatVectors, Hit, Hits
from ctxkit_conformance.mutants.bases import Scoring, Searching, with_score


class ScoresAreDistances(Searching):
    """Distances stand where scores belong: lower is better."""

    @override
    def spoiled(self, hit: Hit) -> Hit:
        return with_score(hit, 1.0 - hit.score)


class WorstFirst(Searching):
    """The scores are right, and the hits come worst first."""

    @override
    def answer(self, hits: list[Hit]) -> list[Hit]:
        return hits[::-1]


class SquaredDistances(Searching):
    """Under l2 the square root is forgotten, as FAISS and hnswlib report distances."""

    @override
    def spoiled(self, hit: Hit) -> Hit:
        return with_score(hit, 1 / (1 + (1 / hit.score - 1) ** 2)) if hit.metric == "l2" else hit


class NegatedDistances(Searching):
    """Under l2 the score is minus the distance, so thresholds between 0 and 1 drop everything."""

    @override
    def spoiled(self, hit: Hit) -> Hit:
        return with_score(hit, 1 - 1 / hit.score) if hit.metric == "l2" else hit


class OneMinusDistance(Searching):
    """Under l2 the score is 1 - distance, the formula of cosine."""

    @override
    def spoiled(self, hit: Hit) -> Hit:
        return with_score(hit, 2 - 1 / hit.score) if hit.metric == "l2" else hit


class NegatedProducts(Searching):
    """Under dot the product comes negated, as from pgvector's <#>."""

    @override
    def spoiled(self, hit: Hit) -> Hit:
        return with_score(hit, -hit.score) if hit.metric == "dot" else hit


class ProductsOfUnitVectors(Scoring):
    """Under dot the vectors are scaled to length 1 first, so long documents score like short ones."""

    @override
    def scores(self, query: FloatVectors, rows: FloatVectors) -> npt.NDArray[Any]:
        found = similarity(query[0], rows, self.spec.metric)
        lengths = np.sqrt((rows.astype(np.float64) ** 2).sum(axis=1))
        return found / np.where(lengths > 0, lengths, 1) if self.spec.metric == "dot" else found


class CosineFromZeroToOne(Searching):
    """Under cosine the score is (1 + cosine) / 2, so no threshold carries over."""

    @override
    def spoiled(self, hit: Hit) -> Hit:
        return with_score(hit, (1 + hit.score) / 2) if hit.metric == "cosine" else hit


class NegativeCosineIsZero(Searching):
    """Under cosine what is opposite scores like what is unrelated."""

    @override
    def spoiled(self, hit: Hit) -> Hit:
        return with_score(hit, max(hit.score, 0.0)) if hit.metric == "cosine" else hit


class CosineOfUnitVectorsOnly(Scoring):
    """Under cosine the product is taken without dividing by the lengths: right for unit vectors only."""

    @override
    def scores(self, query: FloatVectors, rows: FloatVectors) -> npt.NDArray[Any]:
        metric = self.spec.metric
        return similarity(query[0], rows, "dot" if metric == "cosine" else metric)


class CosineIsNotClipped(Scoring):
    """Under cosine a score is 1.0000001, by the rounding of float32."""

    @override
    def scores(self, query: FloatVectors, rows: FloatVectors) -> npt.NDArray[Any]:
        if self.spec.metric != "cosine":
            return similarity(query[0], rows, self.spec.metric)
        query, rows = (each / np.sqrt((each**2).sum(axis=1, keepdims=True)) for each in (query, rows))
        return np.asarray((rows * query).sum(axis=1))


class EveryMetricIsCosine(Scoring):
    """The metric that was asked for is ignored."""

    @override
    def scores(self, query: FloatVectors, rows: FloatVectors) -> npt.NDArray[Any]:
        return np.nan_to_num(similarity(query[0], rows, "cosine"))


class CosineConfig(ExactConfig):
    """The configuration of a store that declares cosine alone."""

    @override
    def capabilities(self) -> Capabilities:
        return super().capabilities().model_copy(update={"metrics": frozenset({"cosine"})})


class UndeclaredMetricsAreCosine(ExactStore):
    """A collection with a metric that is not declared opens, and searches by another one."""

    config_class: ClassVar[type[ExactConfig]] = CosineConfig

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        return super().open(spec.model_copy(update={"metric": "cosine"}), config)


class DistancesFromSquares(Scoring):
    """Under l2 the distance is taken from squares in float32: far from the origin, neighbours are one."""

    @override
    def scores(self, query: FloatVectors, rows: FloatVectors) -> npt.NDArray[Any]:
        if self.spec.metric != "l2":
            return similarity(query[0], rows, self.spec.metric)
        squares = (rows**2).sum(axis=1) + (query**2).sum() - 2 * (rows @ query[0])
        return np.asarray(1.0 / (1.0 + np.sqrt(np.maximum(squares, 0).astype(np.float64))))


class NormsOverflow(Scoring):
    """Lengths are taken in float32: very long vectors score 0, very short ones NaN."""

    @override
    def scores(self, query: FloatVectors, rows: FloatVectors) -> npt.NDArray[Any]:
        if self.spec.metric != "cosine":
            return similarity(query[0], rows, self.spec.metric)
        lengths = np.sqrt((rows**2).sum(axis=1)) * np.sqrt((query**2).sum())
        return np.asarray(np.nan_to_num((rows * query).sum(axis=1) / lengths))


class QuantisedScores(Scoring):
    """Scores come from vectors of eight bits, and are not taken again from those that were stored."""

    @override
    def scores(self, query: FloatVectors, rows: FloatVectors) -> npt.NDArray[Any]:
        step = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-30) / 127
        return similarity(query[0], (np.round(rows / step) * step).astype(np.float32), self.spec.metric)


class RoundedScores(Searching):
    """Scores have three digits, as from an HTTP interface made for people."""

    @override
    def spoiled(self, hit: Hit) -> Hit:
        return with_score(hit, round(hit.score, 3))


class EqualVectorsScoreApart(Scoring):
    """Equal vectors score differently in the last digit, depending on where they lie in memory."""

    @override
    def scores(self, query: FloatVectors, rows: FloatVectors) -> npt.NDArray[Any]:
        return similarity(query[0], rows, self.spec.metric) * (1 - 1e-12 * (np.arange(len(rows)) % 7))


class NearOnesAreMissed(Searching):
    """A graph that was built in haste misses the nearest record now and then, and yet is declared exact."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        found = super().query(vectors, k + 1, **options)
        return [Hits(hits[1:] if len(hits) > k > 7 else hits[:k]) for hits in found]


SCORING: dict[type, str] = {
    ScoresAreDistances: "scores_by_hand",
    WorstFirst: "scores_by_hand",
    SquaredDistances: "scores_by_hand",
    NegatedDistances: "scores_by_hand",
    OneMinusDistance: "scores_by_hand",
    NegatedProducts: "scores_by_hand",
    ProductsOfUnitVectors: "scores_by_hand",
    CosineFromZeroToOne: "scores_by_hand",
    NegativeCosineIsZero: "scores_by_hand",
    CosineOfUnitVectorsOnly: "scores_by_hand",
    CosineIsNotClipped: "cosine_stays_within_its_limits",
    EveryMetricIsCosine: "scores_by_hand",
    UndeclaredMetricsAreCosine: "scores_by_hand",
    DistancesFromSquares: "close_together_far_from_the_origin",
    NormsOverflow: "extreme_magnitudes_score_right",
    QuantisedScores: "scores_against_brute_force",
    RoundedScores: "scores_by_hand",
    EqualVectorsScoreApart: "ties_across_the_boundary",
    NearOnesAreMissed: "scores_against_brute_force",
}

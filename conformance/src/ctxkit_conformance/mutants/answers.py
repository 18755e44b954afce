"""Answers of a query that are too few, too many, in another order, or to another question."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from ctxkit.defaults.exact import ExactStore
from ctxkit.errors import InvalidQueryError
from ctxkit.filters import Where, matches, parse
from ctxkit.records import Hit, Hits
from ctxkit_conformance.mutants.bases import EVERYTHING, Remembering, Searching, without_vector


class FiltersAfterwards(ExactStore):
    """The k nearest are taken first and filtered then: a strict filter finds nothing."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, *, where: Where | None = None, **options: Any) -> list[Hits]:
        node = parse(where)
        found = super().query(vectors, k, **options)
        return [Hits([hit for hit in hits if matches(node, hit.metadata)]) for hits in found]


class FiltersTenTimesAsMany(ExactStore):
    """Ten times k are taken and filtered then: a strict filter finds too little."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, *, where: Where | None = None, **options: Any) -> list[Hits]:
        node = parse(where)
        found = super().query(vectors, 10 * k, **options)
        return [Hits([hit for hit in hits if matches(node, hit.metadata)][:k]) for hits in found]


class FilterIsIgnored(ExactStore):
    """`query` ignores its filter, and shows what a user may not see."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, *, where: Where | None = None, **options: Any) -> list[Hits]:
        parse(where)
        return super().query(vectors, k, **options)


class DeletedTakeUpPlaces(Remembering):
    """Deleted records are still in the index and taken out of its answer: k becomes fewer."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, *, where: Where | None = None, **options: Any) -> list[Hits]:
        found = super().query(vectors, k, where=where, **options)
        dead = self.graves.query(vectors, k, where=where)
        answers = []
        for hits, gone in zip(found, dead, strict=True):
            least = sorted([*hits.scores, *gone.scores], reverse=True)[:k]
            answers.append(Hits([hit for hit in hits if hit.score >= least[-1]]))
        return answers


class AHundredAtMost(Searching):
    """No more than a hundred hits come back, however many were asked for."""

    @override
    def answer(self, hits: list[Hit]) -> list[Hit]:
        return hits[:100]


class MoreThanThereAre(ExactStore):
    """Asking for more hits than there are records raises RuntimeError, as hnswlib does."""

    leaks: ClassVar[tuple[type[Exception], ...]] = (RuntimeError,)

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        found = super().query(vectors, k, **options)
        if any(0 < len(hits) < k for hits in found):
            raise RuntimeError("Cannot return the results in a contiguous 2D array. Probably ef or M is too small")
        return found


class RoomForAll(ExactStore):
    """Memory for all k hits is taken before anything is searched, so a large k for "all" fails."""

    leaks: ClassVar[tuple[type[Exception], ...]] = (MemoryError,)

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        if k > EVERYTHING:
            raise MemoryError(f"Unable to allocate {8 * k} bytes")
        return super().query(vectors, k, **options)


class PadsWithMinusOne(Searching):
    """Places that cannot be filled hold the id "-1", as FAISS labels them."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        filler = Hit("-1", float("-inf"))
        return [Hits([*hits, *[filler] * min(k - len(hits), 1000)]) for hits in super().query(vectors, k, **options)]


class AlwaysTruncated(ExactStore):
    """Each answer claims to be cut short."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        return [Hits(list(hits), truncated=True) for hits in super().query(vectors, k, **options)]


class TiesInReverse(Searching):
    """Equal scores come in the wrong order of ids."""

    @override
    def answer(self, hits: list[Hit]) -> list[Hit]:
        return sorted(sorted(hits, key=lambda hit: hit.id, reverse=True), key=lambda hit: -hit.score)


class TiesAsWritten(ExactStore):
    """Which of several equal records are found depends on the order in which they were written."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        place = {record.id: i for i, record in enumerate(self.scan())}
        super().query(vectors, k, **options)  # what is refused stays refused
        everything = super().query(vectors, EVERYTHING, **options)
        return [Hits(sorted(hits, key=lambda hit: (-hit.score, place[hit.id]))[:k]) for hits in everything]


class TiesAreSettledTooLate(ExactStore):
    """Equal scores are sorted by id after the k first written were taken."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        place = {record.id: i for i, record in enumerate(self.scan())}
        super().query(vectors, k, **options)  # what is refused stays refused
        everything = super().query(vectors, EVERYTHING, **options)
        taken = [sorted(hits, key=lambda hit: (-hit.score, place[hit.id]))[:k] for hits in everything]
        return [Hits(sorted(hits, key=lambda hit: (-hit.score, hit.id))) for hits in taken]


class IdsOrderedAsUtf16(Searching):
    """Equal scores come in the order of UTF-16 units, as strings compare in Java and JavaScript."""

    @override
    def answer(self, hits: list[Hit]) -> list[Hit]:
        return sorted(hits, key=lambda hit: (-hit.score, hit.id.encode("utf-16-be")))


class ThresholdIsExclusive(ExactStore):
    """A hit whose score is `min_score` itself is dropped."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, *, min_score: float | None = None, **options: Any) -> list[Hits]:
        found = super().query(vectors, k, min_score=min_score, **options)
        return [Hits([hit for hit in hits if min_score is None or hit.score > min_score]) for hits in found]


class ThresholdIsIgnored(ExactStore):
    """`min_score` is accepted and changes nothing."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, *, min_score: float | None = None, **options: Any) -> list[Hits]:
        super().query(vectors, k, min_score=min_score, **options)  # what is refused stays refused
        return super().query(vectors, k, **options)


class ThresholdOfZeroIsNone(ExactStore):
    """`min_score=0.0` is taken for no threshold."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, *, min_score: float | None = None, **options: Any) -> list[Hits]:
        return super().query(vectors, k, min_score=min_score or None, **options)


class ThresholdIsADistance(ExactStore):
    """`min_score` is compared with the distance: the best hits are dropped."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, *, min_score: float | None = None, **options: Any) -> list[Hits]:
        super().query(vectors, k, min_score=min_score, **options)  # what is refused stays refused
        found = super().query(vectors, k, **options)
        return [Hits([hit for hit in hits if min_score is None or hit.score <= min_score]) for hits in found]


class AnswersAreShifted(ExactStore):
    """In a batch of queries each one gets the answer of the next."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        found = super().query(vectors, k, **options)
        return [*found[1:], *found[:1]]


class AnswersArePooled(ExactStore):
    """In a batch of queries each one gets the best hits of all."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        found = super().query(vectors, k, **options)
        best: dict[str, Hit] = {}
        for hit in sorted((hit for hits in found for hit in hits), key=lambda hit: (-hit.score, hit.id)):
            best.setdefault(hit.id, hit)
        return [Hits(list(best.values())[: len(hits)]) for hits in found]


class AHundredQueriesAtMost(ExactStore):
    """A batch of more than a hundred queries is answered as far as the hundredth."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        return super().query(vectors, k, **options)[:100]


class OneQueryGivesOneAnswer(ExactStore):
    """A single vector gives its hits instead of a list with one answer, so code for batches breaks."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> Any:
        found = super().query(vectors, k, **options)
        return found[0] if len(found) == 1 and np.asarray(vectors).ndim == 1 else found


class VectorsAreForgotten(Searching):
    """`include_vectors` is ignored by `query`."""

    @override
    def spoiled(self, hit: Hit) -> Hit:
        return without_vector(hit)


class VectorsAreAlwaysThere(ExactStore):
    """Every hit carries its vector though nobody asked for it."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        return super().query(vectors, k, **{**options, "include_vectors": True})


class HitsAreBare(Searching):
    """A hit has an id and a score; text and metadata have to be fetched."""

    @override
    def spoiled(self, hit: Hit) -> Hit:
        return Hit(hit.id, hit.score, vector=hit.vector, metric=hit.metric)


class HitsLackTheMetric(Searching):
    """A hit does not say its metric, so it has no distance."""

    @override
    def spoiled(self, hit: Hit) -> Hit:
        return Hit(hit.id, hit.score, hit.text, hit.metadata, hit.vector)


class ZeroQueriesAreAnswered(ExactStore):
    """The embedding of an empty question gets an answer under cosine."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        if self.spec.metric == "cosine" and np.shape(vectors) == (self.spec.dimension,) and not np.any(vectors):
            vectors = np.full(self.spec.dimension, 1e-30)
        return super().query(vectors, k, **options)


class NanQueriesAreAnswered(ExactStore):
    """A query with NaN gets the first records of the table."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        try:
            return super().query(vectors, k, **options)
        except InvalidQueryError:
            return super().query(
                np.nan_to_num(np.asarray(vectors, dtype=np.float64), posinf=1, neginf=-1), k, **options
            )


class ShortQueriesArePadded(ExactStore):
    """A query of another model's dimension is filled up with zeros."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        if isinstance(vectors, list) and 0 < len(vectors) < self.spec.dimension and np.ndim(vectors) == 1:
            vectors = [*vectors, *[0.0] * (self.spec.dimension - len(vectors))]
        return super().query(vectors, k, **options)


class AnEmptyStoreTakesAnything(ExactStore):
    """Queries are checked once there is a record: a wrong dimension shows in production only."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        return super().query(vectors, k, **options) if self.count() else [Hits()]


class NoHitsWanted(ExactStore):
    """k = 0 gives no hits instead of an error, and a negative k all of them."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        if k > 0:
            return super().query(vectors, k, **options)
        return [Hits(list(hits)[: k or None]) for hits in super().query(vectors, EVERYTHING, **options)]


class HalfAHit(ExactStore):
    """k = 1.5 is taken for 1, and k = True as well."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        return super().query(vectors, int(k), **options)


ANSWERS: dict[type, str] = {
    FiltersAfterwards: "filter_that_excludes_the_near",
    FiltersTenTimesAsMany: "filter_that_excludes_the_near",
    FilterIsIgnored: "filters_mean_what_the_reference_says",
    DeletedTakeUpPlaces: "law_of_k",
    AHundredAtMost: "law_of_k",
    MoreThanThereAre: "law_of_k",
    RoomForAll: "law_of_k",
    PadsWithMinusOne: "law_of_k",
    AlwaysTruncated: "law_of_k",
    TiesInReverse: "ties_across_the_boundary",
    TiesAsWritten: "ties_across_the_boundary",
    TiesAreSettledTooLate: "ties_across_the_boundary",
    IdsOrderedAsUtf16: "ties_across_the_boundary",
    ThresholdIsExclusive: "min_score_is_inclusive",
    ThresholdIsIgnored: "min_score_is_inclusive",
    ThresholdOfZeroIsNone: "min_score_is_inclusive",
    ThresholdIsADistance: "min_score_is_inclusive",
    AnswersAreShifted: "batch_equals_one_by_one_and_prefixes_agree",
    AnswersArePooled: "batch_equals_one_by_one_and_prefixes_agree",
    AHundredQueriesAtMost: "batch_equals_one_by_one_and_prefixes_agree",
    OneQueryGivesOneAnswer: "results_are_hits",
    VectorsAreForgotten: "results_are_hits",
    VectorsAreAlwaysThere: "results_are_hits",
    HitsAreBare: "results_are_hits",
    HitsLackTheMetric: "results_are_hits",
    ZeroQueriesAreAnswered: "zero_queries",
    NanQueriesAreAnswered: "bad_queries_are_refused",
    ShortQueriesArePadded: "bad_queries_are_refused",
    AnEmptyStoreTakesAnything: "bad_queries_are_refused",
    NoHitsWanted: "bad_queries_are_refused",
    HalfAHit: "bad_queries_are_refused",
}

"""Defects that single calls do not show: they need a sequence, a load of data, or a rare combination of arguments."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.filters import Where
from ctxkit.interfaces import Capabilities
from ctxkit.records import Hit, Hits
from ctxkit_conformance.mutants.bases import (
    EVERYTHING,
    Mutated,
    Remembering,
    Translating,
    Written,
    as_hit,
    sound,
    without_vector,
)
from ctxkit_conformance.mutants.sequences import (
    DeletedByFilterComeBack,
    FoundByItsOldVector,
    HalfOfARefusedBatch,
    LostAfterOptimize,
    OptimizeBringsBack,
    OrderedByOldValues,
    WordsOfWhatAFilterDeleted,
    WritesWaitInMemory,
)

_MANY: Final = 32
_WIDE: Final = 2**53


class ApproximateConfig(ExactConfig):
    """The configuration of a store that declares near ties."""

    @override
    def capabilities(self) -> Capabilities:
        return super().capabilities().model_copy(update={"exact": False})


class Approximate(Mutated):
    """Looks at some records first, `looked_at`, and fills up with others when that gives too few."""

    config_class: ClassVar[type[ExactConfig]] = ApproximateConfig

    @override
    def query(
        self,
        vectors: npt.ArrayLike,
        k: int,
        *,
        where: Where | None = None,
        min_score: float | None = None,
        include_vectors: bool = False,
    ) -> list[Hits]:
        super().query(vectors, k, where=where, min_score=min_score)  # what is refused stays refused
        answers = []
        for hits in super().query(vectors, EVERYTHING, where=where, include_vectors=True):
            first = self.looked_at(list(hits), where)
            known = {hit.id for hit in first}
            rest = sorted((hit for hit in hits if hit.id not in known), key=lambda hit: zlib.crc32(hit.id.encode()))
            chosen = sorted([*first, *rest][:k], key=lambda hit: (-hit.score, hit.id))
            kept = [hit for hit in chosen if min_score is None or hit.score >= min_score]
            answers.append(Hits(kept if include_vectors else [without_vector(hit) for hit in kept]))
        return answers

    def looked_at(self, hits: list[Hit], where: Where | None) -> list[Hit]:
        """Return the hits that the search comes upon, of all that there are, best first."""
        raise NotImplementedError


class OneBucketIsSearched(Approximate):
    """A hash of the vector chooses the bucket that is searched: neighbours across its border are not found."""

    @override
    def looked_at(self, hits: list[Hit], where: Where | None) -> list[Hit]:
        buckets = np.array([hit.vector for hit in hits])[:, :6] > 0 if hits else np.zeros((0, 6), dtype=np.bool_)
        same = (buckets == buckets[:1]).all(axis=1)
        return [hit for hit, found in zip(hits, same.tolist(), strict=True) if found]


class PoorUnderStrictFilters(Approximate):
    """Under a filter that few records pass, the graph falls apart, and 4 of 10 neighbours are not reached."""

    @override
    def looked_at(self, hits: list[Hit], where: Where | None) -> list[Hit]:
        strict = len(hits) < 0.05 * self.count()
        return [hit for hit in hits if zlib.crc32(hit.id.encode()) % 10 < 6] if strict else hits


class GivesUpFarAway(Approximate):
    """A filtered search looks at the 500 nearest records and takes any others when those do not pass."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        near = ExactStore.query(self, vectors, 500)
        self.notes["near"] = {hit.id for hits in near for hit in hits}
        return super().query(vectors, k, **options)

    @override
    def looked_at(self, hits: list[Hit], where: Where | None) -> list[Hit]:
        return hits if where is None else [hit for hit in hits if hit.id in self.notes["near"]]


class FadesWithChurn(Approximate):
    """Each deletion takes edges from the graph, so after many of them every third neighbour is not reached."""

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        deleted = super().delete(ids, where=where)
        self.notes["deleted"] = self.notes.get("deleted", 0) + deleted
        return deleted

    @override
    def looked_at(self, hits: list[Hit], where: Where | None) -> list[Hit]:
        worn = self.notes.get("deleted", 0) > 0.4 * self.count()
        return [hit for hit in hits if zlib.crc32(hit.id.encode()) % 3] if worn else hits


class CopiesAreOneNode(Approximate):
    """Equal vectors are one node of the graph, with one id: copies are found only by accident."""

    @override
    def looked_at(self, hits: list[Hit], where: Where | None) -> list[Hit]:
        firsts = {np.asarray(hit.vector).tobytes(): hit for hit in reversed(hits)}
        return sorted(firsts.values(), key=lambda hit: (-hit.score, hit.id))


class FewerThanKAfterDeletes(Remembering):
    """Twice k are taken from an index full of deleted records, and what is left of them is all there is."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        found = super().query(vectors, k, **options)
        if not 1000 < self.count() < len(self.buried):
            return found
        answers = []
        for hits, dead in zip(found, self.graves.query(vectors, 2 * k), strict=True):
            both = sorted([*hits.scores, *dead.scores], reverse=True)[: 2 * k]
            answers.append(Hits([hit for hit in hits if hit.score >= both[-1]]))
        return answers


class PaddingIsARecord(Mutated):
    """The -1 that pads the answers of a filtered batch is taken for the last record, which passes no filter."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, *, where: Where | None = None, **options: Any) -> list[Hits]:
        found = super().query(vectors, k, where=where, **options)
        last = next(iter(self.scan(descending=True, limit=1)), None)
        if len(found) < 2 or where is None or last is None:
            return found
        return [
            Hits([*hits, as_hit(last, float(hits[-1].score) - 1e-3)]) if 0 < len(hits) < k else hits for hits in found
        ]


class ThresholdOfThePrevious(Mutated):
    """In a batch `min_score` is applied to the scores of the previous query, whose buffer is used again."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, *, min_score: float | None = None, **options: Any) -> list[Hits]:
        found = super().query(vectors, k, min_score=min_score, **options)
        if min_score is None or len(found) < 2:
            return found
        whole = super().query(vectors, k, **options)
        masks = [[hit.score >= min_score for hit in hits] for hits in whole]
        return [
            Hits([hit for hit, kept in zip(hits, mask, strict=False) if kept])
            for hits, mask in zip(whole, [masks[0], *masks], strict=False)
        ]


class LargeBatchesAreShifted(Mutated):
    """In a batch of more than 32 queries with a threshold, each gets the answer of its neighbour."""

    @override
    def query(self, vectors: npt.ArrayLike, k: int, *, min_score: float | None = None, **options: Any) -> list[Hits]:
        found = super().query(vectors, k, min_score=min_score, **options)
        return found if min_score is None or len(found) <= _MANY else [*found[1:], found[0]]


class CountsFromACache(Mutated):
    """The count of a compound filter is remembered until the number of records changes, which replacing does not."""

    @override
    def count(self, where: Where | None = None) -> int:
        found = super().count(where)
        if not isinstance(where, Mapping) or not any(key.startswith("$") for key in where):
            return found
        cache: dict[tuple[str, int], int] = self.notes.setdefault("counts", {})
        return cache.setdefault((repr(where), super().count()), found)


class MixedListsAreFloats(Translating):
    """A $in list of ints and floats becomes an array of floats, in which ints beyond 2**53 run into each other."""

    @override
    def condition(self, field: str, operator: str, operand: Any) -> dict[str, Any]:
        if operator in ("$in", "$nin") and any(isinstance(value, float) for value in operand):
            wide = [value for value in operand if type(value) is int and abs(value) > _WIDE]
            near = [each for value in wide for each in (value - 1, value + 1) if abs(each) < 2**63]
            operand = [*operand, *near]
        return super().condition(field, operator, operand)


class NestedNinNeedsTheField(Translating):
    """$nin leaves out the records without the field when it stands inside $and or $or, where it becomes a join."""

    @override
    def accepted(self, where: Where | None) -> Where | None:
        return _mapped_parts(where, _with_the_field)


class NegationMeansAnotherList(Translating):
    """Under a negated $and or $or, "has not this member" means a list that lacks it, not whatever is no such list."""

    @override
    def negated(self, where: dict[str, Any]) -> dict[str, Any]:
        inner = where
        while "$and" in inner and len(inner["$and"]) == 1:
            inner = inner["$and"][0]
        junction, parts = next(iter(inner.items()))
        if junction not in ("$and", "$or") or len(parts) < 2:
            return super().negated(where)
        turned = {"$and": "$or", "$or": "$and"}[junction]
        return {turned: [self._without(part) for part in parts]}

    def _without(self, part: dict[str, Any]) -> dict[str, Any]:
        fields = list(_contained_fields(part))
        present = [{name: {"$exists": True}} for name in fields]
        return {"$and": [{"$not": part}, *present]}


class LastOfAFullPage(Mutated):
    """The last record of a batch that fills its pages of 256 exactly is not written."""

    @override
    def upsert(self, records: Written) -> None:
        batch = sound(self, records)
        super().upsert(batch[:-1] if batch and len(batch) % 256 == 0 else batch)


def _mapped_parts(where: Where | None, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Where | None:
    """Return the filter with every member of an $and or $or changed."""
    if not isinstance(where, Mapping):
        return where
    found: dict[str, Any] = {}
    for key, value in where.items():
        nested = key in ("$and", "$or") and isinstance(value, list)
        found[key] = [change(part) if isinstance(part, dict) else part for part in value] if nested else value
    return found


def _with_the_field(part: dict[str, Any]) -> dict[str, Any]:
    fields = [name for name, test in part.items() if isinstance(test, dict) and "$nin" in test]
    present: Iterable[dict[str, Any]] = ({name: {"$exists": True}} for name in fields)
    return {"$and": [part, *present]} if fields else part


def _contained_fields(where: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields that $contains is asked of, where it is not negated."""
    for key, value in where.items():
        if key in ("$and", "$or"):
            for part in value:
                yield from _contained_fields(part)
        elif not key.startswith("$") and isinstance(value, Mapping) and "$contains" in value:
            yield key


SEARCH: dict[type, str] = {
    FoundByItsOldVector: "random_sequences",
    HalfOfARefusedBatch: "random_sequences",
    LostAfterOptimize: "random_sequences",
    OrderedByOldValues: "random_sequences",
    DeletedByFilterComeBack: "random_sequences",
    OptimizeBringsBack: "random_sequences",
    WordsOfWhatAFilterDeleted: "random_sequences",
    CountsFromACache: "random_sequences",
    WritesWaitInMemory: "random_sequences_with_kills",
    LastOfAFullPage: "batches_of_every_size",
    OneBucketIsSearched: "recall_on_clusters",
    PoorUnderStrictFilters: "recall_under_filters",
    GivesUpFarAway: "recall_far_from_the_query",
    FadesWithChurn: "recall_after_churn",
    FewerThanKAfterDeletes: "recall_after_churn",
    CopiesAreOneNode: "many_equal_vectors",
    PaddingIsARecord: "every_query_of_a_large_batch",
    ThresholdOfThePrevious: "random_searches",
    LargeBatchesAreShifted: "every_query_of_a_large_batch",
    MixedListsAreFloats: "every_operator_on_every_value",
    NestedNinNeedsTheField: "every_pair_of_conditions",
    NegationMeansAnotherList: "every_pair_of_conditions",
}

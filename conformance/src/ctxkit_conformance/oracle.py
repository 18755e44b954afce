"""What a collection should hold and answer, worked out the plainest way there is.

A dict of records, brute force in float64, and the reference evaluator of filters: nothing else of the core is used.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ctxkit.filters import Where, matches, parse
from ctxkit.interfaces import VectorStore
from ctxkit.records import Hit, Hits, Metric, Record, RecordBatch
from ctxkit_conformance.ranking import Ranking, Table

_SHOWN: Final = 200  # characters of a value in a message


class Oracle:
    """The right answers; its methods mirror those of a store.

    `relative` and `absolute` say how right a score has to be; the contract says 1e-4 and 1e-6.
    """

    def __init__(self, dimension: int, metric: Metric, *, relative: float = 1e-4, absolute: float = 1e-6) -> None:
        self.dimension = dimension
        self.metric: Metric = metric
        self.relative, self.absolute = relative, absolute
        self.records: dict[str, Record] = {}
        self._table: Table | None = None

    def clear(self) -> None:
        """Hold nothing."""
        self.records.clear()
        self._table = None

    def copy(self) -> Oracle:
        """Return an oracle that holds the same and goes its own way."""
        other = Oracle(self.dimension, self.metric, relative=self.relative, absolute=self.absolute)
        other.records = dict(self.records)
        return other

    def upsert(self, records: Iterable[Record] | RecordBatch) -> None:
        """Hold these records, each instead of the one with its id; they have to be such as a store accepts."""
        self._table = None
        for record in records:
            vector = None if record.vector is None else np.array(record.vector, dtype=np.float32)
            self.records[record.id] = Record(record.id, record.text, vector, _copied(record.metadata))

    def get(self, ids: Sequence[str], *, include_vectors: bool = False) -> list[Record | None]:
        """Return the records in the order of `ids`, None where there is none."""
        found = (self.records.get(record_id) for record_id in ids)
        return [None if record is None else _shown_with(record, vectors=include_vectors) for record in found]

    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        """Forget these records; return how many there were."""
        gone = [record_id for record_id in self.passing(where) if ids is None or record_id in ids]
        for record_id in gone:
            del self.records[record_id]
        self._table = None
        return len(gone)

    def count(self, where: Where | None = None) -> int:
        """Return how many records pass."""
        return len(self.passing(where))

    def passing(self, where: Where | None = None) -> list[str]:
        """Return the ids of the records that pass, by the reference evaluator."""
        node = parse(where)
        return [record_id for record_id, record in self.records.items() if matches(node, record.metadata)]

    def scan(
        self,
        where: Where | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        include_vectors: bool = False,
    ) -> list[Record]:
        """Return the records that pass; without `order_by` in the order of writing, which no store promises."""
        ids = self.passing(where)
        if order_by is not None:
            ids = self._ordered(ids, order_by, descending=descending)
        return [_shown_with(self.records[record_id], vectors=include_vectors) for record_id in ids[:limit]]

    def query(
        self, vectors: npt.ArrayLike, k: int, *, where: Where | None = None, min_score: float | None = None
    ) -> list[Hits]:
        """Return the k nearest records of each query, then without those below `min_score`."""
        return [self._nearest(query, k, where, min_score) for query in _queries(vectors)]

    def text_query(self, word: str, where: Where | None = None) -> list[str]:
        """Return the ids, sorted, of the records that pass and have `word` among the words of their text."""
        return sorted(name for name in self.passing(where) if word in self.records[name].text.split())

    def agrees(self, store: VectorStore) -> None:
        """Compare everything that a store holds with this; the message of the AssertionError names what differs."""
        self.check_records(list(store.scan(include_vectors=True)), "scan()")
        count = store.count()
        assert count == len(self.records), f"count() is {count}, and there are {len(self.records)} records"
        ids = [*self.records, "never written"]
        got = store.get(ids, include_vectors=True)
        assert len(got) == len(ids), f"get() of {len(ids)} ids returns {len(got)} records"
        for record_id, record in zip(ids, got, strict=True):
            expected = self.records.get(record_id)
            assert record == expected, f"get([{record_id!r}]) returns {_brief(record)}, not {_brief(expected)}"
        probe = next((record.vector for record in self.records.values() if record.vector is not None), None)
        asked = [1.0] * self.dimension if probe is None else np.asarray(probe).tolist()
        self.check_query(store, asked, len(self.records) + 1)

    def check_records(self, found: Sequence[Record], what: str) -> None:
        """Check that these are all records, each exactly once and as it was written."""
        seen: set[str] = set()
        for record in found:
            assert record.id not in seen, f"{what} yields {record.id!r} twice"
            seen.add(record.id)
            expected = self.records.get(record.id)
            assert expected is not None, f"{what} yields {record.id!r}, which was deleted or never written"
            assert record == expected, f"{what} yields {_brief(record)}, not {_brief(expected)}"
        missing = sorted(set(self.records) - seen)
        assert not missing, f"{what} lacks {_brief(missing)}"

    def check_query(
        self,
        store: VectorStore,
        vectors: npt.ArrayLike,
        k: int,
        *,
        where: Where | None = None,
        min_score: float | None = None,
        include_vectors: bool = False,
    ) -> None:
        """Ask the store and check its answer: one result for each query, each as `check_hits` wants it."""
        options: dict[str, Any] = {"where": where, "min_score": min_score, "include_vectors": include_vectors}
        given = {name: value for name, value in options.items() if value is not None and value is not False}
        results = store.query(vectors, k, **given)
        queries = _queries(vectors)
        assert len(results) == len(queries), f"query() of {len(queries)} vectors returns {len(results)} results"
        for place, (query, hits) in enumerate(zip(queries, results, strict=True)):
            nth = f" (query {place} of {len(queries)})" if len(queries) > 1 else ""
            shown = "".join(f", {name}={_brief(value)}" for name, value in given.items())
            what = f"query({_brief(query.tolist())}, {k}{shown}){nth}"
            self.check_hits(hits, query, k, exact=store.capabilities.exact, what=what, **options)

    def check_hits(
        self,
        hits: Hits,
        query: npt.ArrayLike,
        k: int,
        *,
        exact: bool,
        where: Where | None = None,
        min_score: float | None = None,
        include_vectors: bool = False,
        what: str = "query()",
    ) -> None:
        """Check the hits of one query: what they are, their scores, their order, their number.

        Of an exact store also that they are the nearest records, of equal vectors those that come first by id. Where
        two records are nearer to each other in score than float64 can tell, either may come first.
        """
        ranking = self._ranking(np.asarray(query, dtype=np.float32), where)
        self._check_each(hits, ranking, what, where, include_vectors=include_vectors)
        keys = [(-hit.score, hit.id) for hit in hits]
        assert keys == sorted(keys), f"{what} answers {_scored(hits)}: not best first, equal scores by id"
        assert not hits.truncated, f"{what} says that it is truncated"
        wanted = min(k, len(ranking.ids))
        if min_score is None:
            assert len(hits) == wanted, (
                f"{what} returns {len(hits)} hits of {wanted} ({len(ranking.ids)} records with a vector pass)"
            )
        else:
            low = [(hit.id, hit.score) for hit in hits if not hit.score >= min_score]
            assert not low, f"{what} keeps {_brief(low)}"
            assert len(hits) <= wanted, f"{what} returns {len(hits)} hits, more than {wanted}"
        if exact:
            self._check_order(hits, ranking, what)
            self._check_ties(set(hits.ids), ranking, what)
        if exact or wanted == len(ranking.ids):
            self._check_complete(hits, ranking, wanted, what, min_score)

    def _check_each(
        self, hits: Hits, ranking: Ranking, what: str, where: Where | None, *, include_vectors: bool
    ) -> None:
        scores: dict[bytes, float] = {}
        seen: set[str] = set()
        for hit in hits:
            assert hit.id not in seen, f"{what} returns {hit.id!r} twice"
            seen.add(hit.id)
            record = self.records.get(hit.id)
            assert record is not None, f"{what} returns {hit.id!r}, which was deleted or never written"
            assert record.vector is not None, f"{what} returns {hit.id!r}, which has no vector"
            assert hit.id in ranking.place, f"{what} returns {hit.id!r}, which does not pass {_brief(where)}"
            true, slack = ranking.of(hit.id)
            allowed = max(self.relative * abs(true), self.absolute) + slack
            assert abs(hit.score - true) <= allowed, f"{what} gives {hit.id!r} the score {hit.score!r}, not {true!r}"
            given = Record(hit.id, hit.text, hit.vector, hit.metadata)
            expected = _shown_with(record, vectors=include_vectors)
            assert given == expected, f"{what} returns {_brief(given)}, not {_brief(expected)}"
            same = scores.setdefault(np.asarray(record.vector).tobytes(), hit.score)
            assert hit.score == same, f"{what} gives equal vectors the scores {same!r} and {hit.score!r} ({hit.id!r})"

    def _check_order(self, hits: Hits, ranking: Ranking, what: str) -> None:
        """Check that the order is the true one."""
        for first, second in itertools.pairwise(hits):
            (left, left_slack), (right, right_slack) = ranking.of(first.id), ranking.of(second.id)
            assert left >= right - left_slack - right_slack, (
                f"{what} puts {first.id!r} (score {left!r}) before {second.id!r} ({right!r})"
            )

    def _check_complete(self, hits: Hits, ranking: Ranking, wanted: int, what: str, min_score: float | None) -> None:
        """Check that no better record is missing; one that its score's tolerance could drop may be."""
        chosen = set(hits.ids)
        for record_id in ranking.ids[:wanted]:
            true, slack = ranking.of(record_id)
            margin = max(self.relative * abs(true), self.absolute) + slack
            if record_id in chosen or (min_score is not None and true < min_score + margin):
                continue
            assert len(hits) == wanted, f"{what} drops {record_id!r}, whose score is {true!r}"
            worst = min(hits, key=lambda hit: ranking.of(hit.id)[0])
            low, low_slack = ranking.of(worst.id)
            assert low >= true - slack - low_slack, (
                f"{what} returns {worst.id!r} (score {low!r}) and not {record_id!r} ({true!r}), which is nearer"
            )

    def _check_ties(self, chosen: set[str], ranking: Ranking, what: str) -> None:
        """Check that of equal vectors those were chosen that come first by id."""
        for group in self._columns.equals:
            ids = [record_id for record_id in group if record_id in ranking.place]
            found = [record_id for record_id in ids if record_id in chosen]
            first = ids[: len(found)]
            assert found == first, f"{what} returns {_brief(found)} of equal vectors, and {_brief(first)} come before"

    def _nearest(self, query: npt.NDArray[np.float32], k: int, where: Where | None, min_score: float | None) -> Hits:
        ranking = self._ranking(query, where)
        hits = []
        for record_id in ranking.ids[:k]:
            record, (score, _) = self.records[record_id], ranking.of(record_id)
            if min_score is None or score >= min_score:
                hits.append(Hit(record_id, score, record.text, _copied(record.metadata), None, self.metric))
        return Hits(hits)

    def _ranking(self, query: npt.NDArray[np.float32], where: Where | None) -> Ranking:
        return self._columns.ranking(query, where, self.metric)

    @property
    def _columns(self) -> Table:
        if self._table is None:
            self._table = Table(self.records.values(), self.dimension)
        return self._table

    def _ordered(self, ids: Sequence[str], field: str, *, descending: bool) -> list[str]:
        def value_of(record_id: str) -> Any:
            return self.records[record_id].metadata.get(field)

        numbers = [i for i in ids if isinstance(value_of(i), int | float) and not isinstance(value_of(i), bool)]
        words = [i for i in ids if isinstance(value_of(i), str)]
        rest = sorted(set(ids).difference(numbers, words))
        groups = [sorted(sorted(group), key=value_of, reverse=descending) for group in (numbers, words)]
        if descending:
            # `reverse` keeps equal values in the order of their ids.
            groups.reverse()
        return [*groups[0], *groups[1], *rest]


def _queries(vectors: npt.ArrayLike) -> npt.NDArray[np.float32]:
    given = np.asarray(vectors, dtype=np.float32)
    return given[None, :] if given.ndim == 1 else given


def _copied(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, list | tuple) else value for key, value in metadata.items()}


def _shown_with(record: Record, *, vectors: bool) -> Record:
    vector = record.vector if vectors and record.vector is not None else None
    return Record(record.id, record.text, None if vector is None else np.array(vector), _copied(record.metadata))


def _scored(hits: Iterable[Hit]) -> str:
    return _brief([(hit.id, hit.score) for hit in hits])


def _brief(value: object) -> str:
    if isinstance(value, Record):
        vector = None if value.vector is None else np.asarray(value.vector).tolist()
        value = f"Record({value.id!r}, {value.text!r}, {vector}, {dict(value.metadata)})"
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."

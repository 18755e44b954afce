"""Search in a collection on a server: Chroma proposes, the filter is evaluated here, and the law of k holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from ctxkit.filters import And, Filter, matches
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import FloatVectors
from ctxkit_chroma import codec
from ctxkit_chroma.habits import Habit, Habits
from ctxkit_chroma.pushdown import Pushed
from ctxkit_chroma.rows import Row, Rows, hit_rows, pages
from ctxkit_chroma.scoring import Found, as_matrix, best, is_stuck, merged
from ctxkit_chroma.table import passing

Hit: TypeAlias = tuple[Found, Row]

_MOST_FETCHED: Final = 2000
_MOST_LISTED: Final = 24  # records of which all is read: their vectors come over the wire
_GROWTH: Final = 6
_PAGE: Final = 1000
_COPIES: Final = 10  # of one vector among the hits: the graph may have met nothing else
_LEAST: Final = 10


class RemoteNearest:
    """One search in one collection, by several queries."""

    def __init__(self, rows: Rows, spec: CollectionSpec, queries: FloatVectors, node: Filter, *, vectors: bool) -> None:
        self._rows = rows
        self._spec = spec
        self._queries = queries
        self._asked = codec.asked_vectors(queries, spec.metric)
        self._node = node
        # Vectors are most of what goes over the wire. Under cosine Chroma's distances are as good, so they stay there
        # unless they are asked for.
        scores = "distances" if spec.metric == "cosine" and not vectors else "embeddings"
        self._include = ["metadatas", "documents", scores]
        self._found: list[list[Hit]] = [[] for _ in queries]

    def search(self, k: int, down: Pushed, habits: Habits, select: Callable[[], list[str]]) -> list[list[Hit]]:
        """Return the nearest of each query with their rows, from one answer where that has enough.

        `select` returns the ids of all records that pass.
        """
        least = max(k, _LEAST)
        habit = habits.of(self._node, least)
        if self._node == And(()):
            self._grow(k, least, None, least)
        elif down.where is None:
            self._widen(least, habit)
            self._grow(k, least, None, 2 * _GROWTH * least)
        elif self._habitually(k, least, down.where, habit):
            return self._found
        self._complete(k, select)
        return [hits[:k] for hits in self._found]

    def _habitually(self, k: int, least: int, where: dict[str, Any], habit: Habit) -> bool:
        """Search in the way that is quickest as a rule, and return whether every record that passes was scored."""
        way = habit.way()
        start = time.perf_counter()
        if way == "listed":
            listed = self._list(k, where)
            habit.took(way, (time.perf_counter() - start) / len(self._found), float(not listed))
            if listed:
                return True
        elif way == "wide":
            self._widen(least, habit)
            share = len(self._open(k)) / len(self._found)
            habit.took(way, (time.perf_counter() - start) / len(self._found), share)
        if open_ := self._open(k):
            start = time.perf_counter()
            # Nearly all of what Chroma was told to look for will pass.
            self._grow(k, least, where, least)
            habit.took("filtered", (time.perf_counter() - start) / len(open_))
        return False

    def _list(self, k: int, where: dict[str, Any]) -> bool:
        """Score all records that pass, if they are few."""
        rows = self._rows.some(where, _MOST_LISTED + 1)
        if len(rows) > _MOST_LISTED:
            return False
        rows = passing(self._node, rows)
        self._found = [self._scored(query, rows, k) for query in self._queries]
        return True

    def _widen(self, least: int, habit: Habit) -> None:
        """Ask Chroma for what is near, whatever it is, and read as much of it as should hold enough that passes."""
        answer = self._rows.near(self._asked, habit.width, include=[])
        near = [ids[: habit.size] for ids in answer["ids"]]
        rows = self._rows.fetch((record_id for ids in near for record_id in ids), with_vectors=True)
        for place, ids in enumerate(near):
            met = [rows[record_id] for record_id in ids if record_id in rows]
            good = passing(self._node, met)
            self._found[place] = self._scored(self._queries[place], good, least)
            if met:
                habit.passed(len(good) / len(met))

    def _open(self, k: int) -> list[int]:
        """Return the places of the queries that have too few hits."""
        return [place for place, hits in enumerate(self._found) if len(hits) < k]

    def _grow(self, k: int, least: int, where: dict[str, Any] | None, size: int) -> None:
        """Ask Chroma for more and more until enough of what comes passes, or it has no more."""
        while open_ := self._open(k):
            came = self._ask(open_, least, where, size)
            if min(came) < size or size >= _MOST_FETCHED:
                return
            size = min(size * _GROWTH, _MOST_FETCHED)

    def _ask(self, places: Sequence[int], least: int, where: dict[str, Any] | None, size: int) -> list[int]:
        """Take what passes of one answer of Chroma's, and return how many hits it had for each query."""
        answer = self._rows.near(self._asked[list(places)], size, include=self._include, where=where)
        came = []
        for number, place in enumerate(places):
            rows = hit_rows(answer, number, self._rows.scene)
            came.append(len(rows))
            self._found[place] = (
                self._scored(self._queries[place], passing(self._node, rows), least)
                if answer["distances"] is None
                else self._by_distance(answer["distances"][number], rows)
            )
        return came

    def _complete(self, k: int, select: Callable[[], list[str]]) -> None:
        """Score every record that passes, where that may find more or better ones than were found."""
        short = self._open(k)
        stuck = [place for place in range(len(self._found)) if self._is_stuck(place, 0)]
        if not short and not stuck:
            return
        ids = select()
        open_ = [place for place in short if len(self._found[place]) < min(k, len(ids))]
        open_ += [place for place in stuck if self._is_stuck(place, len(ids))]
        if not open_:
            return
        for place in open_:
            self._found[place] = []
        for page in pages(ids, _PAGE):
            rows = passing(self._node, self._rows.fetch(page, with_vectors=True).values())
            for place in open_:
                scored = self._scored(self._queries[place], rows, k)
                both = {hit.id: (hit, row) for hit, row in (*self._found[place], *scored)}
                self._found[place] = [both[hit.id] for hit in merged((hit for hit, _ in both.values()), k)]

    def _is_stuck(self, place: int, matching: int) -> bool:
        return is_stuck([hit for hit, _ in self._found[place]], matching, _COPIES)

    def _scored(self, query: Any, rows: list[Row], k: int) -> list[Hit]:
        by_id = {row.id: row for row in rows}
        matrix = as_matrix([row.vector for row in by_id.values()], self._spec.dimension)
        return [(hit, by_id[hit.id]) for hit in best(query, list(by_id), matrix, self._spec.metric, k)]

    def _by_distance(self, distances: Sequence[float], rows: Sequence[Row]) -> list[Hit]:
        """Return the rows that pass, scored under cosine by what Chroma says, best first."""
        scored = [
            (Found(row.id, codec.cosine_of(distance)), row)
            for row, distance in zip(rows, distances, strict=True)
            if matches(self._node, row.metadata)
        ]
        return sorted(scored, key=lambda each: (-each[0].score, each[0].id))

"""The ways of searching under a filter on a server: each gives the same answer, and the quickest becomes a habit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from ctxkit_chroma.config import ChromaConfig
from ctxkit_chroma.habits import Habit, Habits, Way
from ctxkit_chroma.store import ChromaStore

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.filters import parse
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import Metric, RecordBatch

SECONDS: Mapping[Way, float] = {"filtered": 10.0, "wide": 4.0, "listed": 3.0}


def ways_of(habit: Habit, calls: int, share: float, missing: Mapping[Way, float]) -> list[Way]:
    """Return the ways that are taken, where `share` passes and ways leave so much to Chroma."""
    taken: list[Way] = []
    for _ in range(calls):
        way = habit.way()
        taken.append(way)
        if way == "wide":
            habit.passed(share)
        habit.took(way, SECONDS[way], missing.get(way, 0.0))
    return taken


def test_a_filter_that_is_used_a_few_times_is_left_to_chroma() -> None:
    """Trying other ways costs something that a few calls never bring in."""
    assert ways_of(Habit(10), 3, 0.5, {}) == ["filtered"] * 3


def test_the_quickest_way_becomes_the_habit() -> None:
    """Of many that pass more hits are asked for; of hardly any all are read; what misses is dropped."""
    assert ways_of(Habit(10), 40, 0.5, {})[3:] == ["wide"] * 37
    assert ways_of(Habit(10), 40, 0.0, {"wide": 1.0})[7:] == ["listed"] * 33
    ways = ways_of(Habit(10), 63, 0.0, {"wide": 1.0, "listed": 1.0})
    assert {place for place, way in enumerate(ways, 1) if way != "filtered"} == {4, 5, 8, 9}


def test_a_habit_is_tried_anew_from_time_to_time() -> None:
    """What passes changes with what is written, so what was too slow is tried again, ever more seldom."""
    ways = ways_of(Habit(10), 2100, 0.0, {"wide": 1.0, "listed": 1.0})
    assert [place for place, way in enumerate(ways, 1) if way == "wide"] == [4, 5, 64, 65, 1024, 1025]
    assert [place for place, way in enumerate(ways, 1) if way == "listed"] == [8, 9, 128, 129, 2048, 2049]


def test_a_busy_moment_changes_no_habit() -> None:
    """One slow answer says little; a way that has become slow for good is given up."""
    habit = Habit(10)
    ways_of(habit, 20, 0.5, {})
    habit.took("wide", 60.0)
    assert habit.way() == "wide"
    for _ in range(60):
        habit.took("wide", 60.0)
    assert habit.way() == "filtered"


def test_so_many_hits_that_enough_pass() -> None:
    """By two and a half standard deviations more than the mean, never without bound."""
    rng = np.random.default_rng(0)
    for share in (0.3, 0.5, 0.9):
        habit = Habit(10)
        habit.passed(share)
        assert (rng.binomial(habit.size, share, size=10_000) >= 10).mean() > 0.97
    habit = Habit(10)
    habit.passed(0.0)
    assert habit.size == 100


def test_what_is_one_habit() -> None:
    """The same filter and number of hits; a range with another bound too, because programs ask from now on."""
    habits = Habits()
    same: list[dict[str, Any]] = [{"t": {"$gt": 1}}, {"t": {"$gt": 2.5}}]
    others: list[dict[str, Any]] = [
        {"t": {"$lt": 1}},
        {"t": 1},
        {"t": 2},
        {"u": {"$gt": 1}},
        {"$and": [{"t": 1}, {"u": 2}]},
        {"$or": [{"t": 1}, {"u": 2}]},
        {"$not": {"t": 1}},
    ]
    assert len({id(habits.of(parse(where), 10)) for where in same}) == 1
    assert len({id(habits.of(parse(where), 10)) for where in (*same, *others)}) == len(others) + 1
    assert habits.of(parse(same[0]), 10) is not habits.of(parse(same[0]), 20)
    first = habits.of(parse(same[0]), 10)
    for number in range(300):
        habits.of(parse({"t": number}), 10)
    assert habits.of(parse(same[0]), 10) is not first, "they grow without end"


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_every_way_gives_the_same_answer(remote: ChromaConfig, metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the exact store: where many pass, few, fewer than are wanted, none, and none of what is near."""
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(400, 3)).astype(np.float32)
    vectors[:200] = vectors[:200] * 0.2 + np.array([1, 0, 0], dtype=np.float32)
    batch = RecordBatch([f"r{i:03d}" for i in range(400)], vectors, None, [{"n": i} for i in range(400)])
    spec = CollectionSpec(name="notes", dimension=3, metric=metric)
    queries = np.array([[1.0, 0.0, 0.0], [0.2, 1.0, 0.5]])
    with ChromaStore.open(spec, remote) as store, ExactStore.open(spec, ExactConfig()) as exact:
        store.upsert(batch)
        exact.upsert(batch)
        for where in ({"n": {"$gte": 30}}, {"n": {"$gte": 200}}, {"n": {"$gte": 393}}, {"n": 7}, {"n": 999}):
            wanted = exact.query(queries, 5, where=where)
            for way in SECONDS:
                monkeypatch.setattr(Habit, "way", lambda _self, way=way: way)
                for found, right in zip(store.query(queries, 5, where=where), wanted, strict=True):
                    assert found.ids == right.ids, (way, where)
                    assert found.scores == pytest.approx(right.scores, rel=1e-4, abs=1e-6)

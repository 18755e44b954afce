"""Single queries with text and metadata in hand, and how many of the true neighbours they find."""

from __future__ import annotations

import numpy as np

from ctxkit_conformance.bench.baseline import Row
from ctxkit_conformance.bench.figures import Figure, Target
from ctxkit_conformance.bench.stage import K, Stage
from ctxkit_conformance.bench.timing import in_turns
from ctxkit_conformance.bench.truth import last_similarities, recall

_CALLS = 20
_EXACT = Target(1.05)
_APPROXIMATE = Target(1.25)


def measure(stage: Stage) -> list[Figure]:
    """Return the ratio of a query's time to the raw library's, and recall@10 without a filter."""
    raw, store = stage.both()
    stage.tell("single queries")
    turns = in_turns(
        [lambda number: stage.ask(stage.query(number)), lambda number: raw.query(stage.query(number)[None], K)],
        rounds=stage.effort.rounds,
        calls=_CALLS,
    )
    time = Figure(
        "query",
        "one query, k=10",
        turns.ratio(),
        target=_EXACT if store.capabilities.exact else _APPROXIMATE,
        spread=turns.spread(),
        ours=turns.median(0),
        raw=turns.median(1),
        measured_in="s",
    )
    return [time, _recall(stage)]


def _recall(stage: Stage) -> Figure:
    data = stage.data
    place = {id_: row for row, id_ in enumerate(data.ids)}
    true = last_similarities(data.queries, data.vectors, K)

    def found_by(answers: list[list[Row]]) -> float:
        rows = [np.array([place[each[0]] for each in answer], dtype=np.int64) for answer in answers]
        return recall(data.queries, [data.vectors[each] for each in rows], true)

    ours, raw = found_by(stage.ask(data.queries)), found_by(stage.raw.query(data.queries, K))
    return Figure("query", "recall@10, no filter", ours, "share", ours=ours, raw=raw, measured_in="share")

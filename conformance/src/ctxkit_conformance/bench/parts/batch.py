"""Many queries in one call."""

from __future__ import annotations

from ctxkit.records import FloatVectors
from ctxkit_conformance.bench.figures import Figure, Target
from ctxkit_conformance.bench.stage import K, Stage
from ctxkit_conformance.bench.timing import in_turns

_QUERIES = 256
_TARGET = Target(1.10)


def measure(stage: Stage) -> list[Figure]:
    """Return the ratio of the time of one call with 256 queries."""
    raw, queries = stage.both()[0], stage.data.queries
    size = min(_QUERIES, len(queries))
    stage.tell(f"{size} queries at once")

    def block(number: int) -> FloatVectors:
        start = (number * 37) % (len(queries) - size + 1)
        return queries[start : start + size]

    turns = in_turns(
        [lambda number: stage.ask(block(number)), lambda number: raw.query(block(number), K)],
        rounds=max(1, stage.effort.rounds // 2),
        calls=1,
    )
    figure = Figure(
        "batch",
        f"{size} queries at once",
        turns.ratio(),
        target=_TARGET,
        spread=turns.spread(),
        ours=turns.median(0),
        raw=turns.median(1),
        measured_in="s",
    )
    return [figure]

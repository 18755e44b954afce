"""One record, written durably: a known id and a new one in turns."""

from __future__ import annotations

from typing import Final

from ctxkit.records import RecordBatch
from ctxkit_conformance.bench.figures import Figure, Target
from ctxkit_conformance.bench.stage import Stage
from ctxkit_conformance.bench.timing import in_turns

_CALLS: Final = 6
_TARGET: Final = Target(3.0)
_BATCH: Final = 1000


def measure(stage: Stage) -> list[Figure]:
    """Return the ratio of the time of one upsert to that of one commit of bare SQLite, both with all rows there."""
    data, store = stage.data, stage.store
    new: list[str] = []

    def one(number: int) -> RecordBatch:
        row = (number * 7919) % len(data)
        batch = data.batch(row, row + 1)
        if number % 2:
            return batch
        name = f"bench-new-{number}"
        return RecordBatch([name], batch.vectors, batch.texts, batch.metadata)

    stage.tell("filling the bare writer")
    writer = stage.raw.writer(stage.folder / "upsert")
    try:
        for batch in data.batches(_BATCH):
            writer.write(batch)
        stage.tell("single upserts")
        rounds = stage.effort.rounds
        new += [f"bench-new-{number}" for number in range(0, (rounds + 1) * _CALLS, 2)]
        ways = [lambda number: store.upsert(list(one(number))), lambda number: writer.write(one(number))]
        turns = in_turns(ways, rounds=rounds, calls=_CALLS)
    finally:
        writer.close()
        store.delete(new)
    durable = stage.declared.persistent
    figure = Figure(
        "upsert",
        "one durable upsert",
        turns.ratio(),
        target=_TARGET if durable else None,
        spread=turns.spread(),
        ours=turns.median(0),
        raw=turns.median(1),
        measured_in="s",
        note="" if durable else "not judged, the store keeps nothing on disk",
    )
    return [figure]

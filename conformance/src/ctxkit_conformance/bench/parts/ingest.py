"""Durable writes in batches, into new stores, before any index is made."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Final

from ctxkit.records import RecordBatch
from ctxkit_conformance.bench.figures import Figure, Target
from ctxkit_conformance.bench.sqlite_rows import BareWriter
from ctxkit_conformance.bench.stage import Stage, numbered_batches
from ctxkit_conformance.bench.timing import Call, quartiles, timed

_BATCHES: Final = 9  # of a thousand rows: the engine makes no index of fewer than ten thousand
_TARGET: Final = Target(0.6, at_least=True)


def measure(stage: Stage) -> Iterator[Figure]:
    """Yield the ratio of our rows a second to those of bare SQLite, or of a whole raw store.

    A store with text search indexes the words in the same commit; a second figure, without a target, is the ratio to
    SQLite that does so with FTS5.
    """
    size = stage.allowed(stage.effort.batch_size)
    seconds = []
    for turn in range(stage.effort.fresh_stores):
        stage.tell(f"writing batches of {size} into new store {turn + 1} of {stage.effort.fresh_stores}")
        seconds.append(_filled(stage, turn, size))
    rows = size * len(numbered_batches(stage.data, size, _BATCHES))
    name = f"ingest, batches of {size}"
    yield _figure(stage, name, [(ours, raw) for ours, raw, _ in seconds], rows, _TARGET)
    if stage.declared.text_search is not None and stage.bare_writes:
        yield _figure(stage, "ingest / SQLite + FTS5", [(ours, words) for ours, _, words in seconds], rows, None)


def _figure(
    stage: Stage, name: str, seconds: Sequence[tuple[float, float]], rows: int, target: Target | None
) -> Figure:
    ratios = [raw / ours for ours, raw in seconds]
    durable = stage.declared.persistent
    return Figure(
        "ingest",
        name,
        statistics.median(ratios),
        target=target if durable else None,
        spread=quartiles(ratios),
        ours=rows / statistics.median(ours for ours, _ in seconds),
        raw=rows / statistics.median(raw for _, raw in seconds),
        measured_in="/s",
        note="" if durable else "not judged, the store keeps nothing on disk",
    )


def _filled(stage: Stage, turn: int, size: int) -> tuple[float, float, float]:
    """Fill new stores batch by batch in turns; return the seconds of ours, of the raw one, and of SQLite with words."""
    folder = stage.folder / f"ingest-{turn}"
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        raw = stack.enter_context(closing(stage.new_raw(folder / "baseline")))
        bare = stack.enter_context(closing(raw.writer(folder / "raw")))
        words = stack.enter_context(closing(BareWriter(folder / "words", words=True)))
        store = stack.enter_context(stage.open(stage.harness.fresh(folder / "store")))
        ways = [_writing(stage, write, size) for write in (store.upsert, bare.write, words.write)]
        spent = [0.0, 0.0, 0.0]
        for number, (start, _) in enumerate(numbered_batches(stage.data, size, _BATCHES)):
            for place in range(len(ways)):
                way = (place + number) % len(ways)
                spent[way] += timed(ways[way], start)
    return spent[0], spent[1], spent[2]


def _writing(stage: Stage, write: Callable[[RecordBatch], None], size: int) -> Call:
    return lambda start: write(stage.data.batch(start, start + size))

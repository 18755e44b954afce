"""What is compared after a move: every record, or a sample, and what the nearest neighbours are."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from components import WordEmbedder, WordsConfig
from moving_support import COLLECTION, fill, place, plain, spec_of

from ctxkit.errors import StoreCorruptError
from ctxkit.interfaces import Embedder
from ctxkit.local import kept_texts, scan
from ctxkit.moving import (
    ContentDigest,
    Order,
    StorePlace,
    export,
    exporting,
    import_export,
    migrate,
    passes,
    record_digest,
    reembed,
)
from ctxkit.moving.passes import Progress
from ctxkit.records import Metric, Record

ORDER = Order(COLLECTION)


def test_the_digest_sees_every_type_and_bit() -> None:
    """What Python holds equal differs, the order of records and keys does not matter."""
    vector = np.ones(2, np.float32)
    records = [
        Record("a", "t", vector, {"n": 1}),
        Record("a", "t", vector, {"n": 1.0}),
        Record("a", "t", vector, {"n": True}),
        Record("a", "t", vector, {"n": [1]}),
        Record("a", "t", np.array([0.0, 1.0]), {"n": 1}),
        Record("a", "t", np.array([-0.0, 1.0]), {"n": 1}),
        Record("a", "t", None, {"n": 1}),
        Record("at", "", vector, {"n": 1}),
    ]
    digests = [record_digest(record) for record in records]
    assert len(set(digests)) == len(records)
    assert record_digest(Record("a", "", None, {"x": 1, "y": 2})) == record_digest(
        Record("a", "", None, {"y": 2, "x": 1})
    )
    there, back = ContentDigest(), ContentDigest()
    there.add(digests)
    back.add(reversed(digests[3:]))
    back = ContentDigest(str(back))
    back.add(digests[:3])
    assert str(there) == str(back) != str(ContentDigest())


def test_a_store_that_changes_what_it_keeps_is_found_out(tmp_path: Path) -> None:
    """The first records that it keeps tell, before the others are written; what changes later, the comparison."""
    source = place("exact", tmp_path / "s")
    fill(source, plain(600))
    with pytest.raises(StoreCorruptError, match=r"keeps 512 of the first 512 records otherwise .* \('p00000', .*\)\."):
        migrate(source, place("lossy", tmp_path / "t"), ORDER)
    with place("lossy", tmp_path / "t").open(spec_of()) as store:
        assert store.count() == 512


def test_a_target_that_changes_behind_a_move_is_found_out(tmp_path: Path) -> None:
    """The comparison at the end names records; comparing a sample finds it too, and a sound target passes."""
    source = place("exact", tmp_path / "s")
    fill(source, plain(40))

    def spoil(target: StorePlace) -> Progress:
        """Change every record of the target once they are copied."""
        changed = [replace(record, text="spoilt") for record in plain(40)]
        return lambda phase, done, total: fill(target, changed) if phase == "copy" and done == total else None

    for name, sample, wrong in (("t", None, 40), ("u", 7, 7)):
        target = place("exact", tmp_path / name)
        with pytest.raises(StoreCorruptError, match=rf"{wrong} records are missing or differ \('p000"):
            migrate(source, target, Order(COLLECTION, sample=sample, progress=spoil(target)))
    report = migrate(source, place("exact", tmp_path / "v"), Order(COLLECTION, sample=7))
    assert (report.verified.compared, report.verified.digest) == (7, None)


def test_the_probe_shows_lost_recall(tmp_path: Path) -> None:
    """Brute force says what is right: a store that finds half of it has half the recall, one that finds all has all."""
    source = place("exact", tmp_path / "s")
    fill(source, plain(300))
    found = migrate(source, place("blind", tmp_path / "t"), ORDER).verified.recall
    assert found is not None
    assert (found.queries, found.k, found.before, found.after, found.same) == (32, 10, 1.0, 0.5, 0.5)
    sampled = migrate(source, place("blind", tmp_path / "u"), Order(COLLECTION, sample=5)).verified.recall
    assert sampled is not None
    assert (sampled.queries, sampled.before, sampled.after, sampled.same) == (5, None, None, 0.5)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_the_probe_scores_as_the_stores_do(metric: Metric, tmp_path: Path) -> None:
    """Under each metric an exact store has the whole recall, ties and all."""
    source = place("exact", tmp_path / "s")
    vectors = [Record(f"t{number}", "", np.ones(8) * (1 + number % 2)) for number in range(30)]
    fill(source, [*plain(60), *vectors], spec_of(metric))
    found = migrate(source, place("faiss", tmp_path / "t"), ORDER).verified.recall
    assert found is not None
    assert (found.before, found.after) == (1.0, 1.0)


def test_a_batch_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is that takes them: texts, values of the metadata, vectors."""
    monkeypatch.setattr(passes, "_BATCH_BYTES", 800)
    for heavy in (Record("a", "x" * 400), Record("a", "", None, {"tags": ["x"] * 400}), Record("a", "", np.ones(100))):
        assert [len(batch) for batch in passes.batches([heavy] * 5)] == [2, 2, 1]


class Gauge:
    """A progress that measures the most memory between its first call, when the stores are open, and its last one."""

    def __init__(self) -> None:
        self.peak: int | None = None

    def __call__(self, *_: object) -> None:
        """Begin, or look."""
        if self.peak is None:
            tracemalloc.reset_peak()
        self.peak = tracemalloc.get_traced_memory()[1]


def peaks(folder: Path, records: Sequence[Record], model: Embedder) -> dict[str, int]:
    """Return what each command takes to move these records, in bytes."""
    source = place("exact", folder / "s")
    fill(source, records)
    gauges = {name: Gauge() for name in ("migrate", "export", "import", "reembed")}
    migrate(source, place("exact", folder / "t"), Order(COLLECTION, progress=gauges["migrate"]))
    export(source, folder / "x", COLLECTION, progress=gauges["export"])
    import_export(folder / "x", place("exact", folder / "u"), progress=gauges["import"])
    reembed(source, model, Order(COLLECTION, progress=gauges["reembed"]))
    return {name: gauge.peak or 0 for name, gauge in gauges.items()}


def test_memory_does_not_grow_with_the_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With four times the records no command holds more of their texts at once: a batch, a part, a page."""
    for module, name, value in ((passes, "_BATCH", 32), (exporting, "_PART_RECORDS", 32), (scan, "PAGE", 32)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(kept_texts, "_KEPT_BYTES", 2**16)
    text, few, many = " ".join(["x" * 2999] * 4), 96, 288
    tracemalloc.start()
    with WordEmbedder(WordsConfig()) as model:
        before, after = (
            peaks(tmp_path / str(count), [replace(record, text=text) for record in plain(count)], model)
            for count in (few, many)
        )
    tracemalloc.stop()
    assert all(before.values())
    grown = {name: after[name] - before[name] for name in before}
    assert all(each < len(text) * (many - few) / 2 for each in grown.values()), (before, after)

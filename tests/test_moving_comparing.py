"""What is compared after a move: every record, or a sample, and what the nearest neighbours are."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from moving_support import COLLECTION, fill, place, plain, spec_of

from ctxkit.errors import StoreCorruptError
from ctxkit.moving import ContentDigest, Order, migrate, record_digest
from ctxkit.moving.origins import StoreOrigin
from ctxkit.moving.passes import Copying, Sample, one_pass
from ctxkit.moving.settling import silent
from ctxkit.moving.verifying import Scope, verify
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
    """The comparison at the end names records; comparing a sample finds it too, and a sound target passes."""
    source = place("exact", tmp_path / "s")
    fill(source, plain(40))
    with pytest.raises(StoreCorruptError, match=r"40 records are missing or differ \('p00000'"):
        migrate(source, place("lossy", tmp_path / "t"), ORDER)
    with pytest.raises(StoreCorruptError, match="7 records are missing or differ"):
        migrate(source, place("lossy", tmp_path / "u"), Order(COLLECTION, sample=7))
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


@pytest.mark.slow
def test_memory_does_not_grow_with_the_collection(tmp_path: Path) -> None:
    """Four times the records need no more than one batch either, to copy and to compare."""
    peaks = []
    for count in (1500, 6000):
        source, target = place("exact", tmp_path / f"s{count}"), place("exact", tmp_path / f"t{count}")
        for each in (source, target):
            fill(each, plain(count))
        with source.open(spec_of()) as given, target.open(spec_of()) as held:
            sample = Sample(32)
            tracemalloc.start()
            one_pass(StoreOrigin(given), held, Copying(), sample, silent, prune=True)
            verify(StoreOrigin(given), held, Copying(), Scope(sample.ids), silent)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]

"""Segments of the local engine: when they are made, what they are good for, and what happens when they are bad."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.interfaces import CollectionSpec
from ctxkit.local import layers, segment
from ctxkit.local.building import Policy
from ctxkit.local.exact import ExactRows
from ctxkit.local.layout import collection_directory
from ctxkit.records import Metric, Record, RecordBatch

DIMENSION = 16
SPEC = CollectionSpec(name="c", dimension=DIMENSION)
RNG = np.random.default_rng(3)
VECTORS = RNG.normal(size=(400, DIMENSION)).astype(np.float32)
QUERIES = RNG.normal(size=(12, DIMENSION)).astype(np.float32)


def batch(first: int, last: int) -> RecordBatch:
    """Return records first to last."""
    ids = [f"r{i:03d}" for i in range(first, last)]
    return RecordBatch(ids, VECTORS[first:last], None, [{"i": i} for i in range(first, last)])


def config(path: Path, **more: object) -> ExactConfig:
    """Return a configuration under which a segment is due from the first record on, within the write."""
    return ExactConfig(path=path, **{"exact_below": 0, "index_build": "inline", **more})


def segments(path: Path) -> list[Path]:
    """Return the folders of the collection's segments, oldest first."""
    folder = collection_directory(path, "c") / segment.FOLDER
    return sorted(each for each in folder.iterdir() if not each.name.startswith("."))


def answers(store: ExactStore) -> list[list[tuple[str, float]]]:
    """Return hits of several kinds of questions."""
    found = []
    for where in (None, {"i": {"$lt": 30}}, {"i": {"$gte": 40}}):
        found += [[(hit.id, hit.score) for hit in hits] for hits in store.query(QUERIES, 7, where=where)]
    return found


def plain(path: Path, spec: CollectionSpec = SPEC) -> list[list[tuple[str, float]]]:
    """Return the answers of a store that makes and reads no segment."""
    shutil.copytree(path, path.with_name("plain"), ignore=shutil.ignore_patterns(segment.FOLDER))
    with ExactStore.open(spec, ExactConfig(path=path.with_name("plain"))) as store:
        assert store.stats().details["segment"] is None
        found = answers(store)
    shutil.rmtree(path.with_name("plain"))
    return found


def churn(store: ExactStore) -> None:
    """Write, replace and delete around several segments."""
    store.upsert(batch(0, 300))
    store.delete([f"r{i:03d}" for i in range(0, 200, 3)])
    store.upsert([Record(f"r{i:03d}", "", -VECTORS[i], {"i": i}) for i in range(50, 60)])
    store.upsert(batch(300, 400))
    store.delete(where={"i": {"$gt": 390}})


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_answers_do_not_depend_on_segments(tmp_path: Path, metric: Metric) -> None:
    """With a segment and a delta, after a reopening, and without any segment: the same hits and scores."""
    spec = SPEC.model_copy(update={"metric": metric})
    with ExactStore.open(spec, config(tmp_path / "s")) as store:
        churn(store)
        store.upsert([Record("late", "", QUERIES[0] * 3, {"i": 41})])
        before = answers(store)
        assert store.stats().details["segment_vectors"] > 0
    with ExactStore.open(spec, config(tmp_path / "s", exact_below=10**6)) as store:
        assert answers(store) == before
        assert store.stats().details["segment"] is not None
    assert plain(tmp_path / "s", spec) == before


def test_a_store_in_memory_has_segments_too() -> None:
    """Without a directory the segment stays in memory; answers are as they were."""
    found = []
    for more in ({"exact_below": 0, "index_build": "inline"}, {}):
        with ExactStore.open(SPEC, ExactConfig(**more)) as store:
            churn(store)
            found.append(answers(store))
            assert (store.stats().details["segment"] is not None) is bool(more)
    assert found[0] == found[1]


def test_none_is_made_below_the_limit(tmp_path: Path) -> None:
    """Few vectors are searched by brute force, and no files are written for them."""
    with ExactStore.open(SPEC, ExactConfig(path=tmp_path)) as store:
        store.upsert(batch(0, 400))
        store.optimize()
        details = store.stats().details
        assert (details["segment"], details["delta"]) == (None, 400)
        assert answers(store)
        assert details["index_type"] == "Exact"
    assert not (collection_directory(tmp_path, "c") / segment.FOLDER).exists()


def test_optimize_leaves_no_delta(tmp_path: Path) -> None:
    """After it, everything live is in the segment, and only that."""
    with ExactStore.open(SPEC, config(tmp_path)) as store:
        churn(store)
        store.optimize()
        stats = store.stats()
        assert (stats.details["delta"], stats.details["tombstones"]) == (0, 0)
        assert stats.details["segment_vectors"] == stats.vectors
        assert stats.details["bytes_mapped"] == stats.vectors * DIMENSION * 4
        store.query(QUERIES[0], 3, where={"i": 5})
        assert "matching rows" in store.stats().details["plan"]
        name = stats.details["segment"]
        store.optimize()
        assert store.stats().details["segment"] == name, "nothing had changed"


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    """Older ones go, and so does what a killed process left half made."""
    with ExactStore.open(SPEC, config(tmp_path)) as store:
        for first in range(0, 400, 100):
            store.upsert(batch(first, first + 100))
            store.optimize()
        left_over = segments(tmp_path)[0].parent / ".building-dead"
        left_over.mkdir()
        store.delete(["r000"])
        store.optimize()
        assert len(segments(tmp_path)) == 2
        assert not left_over.exists()


def damaged_by(kind: str, path: Path) -> None:
    """Damage one file."""
    content = path.read_bytes()
    if kind == "deleted":
        path.unlink()
    elif kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "emptied":
        path.write_bytes(b"")
    else:
        place = len(content) // 3
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])


@pytest.mark.parametrize("kind", ["deleted", "truncated", "emptied", "flipped"])
@pytest.mark.parametrize("name", ["labels.i64", "sums.u32", "rows.f32", "segment.json"])
def test_a_damaged_segment_is_not_searched(
    tmp_path: Path, kind: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is passed over with a warning and made anew from the records; answers stay right."""
    with ExactStore.open(SPEC, config(tmp_path / "s")) as store:
        churn(store)
    expected = plain(tmp_path / "s")
    for folder in segments(tmp_path / "s"):
        damaged_by(kind, folder / name)
    caplog.clear()
    with ExactStore.open(SPEC, config(tmp_path / "s")) as store:
        assert answers(store) == expected
        assert store.stats().details["segment"] is not None
        assert store.health().ok
    told = [record.message for record in caplog.records if "made anew" in record.message]
    # A number in the description may be flipped into another one that changes nothing.
    assert told or kind == "deleted" or (kind, name) == ("flipped", "segment.json")


def test_names_sort_by_age(tmp_path: Path) -> None:
    """Of two segments of one moment the later one counts: the order never depends on chance."""
    wanted = segment.Wanted("i", DIMENSION, "dot", 7)
    names = []
    for _ in range(20):
        writer = segment.Writer(tmp_path, wanted)
        writer.add([1, 2], [3, 4], VECTORS[:2])
        writer.mapped()
        names.append(writer.finish(None, lambda: None).name)
        assert segment.names(tmp_path)[-1] == names[-1]
    assert names == sorted(names)


def test_an_older_segment_stands_in(tmp_path: Path) -> None:
    """When the newest one is damaged, the one before it serves, with a larger delta."""
    with ExactStore.open(SPEC, config(tmp_path / "s")) as store:
        store.upsert(batch(0, 200))
        store.optimize()
        store.upsert(batch(200, 210))
        store.optimize()
    older, newer = segments(tmp_path / "s")
    (newer / "rows.f32").write_bytes(b"")
    with ExactStore.open(SPEC, config(tmp_path / "s", exact_below=10**6)) as store:
        assert store.stats().details["segment"] == older.name
        assert store.stats().details["delta"] == 10


def test_a_segment_of_the_future_is_thrown_away(tmp_path: Path) -> None:
    """A database put back to an earlier state uses labels again: a segment made after it may not be believed."""
    path, database = tmp_path / "s", "store.db"
    with ExactStore.open(SPEC, config(path, exact_below=10**6)) as store:
        store.upsert(batch(0, 100))
    shutil.copy(collection_directory(path, "c") / database, tmp_path / database)
    with ExactStore.open(SPEC, config(path)) as store:
        store.upsert(batch(100, 300))
    (future,) = segments(path)[-1:]
    shutil.copy(tmp_path / database, collection_directory(path, "c") / database)
    with ExactStore.open(SPEC, config(path, exact_below=10**6)) as store:
        assert not future.exists()
        store.upsert([Record(f"other{i}", "", -VECTORS[i], {"i": i}) for i in range(250)])
        got = answers(store)
    assert plain(path) == got


def test_another_vector_under_a_label_is_noticed() -> None:
    """A slot is used only while the database holds that very vector."""
    found = segment.Segment("s", 1, 0.0, 1.0, np.array([1, 2, 3]), np.array([7, 8, 9], dtype=np.uint32), _rows(3), None)
    index = layers.Layers(DIMENSION, "dot", found)
    slots = index.claim(np.array([1, 2, 4]), np.array([7, 5, 9], dtype=np.uint32))
    assert slots.tolist() == [0, -1, -1]
    assert (len(index), index.delta_live, index.size) == (1, 0, 3)


def _rows(count: int) -> ExactRows:
    return ExactRows(DIMENSION, "dot", (VECTORS[:count], np.zeros(0, dtype=np.float32)))


def test_a_segment_that_cannot_be_made_costs_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The write is stored and found; the reason is in the log and in the statistics."""
    with ExactStore.open(SPEC, config(tmp_path)) as store:
        (collection_directory(tmp_path, "c") / segment.FOLDER).write_text("in the way")
        store.upsert(batch(0, 50))
        assert len(store.query(QUERIES[0], 60)[0]) == 50
        assert "no segment could be made" in store.stats().details["segment_problem"]
    assert any("no segment could be made" in record.message for record in caplog.records)


def wait_for_segment(store: ExactStore) -> None:
    """Wait until the background has made one."""
    deadline = time.monotonic() + 30
    while store.stats().details["segment"] is None:
        assert time.monotonic() < deadline, "no segment was made"
        time.sleep(0.01)


def test_in_the_background(tmp_path: Path) -> None:
    """It is made beside writes and searches, and taken up without a reopening."""
    with ExactStore.open(SPEC, config(tmp_path / "s", index_build="background")) as store:
        for first in range(0, 400, 20):
            store.upsert(batch(first, first + 20))
            assert len(store.query(QUERIES[0], 1000)[0]) == first + 20
        wait_for_segment(store)
        got = answers(store)
    assert plain(tmp_path / "s") == got


def test_another_handle_takes_it_up(tmp_path: Path) -> None:
    """What one handle made, another one finds instead of making it again."""
    with ExactStore.open(SPEC, config(tmp_path, exact_below=150)) as one:
        with ExactStore.open(SPEC, config(tmp_path, exact_below=150)) as two:
            one.upsert(batch(0, 200))
            made = one.stats().details["segment"]
            assert made is not None
            assert two.stats().details["segment"] == made, "a handle that reads"
            two.upsert(batch(200, 201))
            assert two.stats().details["segment"] == made, "a handle that writes"
        assert len(segments(tmp_path)) == 1


def test_dead_share_makes_another(tmp_path: Path) -> None:
    """A segment that is mostly dead is replaced."""
    with ExactStore.open(SPEC, config(tmp_path)) as store:
        store.upsert(batch(0, 300))
        first = store.stats().details["segment"]
        store.delete([f"r{i:03d}" for i in range(150)])
        assert store.stats().details["segment"] not in {None, first}
        assert store.stats().details["segment_vectors"] == 150


@pytest.mark.parametrize(
    ("exact_below", "live", "due"), [(0, 0, False), (0, 1, True), (10_000, 9_999, False), (10_000, 10_000, True)]
)
def test_when_the_first_is_due(exact_below: int, live: int, due: bool) -> None:  # noqa: FBT001 - parameters of a test
    """Never below the limit, never for nothing."""
    index = layers.Layers(1, "dot")
    index.add(np.ones((live, 1), dtype=np.float32))
    assert Policy(exact_below, "inline").due(index, has_index=False) is due


_BUILDING = """
import os, sys, time
from pathlib import Path
import numpy as np
from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.interfaces import CollectionSpec
from ctxkit.local import segment
from ctxkit.records import RecordBatch

finish = segment.Writer.finish
def slow(self, *given):
    os.write(1, b"building\\n")
    time.sleep(60)
    return finish(self, *given)
segment.Writer.finish = slow
store = ExactStore.open(CollectionSpec(name="c", dimension=16), ExactConfig(path=Path(sys.argv[1]), exact_below=0))
store.upsert(RecordBatch([str(i) for i in range(100)], np.eye(16)[np.arange(100) % 16]))
os.write(1, b"written\\n")  # one piece, which another thread's cannot cut in two
time.sleep(60)
"""


def test_a_kill_while_one_is_made(tmp_path: Path) -> None:
    """What was acknowledged is there, the half-made folder is no segment, and the next one clears it away."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("COV_CORE", "COVERAGE"))}
    command = [sys.executable, "-c", _BUILDING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        said = {child.stdout.readline().strip(), child.stdout.readline().strip()}
        assert said == {"building", "written"}
        child.send_signal(signal.SIGKILL)
    folder = collection_directory(tmp_path, "c") / segment.FOLDER
    assert [each.name for each in folder.iterdir() if each.name.startswith(".building")]
    with ExactStore.open(SPEC, config(tmp_path)) as store:
        assert store.count() == 100
        assert len(store.query(QUERIES[0], 200)[0]) == 100
    assert [each.name for each in folder.iterdir() if each.name.startswith(".building")] == []


def test_closing_stops_what_is_being_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Close returns with no thread left, and leaves nothing half made."""
    begun: list[int] = []

    def endless(self: segment.Writer) -> ExactRows:
        begun.append(1)
        return real(self)

    real = segment.Writer.mapped
    monkeypatch.setattr(segment.Writer, "mapped", endless)
    store = ExactStore.open(SPEC, config(tmp_path, index_build="background"))
    store.upsert(batch(0, 300))
    store.close()
    thread = store._handle.builder._thread
    assert thread is not None
    assert not thread.is_alive()
    folder = collection_directory(tmp_path, "c") / segment.FOLDER
    assert not [each for each in folder.iterdir() if each.name.startswith(".building")]

"""Segments beside what else goes on: forks, older snapshots, readers, other stores, damage, a disk that cuts files."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typing_extensions import override

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.interfaces import CollectionSpec
from ctxkit.local import AnnIndex, LocalConfig, Similarities, Slots, segment
from ctxkit.local.adoption import Adoption
from ctxkit.local.exact import ExactRows
from ctxkit.local.layout import DATABASE, collection_directory
from ctxkit.records import FloatVectors, Metric, Record, RecordBatch

SPEC = CollectionSpec(name="c", dimension=8)
VECTORS = np.random.default_rng(4).normal(size=(3000, 8)).astype(np.float32)


class _Listed(AnnIndex):
    """Brute force with a file of its own; `cut` makes it write less than it should and say nothing."""

    name = "Listed"
    exact = True
    cut = False

    def __init__(self, dimension: int, metric: Metric) -> None:
        super().__init__(dimension, metric)
        self._rows = ExactRows(dimension, metric)

    @override
    def add(self, vectors: FloatVectors) -> None:
        self._rows.add(vectors)

    @override
    def search(self, queries: FloatVectors, k: int) -> tuple[Slots, Similarities]:
        return self._rows.search(queries, k, None)

    @override
    def save(self, path: Path) -> None:
        raw = self._rows.rows.astype("<f4").tobytes()
        path.write_bytes(raw[:-7] if self.cut else raw)

    @override
    def load(self, path: Path) -> None:
        self._rows.add(np.fromfile(path, dtype="<f4").reshape(-1, self.dimension))
        if path.stat().st_size % (4 * self.dimension):
            raise RuntimeError("the file ends early")

    @property
    @override
    def nbytes(self) -> int:
        return self._rows.nbytes


class _ListedStore(ExactStore):
    """The engine over that index."""

    @classmethod
    @override
    def make_index(cls, dimension: int, metric: Metric, config: LocalConfig) -> AnnIndex:
        return _Listed(dimension, metric)


def batch(name: str, count: int) -> RecordBatch:
    """Return records of that name."""
    return RecordBatch([f"{name}{i}" for i in range(count)], VECTORS[:count])


def config(path: Path, **more: object) -> ExactConfig:
    """Return a configuration under which a segment is due from 50 vectors on, within the call that notices it."""
    options: dict[str, Any] = {"exact_below": 50, "index_build": "inline", **more}
    return ExactConfig(path=path, **options)


def folder_of(path: Path) -> Path:
    """Return where the collection's segments are."""
    return collection_directory(path, "c") / segment.FOLDER


def names(path: Path) -> list[str]:
    """Return what stands there, oldest first, half-made ones first of all."""
    return sorted(each.name for each in folder_of(path).iterdir() if each.name != ".lock")


_FORK = """
import os, sys, threading, time
from pathlib import Path
import numpy as np
from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.interfaces import CollectionSpec
from ctxkit.local import rows, segment
from ctxkit.records import Record, RecordBatch

rows._LOAD_CHUNK = 100
copying, add = threading.Event(), segment.Writer.add
def slow(self, *columns):
    copying.set()
    time.sleep(0.05)
    add(self, *columns)
segment.Writer.add = slow
spec, options = CollectionSpec(name="c", dimension=8), {"path": Path(sys.argv[1]), "exact_below": 50}
store = ExactStore.open(spec, ExactConfig(**options))
store.upsert(RecordBatch([f"p{i}" for i in range(3000)], np.ones((3000, 8))))
assert copying.wait(30)
ready, go = os.pipe(), os.pipe()
child = os.fork()
if not child:
    store.count()
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    for i in range(20):
        store.upsert([Record(f"child{i}")])
    store.close()
    os._exit(0)
os.read(ready[0], 1)
store.close()
os.write(go[1], b"x")
assert os.waitpid(child, 0)[1] == 0
with ExactStore.open(spec, ExactConfig(**options)) as store:
    print(store.count(), store.health().ok, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_fork_while_one_is_made(tmp_path: Path) -> None:
    """What the child writes through the handle that it inherits is there, though the parent has closed meanwhile."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _FORK, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.stdout.split() == ["3020", "True"], ran.stderr


def test_one_made_after_a_readers_snapshot_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader whose snapshot is older than the newest segment passes it over, and leaves it to others."""
    with ExactStore.open(SPEC, config(tmp_path)) as writer, ExactStore.open(SPEC, config(tmp_path)) as reader:
        writer.upsert(batch("a", 200))
        reader.count()
        reader._handle._view = None  # as after too many deletions: the next read loads anew
        real, made = segment.read, list[str]()

        def late(*given: Any, **more: Any) -> segment.Segment | None:
            if not made:
                made.append("")
                writer.upsert(batch("b", 10))
                writer.optimize()
                made.append(names(tmp_path)[-1])
            return real(*given, **more)

        monkeypatch.setattr(segment, "read", late)
        assert reader.count() == 200
        assert made[-1] in names(tmp_path)
        assert reader.count() == 210


@pytest.mark.parametrize("damaged", [True, False])
def test_one_that_others_made_but_is_of_no_use(tmp_path: Path, damaged: bool) -> None:  # noqa: FBT001 - a parameter
    """Where the newest is damaged, or made for another kind of index, a handle makes its own and goes on."""
    other = _ListedStore if damaged else ExactStore
    with _ListedStore.open(SPEC, config(tmp_path)) as store, other.open(SPEC, config(tmp_path)) as beside:
        store.upsert(batch("a", 100))
        beside.upsert(batch("b", 60))
        beside.optimize()
        if damaged:
            (folder_of(tmp_path) / names(tmp_path)[-1] / "index.bin").write_bytes(b"x")
        store.upsert(batch("c", 60))
        details = store.stats().details
        assert (details["segment_vectors"], details["indexed"], details["delta"]) == (220, 220, 0)


def test_who_only_reads_takes_up_new_ones(tmp_path: Path) -> None:
    """A handle that never writes does not carry all that others write in its own memory."""
    with _ListedStore.open(SPEC, config(tmp_path)) as writer, _ListedStore.open(SPEC, config(tmp_path)) as reader:
        for name in "abc":
            writer.upsert(batch(name, 1000))
            writer.optimize()
            assert len(reader.query(VECTORS[0], 3)[0]) == 3
        assert reader.stats().details["delta"] == 0
        assert reader.stats().details["indexed"] == 3000


@pytest.mark.parametrize("mode", ["inline", "background"])
def test_damage_met_while_one_is_made(tmp_path: Path, mode: str) -> None:
    """The write was committed, so it does not fail; what is wrong is told."""
    spec = SPEC.model_copy(update={"dimension": 64})
    vectors = np.random.default_rng(1).normal(size=(3000, 64)).astype(np.float32)
    with ExactStore.open(spec, config(tmp_path, exact_below=10**6)) as store:
        store.upsert(RecordBatch([f"p{i}" for i in range(2000)], vectors[:2000]))
        store.flush()
    store = ExactStore.open(spec, config(tmp_path, exact_below=2500, index_build=mode))
    database = collection_directory(tmp_path, "c") / DATABASE
    page = database.read_bytes().find(vectors[1000].tobytes()) // 4096 * 4096
    with database.open("r+b") as file:
        file.seek(page)
        file.write(b"\xff" * 8)
    store.upsert(RecordBatch([f"q{i}" for i in range(600)], vectors[2000:2600]))
    store._handle.builder._wait()
    assert "no segment could be made" in store.stats().details["segment_problem"]
    store.close()


def test_what_was_left_half_made_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of killed processes do not pile up, even where the next attempt fails as well."""
    with ExactStore.open(SPEC, config(tmp_path, exact_below=10**6)) as store:
        store.upsert(batch("a", 100))
    left = folder_of(tmp_path) / ".building-0"
    left.mkdir(parents=True)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(segment.Writer, "finish", full)
    with ExactStore.open(SPEC, config(tmp_path)) as store:
        assert store.stats().details["segment_problem"]
        assert store.count() == 100
    assert names(tmp_path) == []


def test_a_file_that_was_cut_becomes_no_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that writes less than it should and says nothing costs a warning; the segment before stays in use."""
    with _ListedStore.open(SPEC, config(tmp_path)) as store:
        store.upsert(batch("a", 100))
        before = names(tmp_path)
        monkeypatch.setattr(_Listed, "cut", True)
        for name in "bcd":
            store.upsert(batch(name, 100))
        assert names(tmp_path) == before
        assert store.stats().details["segment_problem"]
        assert len(store.query(VECTORS[0], 400)[0]) == 400
    with _ListedStore.open(SPEC, config(tmp_path, exact_below=10**6)) as store:
        assert store.stats().details["indexed"] == 100


@pytest.mark.parametrize("again", [False, True])
def test_writes_while_one_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool) -> None:  # noqa: FBT001 - a parameter
    """What is written and removed while vectors are copied beside the searches is there, and is gone."""
    real = Adoption.copy
    options: dict[str, Any] = {"path": tmp_path, "exact_below": 100}
    with ExactStore.open(SPEC, ExactConfig(**options)) as store, ExactStore.open(SPEC, ExactConfig()) as truth:
        for each in (store, truth):
            each.upsert(batch("a", 300))
        store.optimize()

        def meanwhile(self: Adoption) -> None:
            monkeypatch.setattr(Adoption, "copy", real)
            real(self)
            for each in (store, truth):
                each.delete([f"a{i}" for i in range(20)])
                each.delete([f"late{i}" for i in range(5)])
                each.upsert([Record(f"a{i}", "", -VECTORS[i]) for i in range(30, 40)])
                each.upsert(RecordBatch([f"new{i}" for i in range(15)], VECTORS[500:515]))
            if again:
                store.optimize()  # which takes up another one first

        for each in (store, truth):
            each.upsert(RecordBatch([f"late{i}" for i in range(20)], VECTORS[600:620]))
        monkeypatch.setattr(Adoption, "copy", meanwhile)
        store.optimize()
        assert store.stats().details["segment_vectors"] > 300
        for mine, sure in zip(store.query(VECTORS[:40], 320), truth.query(VECTORS[:40], 320), strict=True):
            assert [(hit.id, hit.score) for hit in mine] == [(hit.id, hit.score) for hit in sure]
        assert store.health().ok


def test_figures_beside_filters() -> None:
    """Asking for figures while other threads filter by many fields never fails."""
    before = sys.getswitchinterval()
    failures: list[Exception] = []

    def often(call: Callable[[], object]) -> None:
        try:
            for _ in range(300):
                call()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failures.append(error)

    with ExactStore.open(SPEC, ExactConfig()) as store:
        fields = [f"f{i}" for i in range(8)]
        store.upsert([Record(f"r{i}", "", None, dict.fromkeys(fields, i)) for i in range(50)])
        calls: list[Callable[[], object]] = [store.stats, *[lambda f=f: store.count({f: 1}) for f in fields[:3]]]
        threads = [threading.Thread(target=often, args=(call,)) for call in calls]
        try:
            sys.setswitchinterval(1e-6)
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(before)
    assert failures == []

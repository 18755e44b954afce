"""What stays: reopening, mismatches, collections, space."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_collections import SPEC, check_all, child, directory, filled, sql

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import (
    CollectionNotFoundError,
    ConfigError,
    DimensionMismatchError,
    FingerprintMismatchError,
    InvalidRecordError,
    MetricMismatchError,
)
from ctxkit.interfaces import CollectionSpec
from ctxkit.local import copying, schema, segment
from ctxkit.records import Record, RecordBatch


@pytest.fixture
def config(tmp_path: Path) -> ExactConfig:
    """A fresh directory."""
    return ExactConfig(path=tmp_path / "data")


def test_close_and_reopen(config: ExactConfig) -> None:
    """Everything written is there after a reopen, again and again."""
    records = filled(config)
    for _ in range(3):
        with ExactStore.open(SPEC, config) as store:
            check_all(store, records)
            assert store.health().ok


def test_labels_are_never_used_again(config: ExactConfig) -> None:
    """A label freed before a reopen is not given to a new record."""
    filled(config, 10)
    with ExactStore.open(SPEC, config) as store:
        store.delete(where={"i": {"$gte": 0}})
    with ExactStore.open(SPEC, config) as store:
        store.upsert([Record("new")])
    with closing(sqlite3.connect(directory(config) / "store.db")) as connection:
        assert connection.execute("SELECT label FROM records").fetchall() == [(11,)]


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_durability_sets_the_pragma(tmp_path: Path, durability: str) -> None:
    """Both settings work and are reported."""
    config = ExactConfig.model_validate({"path": tmp_path, "durability": durability})
    with ExactStore.open(SPEC, config) as store:
        store.upsert([Record("a")])
        assert store.stats().details["durability"] == durability
        with store._handle.session.outside() as connection:
            assert connection.execute("PRAGMA synchronous").fetchone()[0] == {"full": 2, "normal": 1}[durability]


# What a disk does that cannot keep what it has taken: from here on fsync and fdatasync fail with EIO, whoever calls
# them. See seccomp(2); a program of four instructions from <linux/filter.h>: load the number, compare twice, return.
FAILING_SYNC = """
import ctypes, platform, struct

def fail_to_sync():
    fsync, fdatasync = {"x86_64": (74, 75), "aarch64": (82, 83)}[platform.machine()]
    steps = [(0x20, 0, 0, 0), (0x15, 1, 0, fsync), (0x15, 0, 1, fdatasync), (6, 0, 0, 0x50005), (6, 0, 0, 0x7FFF0000)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    header = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(program)))
    set_option = ctypes.CDLL(None).prctl
    assert (set_option(38, 1, 0, 0, 0), set_option(22, 2, header)) == (0, 0)

config = ExactConfig(path=config.path, durability=sys.argv[2])
store = ExactStore.open(spec, config)
store.upsert([Record("before")])
fail_to_sync()
try:
    store.upsert([Record("after")])
    print("acknowledged", store.count(), flush=True)
except StoreUnavailableError as error:
    print("refused", store.count(), error, flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(("durability", "said"), [("full", "refused 1"), ("normal", "acknowledged 2")])
def test_a_write_is_acknowledged_once_it_is_on_the_disk(config: ExactConfig, durability: str, said: str) -> None:
    """A disk that fails to sync fails the write, unless the user has opted out; what was acknowledged stays."""
    run = child(FAILING_SYNC, config.path, durability)
    assert said in run.stdout, run.stdout + run.stderr
    with ExactStore.open(SPEC, config) as store:
        assert store.get(["before"]) == [Record("before")]
        assert store.health().ok


class PowerCut:
    """Follows which names a power cut would take away; one that is renamed has to be on the disk with all below it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.renamed: list[str] = []
        self.at_risk: set[Path] = set()
        self._synced: set[int] = set()
        self._sync = os.fsync
        monkeypatch.setattr(os, "fsync", self._fsync)
        for name in ("rename", "replace", "mkdir"):
            monkeypatch.setattr(Path, name, self._followed(getattr(Path, name)))

    def _fsync(self, descriptor: int) -> None:
        self._sync(descriptor)
        found = os.fstat(descriptor).st_ino
        self._synced.add(found)
        self.at_risk = {path for path in self.at_risk if path.parent.stat().st_ino != found}

    def _followed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def followed(path: Path, *given: Any, **more: Any) -> Any:
            target = Path(given[0]) if given else path
            if given and not target.name.startswith(".dropped-"):
                inside = {each.stat().st_ino: each for each in (path, *path.rglob("*"))}
                assert inside.keys() <= self._synced, f"not on the disk: {inside}"
                self.renamed.append(target.name)
            result = call(path, *given, **more)
            self.at_risk = {each for each in self.at_risk if each != path and path not in each.parents} | {target}
            return result

        return followed


def test_names_survive_a_power_cut(config: ExactConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every new name is on the disk when the call returns, and what it names before: of all but a first segments/."""
    assert config.path is not None
    cut, path = PowerCut(monkeypatch), config.path / "of" / "many"
    indexed = ExactConfig(path=path, exact_below=0, index_build="inline")
    with ExactStore.open(SPEC, indexed) as store:
        assert cut.at_risk == set()
        store.upsert([Record("a", "", np.ones(8))])
        made = store.stats().details["segment"]
    copying.backup(path, config.path / "a" / "copy")
    assert [each.name for each in cut.at_risk] == [segment.FOLDER]
    assert cut.renamed == ["manifest.json", made, "manifest.json", "copy"]
    ExactStore.drop_collection(indexed, "c")
    assert cut.at_risk == set()


def test_collections_are_apart(config: ExactConfig) -> None:
    """Names of any kind are distinct collections, listed, described and dropped by name."""
    names = ["a", "A", "é", "e\u0301", "../x", "a/b", "日本", ".", "con", "x" * 512, "\U0001f600" * 512, " ", "a\0b"]
    stores = [ExactStore.open(CollectionSpec(name=name, dimension=2), config) for name in names]
    for name, store in zip(names, stores, strict=True):
        store.upsert([Record("id", name)])
    assert [store.get(["id"])[0] for store in stores] == [Record("id", name) for name in names]
    assert ExactStore.list_collections(config) == sorted(names)
    folders = [entry.name for entry in config.path.iterdir()] if config.path else []
    assert len({name.lower() for name in folders}) == len(names) + 1
    ExactStore.drop_collection(config, "A")
    assert ExactStore.list_collections(config) == sorted(set(names) - {"A"})
    with pytest.raises(CollectionNotFoundError):
        stores[1].count()
    with pytest.raises(CollectionNotFoundError):
        stores[1].upsert([Record("b")])
    assert stores[0].count() == 1
    assert ExactStore.describe_collection(config, "é").name == "é"
    for store in stores:
        store.close()


def test_dropped_and_made_again(config: ExactConfig) -> None:
    """An old handle does not see, nor write to, a collection of the same name made later."""
    old = ExactStore.open(SPEC, config)
    old.upsert([Record("a")])
    ExactStore.drop_collection(config, "c")
    with ExactStore.open(SPEC, config) as new:
        for call in (lambda: old.upsert([Record("b")]), old.count, old.flush, old.health, lambda: old.delete(["a"])):
            with pytest.raises(CollectionNotFoundError):
                call()
        assert new.count() == 0
    old.close()


def test_drop_tells_a_handle_that_keeps_the_file(config: ExactConfig) -> None:
    """The mark in the database is enough, even where the file is still the same."""
    with ExactStore.open(SPEC, config) as store:
        sql(config, "UPDATE state SET seq = ?", schema.DROPPED_SEQ)
        with pytest.raises(CollectionNotFoundError):
            store.count()
        # A drop cut short between its mark and the removal of the files is ended by the next opener.
        with ExactStore.open(SPEC, config) as fresh:
            assert fresh.count() == 0
            fresh.upsert([Record("a")])
        assert ExactStore.list_collections(config) == ["c"]


def test_reopen_mismatches(config: ExactConfig) -> None:
    """Another dimension, metric or fingerprint is refused and changes nothing."""
    spec = CollectionSpec(name="c", dimension=8, fingerprint="model-a", fields={"i": "int"})
    with ExactStore.open(spec, config) as store:
        store.upsert([Record("a", "", np.ones(8), {"i": 1, "f": 1.5})])
    cases: list[tuple[type[Exception], dict[str, object]]] = [
        (DimensionMismatchError, {"dimension": 9}),
        (MetricMismatchError, {"metric": "dot"}),
        (FingerprintMismatchError, {"fingerprint": "model-b"}),
        (ConfigError, {"fields": {"i": "str"}}),
        (InvalidRecordError, {"fields": {"f": "int"}}),
    ]
    for error, change in cases:
        with pytest.raises(error) as caught:
            ExactStore.open(spec.model_copy(update=change), config)
        assert "Fix:" in str(caught.value)
    with pytest.raises(FingerprintMismatchError, match="another collection"):
        ExactStore.open(spec.model_copy(update={"fingerprint": "model-b"}), config)
    assert ExactStore.describe_collection(config, "c") == spec
    with ExactStore.open(CollectionSpec(name="c", dimension=8), config) as store:
        assert store.spec == spec
        assert store.count() == 1


def test_fingerprint_is_taken_over_while_there_is_no_vector(config: ExactConfig) -> None:
    """None means "does not say"; the first name wins, but not over vectors of an unnamed model."""
    with ExactStore.open(SPEC, config) as store:
        store.upsert([Record("a", "text only")])
    with ExactStore.open(SPEC.model_copy(update={"fingerprint": "m"}), config) as store:
        assert store.spec.fingerprint == "m"
    assert ExactStore.describe_collection(config, "c").fingerprint == "m"
    other = SPEC.model_copy(update={"name": "unnamed"})
    with ExactStore.open(other, config) as store:
        store.upsert([Record("a", "", np.ones(8))])
    with pytest.raises(FingerprintMismatchError, match="unnamed model"):
        ExactStore.open(other.model_copy(update={"fingerprint": "m"}), config)


def test_fields_can_be_added_and_reach_open_handles(config: ExactConfig) -> None:
    """A field declared later binds the handles that were open before."""
    with ExactStore.open(SPEC, config) as early:
        early.upsert([Record("a", "", None, {"n": 1})])
        with ExactStore.open(SPEC.model_copy(update={"fields": {"n": "int"}}), config) as late:
            assert late.count({"n": 1}) == 1
            with pytest.raises(InvalidRecordError):
                early.upsert([Record("b", "", None, {"n": "text"})])
            assert early.spec.fields == {"n": "int"}
            early.upsert([Record("b", "", None, {"n": 2})])
            assert late.count({"n": 2}) == 1


def test_moved_directory(config: ExactConfig, tmp_path: Path) -> None:
    """A directory can be moved while it is closed."""
    records = filled(config)
    assert config.path is not None
    config.path.rename(tmp_path / "elsewhere")
    with ExactStore.open(SPEC, ExactConfig(path=tmp_path / "elsewhere")) as store:
        check_all(store, records)


def test_many_opens_leave_nothing_behind(config: ExactConfig) -> None:
    """Opening and closing leaks no file descriptor."""
    filled(config, 5)
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    for _ in range(30):
        with ExactStore.open(SPEC, config) as store:
            store.upsert(RecordBatch(["x"], np.ones((1, 8))))
    after = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    assert after <= before + 1


def test_optimize_gives_space_back(config: ExactConfig) -> None:
    """After most records went, optimize makes the files smaller and keeps the rest."""
    with ExactStore.open(SPEC, config) as store:
        store.upsert([Record(f"r{i}", "x" * 500, np.ones(8)) for i in range(2000)])
        store.flush()
        before = store.stats().bytes_on_disk
        store.delete([f"r{i}" for i in range(1990)])
        store.optimize()
        after = store.stats().bytes_on_disk
        assert before is not None
        assert after is not None
        assert after < before / 4
        assert [r.id for r in store.scan()] == [f"r{i}" for i in range(1990, 2000)]
        assert store.health().ok


def test_optimize_leaves_the_log_its_room(config: ExactConfig) -> None:
    """The log is empty and as long as before, unless much was given back: commits need not make it longer again."""
    with ExactStore.open(SPEC, config) as store:
        store.upsert([Record(f"r{i}", "x" * 500, np.ones(8)) for i in range(500)])
        log = directory(config) / "store.db-wal"
        before = log.stat().st_size
        store.optimize()
        assert log.stat().st_size >= before > 300_000
        store.upsert([Record("one", "more", np.ones(8))])
        with closing(sqlite3.connect(directory(config) / "store.db")) as connection:
            written = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
        assert 0 < written < 50

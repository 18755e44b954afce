"""What stays on disk: reopening, mismatches, damage, full disks, killed processes."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import (
    CollectionNotFoundError,
    ConfigError,
    DimensionMismatchError,
    FingerprintMismatchError,
    FormatVersionError,
    InvalidRecordError,
    MetricMismatchError,
    StoreCorruptError,
    StoreError,
    StoreUnavailableError,
)
from ctxkit.interfaces import CollectionSpec
from ctxkit.local import schema
from ctxkit.local.layout import collection_directory
from ctxkit.records import Record, RecordBatch

SPEC = CollectionSpec(name="c", dimension=8)


@pytest.fixture
def config(tmp_path: Path) -> ExactConfig:
    """A fresh directory."""
    return ExactConfig(path=tmp_path / "data")


def directory(config: ExactConfig, name: str = "c") -> Path:
    """Return the collection's directory."""
    assert config.path is not None
    return collection_directory(config.path, name)


def filled(config: ExactConfig, count: int = 60) -> dict[str, Record]:
    """Write some records, close cleanly, and return them."""
    rng = np.random.default_rng(0)
    records = [
        Record(f"r{i}", f"text number{i} of many", rng.normal(size=8).astype(np.float32), {"i": i, "s": "x" * (i % 7)})
        for i in range(count)
    ]
    with ExactStore.open(SPEC, config) as store:
        store.upsert(records)
        store.delete(["r5"])
    return {record.id: record for record in records if record.id != "r5"}


def sql(config: ExactConfig, statement: str, *values: object) -> None:
    """Change the database behind the engine's back."""
    with closing(sqlite3.connect(directory(config) / "store.db")) as connection, connection:
        connection.execute(statement, values)


def check_all(store: ExactStore, records: dict[str, Record]) -> None:
    """Compare every kind of answer with what was written."""
    assert {r.id: r for r in store.scan(include_vectors=True)} == records
    query = np.ones(8)
    expected = sorted(
        records,
        key=lambda name: (
            -float(np.dot(query, np.asarray(records[name].vector)) / np.linalg.norm(np.asarray(records[name].vector)))
        ),
    )
    assert store.query(query, 5)[0].ids == expected[:5]
    assert store.count({"i": {"$lt": 10}}) == sum(record.metadata["i"] < 10 for record in records.values())
    assert store.text_query("number7", 5).ids == ["r7"]
    assert len(store.text_query("many", 100)) == len(records)
    assert store.get(["r5"]) == [None]


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
    with pytest.raises(FingerprintMismatchError, match="ctxkit reembed"):
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


@pytest.mark.parametrize(("version", "fix"), [(99, "newer ctxkit"), (0, "ctxkit upgrade")])
@pytest.mark.parametrize("where", ["manifest", "database"])
def test_format_versions(config: ExactConfig, version: int, fix: str, where: str) -> None:
    """A newer or older format is refused with what to do, wherever it is noticed."""
    filled(config, 3)
    manifest = directory(config) / "manifest.json"
    if where == "manifest":
        content = json.loads(manifest.read_text())
        manifest.write_text(json.dumps({**content, "format_version": version}))
    else:
        sql(config, "UPDATE meta SET value = ? WHERE key = 'format_version'", str(version))
    with pytest.raises(FormatVersionError, match=fix):
        ExactStore.open(SPEC, config)
    with pytest.raises(FormatVersionError, match=fix):
        ExactStore.describe_collection(config, "c")


@pytest.mark.parametrize("column", ["id", "text", "metadata", "checksum"])
def test_a_damaged_row_is_named_and_the_rest_is_whole(config: ExactConfig, column: str) -> None:
    """A row that does not match its checksum is never returned; others are; writing it anew heals the store."""
    records = filled(config)
    value: object = 123456 if column == "checksum" else "r7x" if column == "id" else '{"i": 99}'
    statement = {
        "id": "UPDATE records SET id = ? WHERE id = 'r7'",
        "text": "UPDATE records SET text = ? WHERE id = 'r7'",
        "metadata": "UPDATE records SET metadata = ? WHERE id = 'r7'",
        "checksum": "UPDATE records SET checksum = ? WHERE id = 'r7'",
    }[column]
    sql(config, statement, value)
    shown = "r7x" if column == "id" else "r7"
    with ExactStore.open(SPEC, config) as store:
        assert store.get(["r1", "r2"], include_vectors=True) == [records["r1"], records["r2"]]
        for call in (
            lambda: store.get(["r7"]),
            lambda: store.query(np.ones(8), 3),
            lambda: store.text_query("many", 3),
            lambda: store.count({"i": 1}),
            store.scan,
            lambda: store.delete(where={"i": 7}),
        ):
            with pytest.raises(StoreCorruptError, match=shown):
                call()
        health = store.health()
        assert not health.ok
        assert any(shown in problem for problem in health.problems)
        if column == "id":
            assert store.delete([shown]) == 1
        store.upsert([records["r7"]])
        check_all(store, records)
        assert store.health().ok
    with ExactStore.open(SPEC, config) as store:
        check_all(store, records)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE vectors SET vector = zeroblob(32)",
        "DELETE FROM vectors",
        "UPDATE vectors SET checksum = 5",
        "UPDATE vectors SET vector = zeroblob(4)",
    ],
)
def test_damaged_vectors(config: ExactConfig, damage: str) -> None:
    """A vector that changed or vanished is noticed at open, and by a handle that was open already."""
    records = filled(config, 20)
    with ExactStore.open(SPEC, config) as opened:
        sql(config, damage + " WHERE label = 3")
        with pytest.raises(StoreCorruptError, match="r2"):
            opened.query(np.asarray(records["r2"].vector), 1)
        with pytest.raises(StoreCorruptError, match="r2"):
            opened.get(["r2"], include_vectors=True)
        with ExactStore.open(SPEC, config) as store:
            with pytest.raises(StoreCorruptError, match="r2"):
                store.get(["r2"])
            assert store.get(["r1"]) == [Record("r1", records["r1"].text, None, records["r1"].metadata)]
            assert store.delete(["r2"]) == 1
            assert store.health().ok
            assert store.stats().vectors == store.count() == 18


def test_rows_damaged_under_an_open_handle(config: ExactConfig) -> None:
    """A handle that loaded good rows still notices what happens to them afterwards."""
    filled(config, 20)
    with ExactStore.open(SPEC, config) as store:
        sql(config, "UPDATE records SET text = 'changed' WHERE id = 'r3'")
        sql(config, "DELETE FROM records WHERE id = 'r4'")
        for call in (
            lambda: store.get(["r3"]),
            lambda: list(store.scan()),
            lambda: store.get(["r4"]),
            lambda: store.delete(["r4"]),
        ):
            with pytest.raises(StoreCorruptError):
                call()
        assert len(store.health().problems) >= 1


def test_lost_rows(config: ExactConfig) -> None:
    """Rows that vanish are missed, though every remaining row is sound."""
    records = filled(config, 20)
    sql(config, "DELETE FROM records WHERE id = 'r3'")
    sql(config, "DELETE FROM vectors WHERE label = 4")
    with ExactStore.open(SPEC, config) as store:
        assert store.get(["r1"], include_vectors=True) == [records["r1"]]
        for call in (store.count, lambda: store.get(["r3"]), lambda: store.query(np.ones(8), 1)):
            with pytest.raises(StoreCorruptError, match="missing"):
                call()
        assert not store.health().ok


def test_damaged_text_index_is_made_anew(config: ExactConfig, caplog: pytest.LogCaptureFixture) -> None:
    """The text index is rebuilt from the records when its tables are not those of the last close."""
    records = filled(config)
    sql(config, "DELETE FROM words_docsize WHERE id = 3")
    with ExactStore.open(SPEC, config) as store:
        check_all(store, records)
        assert store.health().ok
    assert "made anew" in caplog.text
    with ExactStore.open(SPEC, config) as store:
        store.upsert([Record("later", "many", np.ones(8), {"i": 1000})])
        sql(config, "DELETE FROM words_docsize WHERE id = 4")
        assert any("optimize" in problem for problem in store.health().problems)
        store.optimize()
        assert store.health().ok
        store.delete(["later"])
        check_all(store, records)


@pytest.mark.parametrize("statement", ["DELETE FROM state", "DELETE FROM meta"])
def test_damaged_description(config: ExactConfig, statement: str) -> None:
    """The tables that describe the collection are guarded too."""
    filled(config, 3)
    sql(config, statement)
    with pytest.raises(StoreCorruptError):
        ExactStore.open(SPEC, config)


def test_interrupted_creation_is_finished(config: ExactConfig) -> None:
    """A database without its manifest gets one; an empty file that nothing vouches for is a creation cut short."""
    records = filled(config)
    (directory(config) / "manifest.json").unlink()
    assert ExactStore.list_collections(config) == ["c"]
    with ExactStore.open(SPEC, config) as store:
        check_all(store, records)
    assert (directory(config) / "manifest.json").is_file()
    fresh = directory(config, "fresh")
    fresh.mkdir()
    (fresh / "store.db").touch()
    with ExactStore.open(CollectionSpec(name="fresh", dimension=2), config) as store:
        assert store.count() == 0


def test_damaged_manifest(config: ExactConfig) -> None:
    """An unreadable manifest is written anew from the database; another collection's is refused."""
    records = filled(config)
    manifest = directory(config) / "manifest.json"
    whole = manifest.read_text()
    for content in ("", "{", "[]", "{}"):
        manifest.write_text(content)
        with ExactStore.open(SPEC, config) as store:
            check_all(store, records)
        assert json.loads(manifest.read_text())["incarnation"]
    manifest.write_text(json.dumps({**json.loads(whole), "incarnation": "0" * 32}))
    with pytest.raises(StoreCorruptError):
        ExactStore.open(SPEC, config)


@pytest.mark.parametrize("fault", ["missing", "emptied", "other", "hollow"])
def test_lost_database(config: ExactConfig, fault: str) -> None:
    """A manifest without its database is damage, never a new and empty store; it can be dropped."""
    filled(config)
    database = directory(config) / "store.db"
    database.unlink()
    if fault == "emptied":
        database.touch()
    if fault == "other":
        database.write_bytes(b"no database at all" * 100)
    if fault == "hollow":
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA user_version = 5")
    for call in (lambda: ExactStore.open(SPEC, config), lambda: ExactStore.describe_collection(config, "c")):
        with pytest.raises(StoreCorruptError):
            call()
    assert ExactStore.list_collections(config) == ["c"]
    ExactStore.drop_collection(config, "c")
    assert ExactStore.list_collections(config) == []


def test_flipped_and_truncated_files(config: ExactConfig) -> None:
    """After a clean close, any flipped byte or cut gives a typed error or every right answer."""
    records = filled(config)
    generator = random.Random(7)  # noqa: S311 - the same faults every time
    outcomes = {"recovered": 0, "refused": 0}
    for file in sorted(directory(config).iterdir()):
        whole = file.read_bytes()
        cuts = [0, 1, 100, len(whole) // 2, len(whole) - 1]
        flips = [generator.randrange(len(whole)) for _ in range(150)] + list(range(min(110, len(whole))))
        faults: list[bytes] = [whole[:cut] for cut in cuts]
        for place in flips:
            changed = bytearray(whole)
            changed[place] ^= 1 << generator.randrange(8)
            faults.append(bytes(changed))
        siblings = {entry: entry.read_bytes() for entry in directory(config).iterdir()}
        for fault in faults:
            for entry in directory(config).iterdir():
                entry.unlink()
            for entry, content in siblings.items():
                entry.write_bytes(fault if entry == file else content)
            try:
                with ExactStore.open(SPEC, config) as store:
                    check_all(store, records)
                outcomes["recovered"] += 1
            except StoreError:
                outcomes["refused"] += 1
        for entry in directory(config).iterdir():
            entry.unlink()
        for entry, content in siblings.items():
            entry.write_bytes(content)
    assert min(outcomes.values()) > 20
    with ExactStore.open(SPEC, config) as store:
        check_all(store, records)


def test_path_that_is_a_file(tmp_path: Path) -> None:
    """A file where the directory should be is named with the remedy."""
    file = tmp_path / "file"
    file.write_text("mine")
    calls: list[Callable[[ExactConfig], object]] = [
        lambda config: ExactStore.open(SPEC, config),
        ExactStore.list_collections,
        lambda config: ExactStore.describe_collection(config, "c"),
    ]
    for path in (file, file / "below"):
        for call in calls[: 3 if path == file else 1]:
            with pytest.raises(StoreUnavailableError, match="file") as caught:
                call(ExactConfig(path=path))
            assert caught.value.fix is not None
    assert file.read_text() == "mine"


CHILD = """
import os, resource, sys
from pathlib import Path
import numpy as np
from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import *
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import Record, RecordBatch
spec, config = CollectionSpec(name="c", dimension=8), ExactConfig(path=Path(sys.argv[1]))
"""


def child(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code in another process and return what it did."""
    command = [sys.executable, "-c", CHILD + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_unwritable_path(config: ExactConfig) -> None:
    """A user without write permission gets StoreUnavailableError naming the path."""
    filled(config, 3)
    assert config.path is not None
    for entry in (config.path, directory(config), *directory(config).iterdir()):
        entry.chmod(0o555)
    for parent in config.path.parents[:3]:
        parent.chmod(0o755)
    code = """
if os.getuid() == 0:
    os.setuid(65534)
for name in ("c", "new"):
    try:
        ExactStore.open(CollectionSpec(name=name, dimension=8), config)
    except StoreUnavailableError as error:
        print("refused", error)
"""
    run = child(code, config.path)
    for entry in (config.path, directory(config), *directory(config).iterdir()):
        entry.chmod(0o755)
    assert run.stdout.count("refused") == 2, run.stderr
    assert str(config.path) in run.stdout


def test_full_disk_keeps_the_old_state(config: ExactConfig) -> None:
    """A write that does not fit raises StoreFullError; what was acknowledged is whole, there and after a reopen."""
    records = filled(config)
    code = """
store = ExactStore.open(spec, config)
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
try:
    for batch in range(100):
        store.upsert([Record(f"b{batch}-{i}", "x" * 2000, np.ones(8)) for i in range(50)])
        print("acknowledged", batch, flush=True)
except StoreFullError as error:
    print("full", store.count(), error.fix is not None, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.upsert([Record("after", "", np.ones(8))])
print("again", store.count(), store.health().ok)
store.close()
"""
    run = child(code, config.path)
    acknowledged = run.stdout.count("acknowledged")
    assert f"full {len(records) + 50 * acknowledged} True" in run.stdout, run.stderr
    assert f"again {len(records) + 50 * acknowledged + 1} True" in run.stdout
    with ExactStore.open(SPEC, config) as store:
        store.delete(["after"])
        store.delete([r.id for r in store.scan() if r.id.startswith("b")])
        check_all(store, records)


WRITER = """
generator = np.random.default_rng(int(sys.argv[2]))
store = ExactStore.open(spec, config)
for batch in range(100_000):
    size = int(generator.integers(1, 40))
    vector, metadata = np.full(8, batch + 1.0), {"batch": batch, "size": size}
    store.upsert([Record(f"{batch}-{i}", f"batch {batch}", vector, metadata) for i in range(size)])
    print("a", batch, size, flush=True)
    if batch % 7 == 3:
        store.delete(where={"batch": batch - 3})
        print("d", batch - 3, 0, flush=True)
"""


@pytest.mark.parametrize("seed", range(6))
def test_kill_in_the_middle_of_writing(config: ExactConfig, seed: int) -> None:
    """After SIGKILL: acknowledged is a subset of the state, the state a subset of what was attempted, batches whole."""
    command = [sys.executable, "-c", CHILD + WRITER, str(config.path), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(0.02 + 0.05 * seed)
        process.send_signal(signal.SIGKILL)
        lines = [first, *process.stdout.read().splitlines()]
    acknowledged: dict[int, int] = {}
    deleted = set()
    for line in lines:
        kind, batch, size = line.split()
        if kind == "a":
            acknowledged[int(batch)] = int(size)
        else:
            deleted.add(int(batch))
    last = max(acknowledged)
    with ExactStore.open(SPEC, config) as store:
        assert store.health().ok
        found: dict[int, int] = {}
        for record in store.scan():
            found[record.metadata["batch"]] = found.get(record.metadata["batch"], 0) + 1
            assert record.text == f"batch {record.metadata['batch']}"
        sizes = {r.metadata["batch"]: r.metadata["size"] for r in store.scan()}
        assert found == sizes
        in_flight = {last + 1}
        may_be_deleted = {last - 3}
        assert set(acknowledged) - deleted - may_be_deleted <= set(found) <= (set(acknowledged) - deleted) | in_flight
        assert all(found[batch] == size for batch, size in acknowledged.items() if batch in found)
        assert len(store.query(np.ones(8), 10_000)[0]) == store.count()
        assert len(store.text_query("batch", 10_000)) == store.count()


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


def test_health_of_a_broken_file(config: ExactConfig) -> None:
    """health names what SQLite itself finds wrong with the file, without raising."""
    filled(config, 2000)
    with ExactStore.open(SPEC, config) as store:
        store.flush()
        database = directory(config) / "store.db"
        with database.open("r+b") as file:
            file.seek(20 * 4096)
            file.write(b"\xff" * 4096 * 20)
        health = store.health()
        assert not health.ok
        assert all("restore" in problem or "optimize" in problem or "again" in problem for problem in health.problems)


def test_text_index_that_names_strangers(config: ExactConfig) -> None:
    """A text index with rows that no record has is an error with the remedy, and the remedy works."""
    filled(config, 5)
    with ExactStore.open(SPEC, config) as store:
        sql(config, "INSERT INTO words(rowid, text) VALUES(99, 'many')")
        with pytest.raises(StoreCorruptError, match="optimize"):
            store.text_query("many", 3)
        store.optimize()
        assert len(store.text_query("many", 9)) == 5

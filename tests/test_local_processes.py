"""Several handles, threads and processes on one collection."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ctxkit import Config, ContextManager, EmbedderConfig, VectorStoreConfig
from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import CollectionNotFoundError, StoreClosedError, StoreLockedError
from ctxkit.interfaces import CollectionSpec
from ctxkit.local import schema, session, writing
from ctxkit.memory.opening import COLLECTION
from ctxkit.records import Record, RecordBatch

SPEC = CollectionSpec(name="c", dimension=4)

PRELUDE = """
import sys
from pathlib import Path
import numpy as np
from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import Record, RecordBatch
store = ExactStore.open(CollectionSpec(name="c", dimension=4), ExactConfig(path=Path(sys.argv[1])))
"""


@pytest.fixture
def config(tmp_path: Path) -> ExactConfig:
    """A fresh directory."""
    return ExactConfig(path=tmp_path)


@pytest.fixture
def pair(config: ExactConfig) -> Iterator[tuple[ExactStore, ExactStore]]:
    """Two handles on one collection."""
    with ExactStore.open(SPEC, config) as one, ExactStore.open(SPEC, config) as two:
        yield one, two


def start(config: ExactConfig, code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a process that works on the collection."""
    command = [sys.executable, "-c", PRELUDE + code, str(config.path), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_two_handles_see_each_other(pair: tuple[ExactStore, ExactStore]) -> None:
    """Every write of one is in the next read of the other: rows, vectors, words, columns, deletions."""
    one, two = pair
    assert two.count({"n": 1}) == 0
    for i in range(40):
        writer, reader = pair if i % 2 else pair[::-1]
        writer.upsert([Record(f"r{i % 10}", f"word{i}", np.eye(4)[i % 4], {"n": i % 3}), Record(f"own{i}", "", None)])
        assert reader.get([f"r{i % 10}"]) == [Record(f"r{i % 10}", f"word{i}", None, {"n": i % 3})]
        assert reader.text_query(f"word{i}", 3).ids == [f"r{i % 10}"]
        assert reader.count({"n": i % 3}) == writer.count({"n": i % 3})
        assert reader.query(np.eye(4)[i % 4], 1)[0][0].score == 1.0
        if i % 5 == 4:
            assert writer.delete([f"own{i}"]) == 1
            assert reader.get([f"own{i}"]) == [None]
    assert list(one.scan()) == list(two.scan())
    assert one.health().ok
    assert two.health().ok


def test_the_version_tells_of_every_write(config: ExactConfig) -> None:
    """Of any handle, at once, and of nothing else; a collection that was dropped has none."""
    with ExactStore.open(SPEC, config) as one, ExactStore.open(SPEC, config) as two:
        seen = [one.version()]
        for write in (
            lambda: one.upsert([Record("a", "tea", None)]),
            lambda: two.upsert([Record("a", "tea", None)]),
            lambda: two.delete(["a"]),
        ):
            write()
            seen.append(one.version())
            assert one.count() == two.count()
            assert one.version() == two.version() == two.stats().details["seq"] == seen[-1]
        assert sorted(set(seen)) == seen
        two.close()
        with pytest.raises(StoreClosedError):
            two.version()
        ExactStore.drop_collection(config, "c")
        with pytest.raises(CollectionNotFoundError):
            one.version()


def test_a_handle_older_than_the_log_loads_anew(
    pair: tuple[ExactStore, ExactStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change log is trimmed; who slept too long reads everything again."""
    monkeypatch.setattr(writing, "_TRANSACTIONS_LOGGED", 5)
    one, two = pair
    one.upsert([Record("first", "", [1, 0, 0, 0])])
    assert two.count() == 1
    for i in range(30):
        one.upsert([Record(f"r{i}", "", [0, 1, 0, 0])])
    one.delete(["first"])
    with one._handle.session.outside() as connection:
        assert connection.execute("SELECT count(*) FROM changes").fetchone()[0] <= 10
    assert two.count() == 30
    assert len(two.query([1, 0, 0, 0], 99)[0]) == 30


def test_a_scan_survives_another_handles_writes(pair: tuple[ExactStore, ExactStore]) -> None:
    """A scan here yields each record once while another handle rewrites them all."""
    one, two = pair
    one.upsert([Record(f"r{i:03d}") for i in range(700)])
    seen = []
    for record in one.scan():
        seen.append(record.id)
        if len(seen) % 200 == 1:
            two.upsert([Record(f"r{i:03d}", "again") for i in range(700)])
    assert seen == [f"r{i:03d}" for i in range(700)]


def test_processes_write_and_read(config: ExactConfig) -> None:
    """Three processes write at once; no write is lost or torn, and a reader sees them grow."""
    code = """
who = sys.argv[2]
for i in range(25):
    store.upsert([Record(f"{who}-{i}-{j}", f"from{who}", np.full(4, i + 1.0), {"who": who, "i": i}) for j in range(8)])
    store.upsert([Record("shared", who, np.ones(4), {"who": who, "n": store.count()})])
store.close()
"""
    with ExactStore.open(SPEC, config) as reader:
        workers = [start(config, code, who) for who in "xyz"]
        last = 0
        while any(worker.poll() is None for worker in workers):
            now = reader.count({"i": {"$gte": 0}})
            assert now >= last
            assert now % 8 == 0
            last = now
        for worker in workers:
            worker.communicate()
            assert worker.returncode == 0
        assert reader.count() == 3 * 25 * 8 + 1
        assert reader.count({"who": "y", "i": 24}) == 8
        assert len(reader.query(np.ones(4), 10_000)[0]) == 601
        assert len(reader.text_query("fromz", 10_000)) == 200
        assert reader.health().ok


def test_conversation_between_processes(config: ExactConfig) -> None:
    """Two processes in step: each reads what the other has just written."""
    code = """
for line in sys.stdin:
    record = store.get([line.strip()])[0]
    store.upsert([Record(record.id + "'", record.text + "!", np.ones(4))])
    print(record.id, flush=True)
store.close()
"""
    with ExactStore.open(SPEC, config) as store, start(config, code) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        for i in range(20):
            store.upsert([Record(f"m{i}", f"text {i}", np.ones(4))])
            print(f"m{i}", file=other.stdin, flush=True)
            assert other.stdout.readline().strip() == f"m{i}"
            assert store.get([f"m{i}'"]) == [Record(f"m{i}'", f"text {i}!")]
        other.stdin.close()


def test_threads_share_a_handle(config: ExactConfig) -> None:
    """Threads write, read, scan and search one handle; nothing is lost and no answer is torn."""
    errors: list[BaseException] = []
    with ExactStore.open(SPEC, config) as store:
        store.upsert(RecordBatch([f"base{i}" for i in range(300)], np.random.default_rng(0).normal(size=(300, 4))))

        def work(who: int) -> None:
            try:
                for i in range(15):
                    store.upsert([Record(f"t{who}-{i}-{j}", "thread", np.ones(4), {"who": who}) for j in range(4)])
                    assert store.count({"who": who}) == 4 * (i + 1)
                    assert len(store.query(np.ones(4), 10)[0]) == 10
                    assert len({r.id for r in store.scan({"who": {"$exists": False}})}) == 300
                    assert len(store.text_query("thread", 3)) == 3
            except BaseException as error:  # noqa: BLE001 - reported by the main thread
                errors.append(error)

        threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not errors
        assert store.count() == 300 + 4 * 60
        assert store.health().ok


def test_locked(config: ExactConfig) -> None:
    """A writer that waits longer than `busy_timeout` gets StoreLockedError; readers do not wait."""
    impatient = config.model_copy(update={"busy_timeout": 0.05})
    with ExactStore.open(SPEC, impatient) as store:
        store.upsert([Record("a", "word")])
        database = next(Path(str(config.path)).glob("*/store.db"))
        with closing(sqlite3.connect(database, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreLockedError, match="busy_timeout"):
                store.upsert([Record("b")])
            assert store.count() == 1
            assert store.text_query("word", 1).ids == ["a"]
            with pytest.raises(StoreLockedError):
                ExactStore.open(SPEC, impatient)
            holder.execute("ROLLBACK")
        store.upsert([Record("b")])
        assert store.count() == 2


MAKING = [(session, "_use_wal"), (schema, "create_tables")]


@pytest.mark.parametrize(("module", "step"), MAKING, ids=["an empty file", "no tables"])
def test_a_collection_that_is_being_made_is_not_there_yet(
    config: ExactConfig, monkeypatch: pytest.MonkeyPatch, module: ModuleType, step: str
) -> None:
    """Who asks for it while another one makes it hears that there is none, not that it is damaged."""
    begun, go_on = threading.Event(), threading.Event()
    real = getattr(module, step)

    def slow(*arguments: object) -> object:
        if not begun.is_set():
            begun.set()
            assert go_on.wait(60)
        return real(*arguments)

    monkeypatch.setattr(module, step, slow)
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(ExactStore.open, SPEC, config)
        try:
            assert begun.wait(60)
            with pytest.raises(CollectionNotFoundError):
                ExactStore.describe_collection(config, "c")
            assert ExactStore.list_collections(config) == []
        finally:
            go_on.set()
        with made.result() as store:
            assert ExactStore.describe_collection(config, "c") == store.spec


@pytest.mark.parametrize(("module", "step"), MAKING, ids=["an empty file", "no tables"])
def test_a_memory_whose_making_was_cut_short_opens(
    config: ExactConfig, monkeypatch: pytest.MonkeyPatch, module: ModuleType, step: str
) -> None:
    """What whoever made it first has left is no damaged store, also where no embedder says its dimension."""

    def cut_short(*_arguments: object) -> None:
        raise KeyboardInterrupt

    settings = Config(vector_store=VectorStoreConfig(provider="exact"), embedder=EmbedderConfig(provider="none"))
    with monkeypatch.context() as patch:
        patch.setattr(module, step, cut_short)
        with pytest.raises(KeyboardInterrupt):
            ExactStore.open(CollectionSpec(name=COLLECTION, dimension=384), config)
    with ContextManager(settings, path=config.path) as memory:
        memory.observe("The boat is blue.", "Noted.")
        assert memory.query_memory("boat", k=1)


def test_drop_waits_for_openers(config: ExactConfig) -> None:
    """Dropping takes the root's lock, so it never happens in the middle of an open."""
    import fcntl  # noqa: PLC0415 - only here

    impatient = config.model_copy(update={"busy_timeout": 0.05})
    ExactStore.open(SPEC, config).close()
    with (Path(str(config.path)) / ".ctxkit.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        with pytest.raises(StoreLockedError):
            ExactStore.drop_collection(impatient, "c")
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreLockedError):
            ExactStore.open(SPEC, impatient)
    ExactStore.drop_collection(impatient, "c")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.parametrize("durable", [True, False])
def test_fork(tmp_path: Path, durable: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Parent and child both go on with the handle; each sees the other's writes where there is a directory."""
    code = """
import os
store.upsert([Record("before", "word", np.ones(4), {"n": 1})])
pages = store.scan()
child = os.fork()
if not child:
    status = 1
    try:
        assert store.get(["before"])[0].text == "word"
        store.upsert([Record("child", "word", np.ones(4), {"n": 1})])
        assert store.count({"n": 1}) == 2
        assert store.health().ok
        store.close()
        status = 0
    finally:
        os._exit(status)
assert os.waitpid(child, 0)[1] == 0
print(store.count(), len(list(pages)))
store.upsert([Record("after")])
print(store.count(), store.health().ok)
store.close()
"""
    prelude = PRELUDE if durable else PRELUDE.replace("path=Path(sys.argv[1])", "")
    command = [sys.executable, "-W", "ignore", "-c", prelude + code, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == (["2", "1", "3", "True"] if durable else ["1", "1", "2", "True"])


def test_child_outlives_the_parents_handle(tmp_path: Path) -> None:
    """A child's writes survive the parent closing its handle first: no lock is inherited that nobody holds."""
    code = """
import os
store.upsert([Record("before")])
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
store.upsert([Record("parent")])
store.close()
os.write(go[1], b"x")
assert os.waitpid(child, 0)[1] == 0
store = ExactStore.open(CollectionSpec(name="c", dimension=4), ExactConfig(path=Path(sys.argv[1])))
print(store.count(), store.health().ok)
store.close()
"""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PRELUDE + code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["22", "True"]

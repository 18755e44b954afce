"""Full disks and killed processes: what was acknowledged is there, whole."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from local_collections import CHILD, SPEC, check_all, child, filled

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.local import layout
from ctxkit.local.faults import Place
from ctxkit.records import Record


@pytest.fixture
def config(tmp_path: Path) -> ExactConfig:
    """A fresh directory."""
    return ExactConfig(path=tmp_path / "data")


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


# A small file system of its own, if that is permitted: asked for before numpy starts threads, which would forbid it.
SMALL_DISK = """
import sys
from pathlib import Path
from ctxkit_conformance.stores import scarcity
mounted = not scarcity.mount_small(None, Path(sys.argv[1]), 2**20)
"""

OPENED_WITHOUT_ROOM = """
from ctxkit.local import copying
ballast, no_limit = config.path / "ballast", resource.getrlimit(resource.RLIMIT_FSIZE)

def leave(room):
    if not mounted:
        return resource.setrlimit(resource.RLIMIT_FSIZE, (room, no_limit[1]))
    free = os.statvfs(config.path)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - room)

def make_room():
    resource.setrlimit(resource.RLIMIT_FSIZE, no_limit)
    ballast.unlink(missing_ok=True)

new = CollectionSpec(name="new", dimension=8)
def try_with(room, *calls):
    leave(room)
    for call in calls:
        try:
            call()
        except StoreFullError as error:
            print("StoreFullError:", error)
    make_room()

opens = [lambda: ExactStore.open(spec, config), lambda: ExactStore.open(new, config)]
with ExactStore.open(spec, config) as store:
    store.upsert([Record("a", "", np.ones(8))])
    next(config.path.glob("*/manifest.json")).unlink()
    try_with(0, opens[0])
for room in (0, 4096, 8192, 16384):
    try_with(room, *opens, lambda: ExactStore.describe_collection(config, "c"))
try_with(65536, lambda: copying.backup(config.path, config.path / "copy"))
with ExactStore.open(spec, config) as store, ExactStore.open(new, config) as other:
    other.upsert([Record("b")])
    print("holds", [record.id for record in store.scan()], store.health().ok, other.count())
print("left", [path.name for each in ("*.tmp", ".copy.*") for path in config.path.rglob(each)])
"""


def test_opening_on_a_full_disk(config: ExactConfig) -> None:
    """Whichever file finds no room, the error says that the disk is full; nothing is left, and all is well after."""
    assert config.path is not None
    config.path.mkdir()
    command = [sys.executable, "-c", SMALL_DISK + CHILD + OPENED_WITHOUT_ROOM, str(config.path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.stdout.count("StoreFullError") == 14, run.stdout + run.stderr
    assert run.stdout.count(f"no room left under {config.path}") == 14
    assert f"no room left under {config.path / '.copy.'}" in run.stdout
    assert "holds ['a'] True 1" in run.stdout
    assert "left []" in run.stdout


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


KILLED_DROP = """
import shutil, signal
from ctxkit.local import layout

def cut_short(directory, *_):
    for path in Path(directory).glob("manifest.json"):
        path.unlink()
    os.kill(os.getpid(), signal.SIGKILL)

setattr(*{"after its mark": (layout, "discard"), "while it deletes": (shutil, "rmtree")}[sys.argv[2]], cut_short)
ExactStore.drop_collection(config, "c")
"""


@pytest.mark.parametrize("when", ["after its mark", "while it deletes"])
def test_kill_in_the_middle_of_a_drop(config: ExactConfig, when: str) -> None:
    """The next opener ends a drop that was cut short: the collection is gone, and so are its files."""
    filled(config)
    assert config.path is not None
    assert child(KILLED_DROP, config.path, when).returncode == -signal.SIGKILL
    assert [path.name for path in config.path.iterdir() if path.is_dir()]
    with ExactStore.open(SPEC, config) as store:
        assert store.count() == 0
        assert len([path.name for path in config.path.iterdir() if path.is_dir()]) == 1
    ExactStore.drop_collection(config, "c")
    assert [path.name for path in config.path.iterdir()] == [".ctxkit.lock"]


def test_two_who_end_the_same_drop(config: ExactConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two openers that find a drop cut short, the second leaves alone what the first has made and written since."""
    filled(config)
    assert child(KILLED_DROP, config.path, "after its mark").returncode == -signal.SIGKILL
    taken = layout.root_lock
    first: list[ExactStore] = []

    @contextmanager
    def overtaken(root: Path, place: Place, *, exclusive: bool) -> Iterator[None]:
        if exclusive:
            monkeypatch.setattr(layout, "root_lock", taken)
            first.append(ExactStore.open(SPEC, config))
            first[0].upsert([Record("acknowledged")])
        with taken(root, place, exclusive=exclusive):
            yield

    monkeypatch.setattr(layout, "root_lock", overtaken)
    with ExactStore.open(SPEC, config) as second, first[0]:
        assert second.get(["acknowledged"]) == first[0].get(["acknowledged"]) == [Record("acknowledged")]


def test_many_who_sweep_at_once(tmp_path: Path) -> None:
    """Several may delete what was dropped at once: each returns without an error, and nothing else is touched."""
    for number in range(300):
        (tmp_path / f".dropped-{number % 3:032x}" / f"{number % 7}" / f"{number}").mkdir(parents=True)
    (tmp_path / ".dropped-photos").mkdir()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(layout.sweep, [tmp_path] * 8))
    assert [path.name for path in tmp_path.iterdir()] == [".dropped-photos"]

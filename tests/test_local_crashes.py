"""Full disks and killed processes: what was acknowledged is there, whole."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from local_collections import CHILD, SPEC, check_all, child, filled

from ctxkit.defaults.exact import ExactConfig, ExactStore


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

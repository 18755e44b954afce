"""A collection on disk for the tests of the local engine: filled, compared, damaged, used by another process."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.interfaces import CollectionSpec
from ctxkit.local.layout import collection_directory
from ctxkit.records import Record

SPEC = CollectionSpec(name="c", dimension=8)


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

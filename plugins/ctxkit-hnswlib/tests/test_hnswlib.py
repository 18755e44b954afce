"""hnswlib under the engine: recall, saved graphs, and what hnswlib itself would get wrong.

The contract is examined by `ctxkit conformance matrix`, with the graph in use from the first record on.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import ctxkit_hnswlib
import numpy as np
import pytest
from ctxkit_hnswlib.config import HnswlibConfig
from ctxkit_hnswlib.index import HnswIndex
from ctxkit_hnswlib.store import HnswlibStore
from pydantic import ValidationError

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import ConfigError
from ctxkit.interfaces import BackendSpec, CollectionSpec
from ctxkit.records import Metric, RecordBatch

ALWAYS: dict[str, Any] = {"exact_below": 0, "index_build": "inline"}  # the graph is searched from the first record on


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_it_finds_the_near(tmp_path: Path, metric: Metric) -> None:
    """Nearly all of the true ten, and never less than ten, under any filter."""
    rng = np.random.default_rng(8)
    centres = rng.normal(size=(40, 24))
    vectors = (centres[rng.integers(0, 40, 3000)] + 0.3 * rng.normal(size=(3000, 24))).astype(np.float32)
    queries = vectors[:50] + 0.05
    spec = CollectionSpec(dimension=24, metric=metric)
    config = HnswlibConfig(path=tmp_path, exact_below=1000)
    with HnswlibStore.open(spec, config) as store, ExactStore.open(spec, ExactConfig()) as exact:
        for each in (store, exact):
            each.upsert(RecordBatch([str(i) for i in range(3000)], vectors, None, [{"i": i} for i in range(3000)]))
            each.delete([str(i) for i in range(0, 3000, 9)])
        store.optimize()
        for where in (None, {"i": {"$lt": 1500}}, {"i": {"$lt": 40}}, {"i": {"$nin": list(range(1, 50))}}):
            found = [set(hits.ids) for hits in store.query(queries, 10, where=where)]
            true = [set(hits.ids) for hits in exact.query(queries, 10, where=where)]
            assert {len(ids) for ids in found} == {10}
            assert np.mean([len(a & b) / 10 for a, b in zip(found, true, strict=True)]) >= 0.95
        store.query(queries, 10)
        assert store.stats().details["plan"].startswith("HNSW: ")


def test_a_saved_graph_is_read_again(tmp_path: Path) -> None:
    """Reopening makes no new graph; another ef_search uses the same one, another m makes another."""
    vectors = np.random.default_rng(9).normal(size=(600, 8))
    spec, options = CollectionSpec(dimension=8), {"path": tmp_path, **ALWAYS}
    with HnswlibStore.open(spec, HnswlibConfig(**options)) as store:
        store.upsert(RecordBatch([str(i) for i in range(600)], vectors))
        made = store.stats().details["segment"]
        answer = [hits.ids for hits in store.query(vectors[:5], 4)]
    for more, same in (({}, True), ({"ef_search": 200}, True), ({"m": 8}, False)):
        with HnswlibStore.open(spec, HnswlibConfig(**options, **more)) as store:
            assert (store.stats().details["segment"] == made) is same
            assert [hits.ids for hits in store.query(vectors[:5], 4)] == answer


def test_a_damaged_graph_never_reaches_hnswlib(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """hnswlib crashes the process on a damaged file; its checksum is compared first, and the graph made anew."""
    spec, options = CollectionSpec(dimension=8), {"path": tmp_path, **ALWAYS}
    vectors = np.random.default_rng(9).normal(size=(300, 8))
    with HnswlibStore.open(spec, HnswlibConfig(**options)) as store:
        store.upsert(RecordBatch([str(i) for i in range(300)], vectors))
        answer = [hits.ids for hits in store.query(vectors[:5], 4)]
    (file,) = tmp_path.rglob("index.bin")
    file.write_bytes(file.read_bytes()[:-100])
    with HnswlibStore.open(spec, HnswlibConfig(**options)) as store:
        assert [hits.ids for hits in store.query(vectors[:5], 4)] == answer
    assert any("index.bin does not match its checksum" in record.message for record in caplog.records)


def test_asking_for_everything() -> None:
    """More hits than ef_search, up to all of them: 'contiguous 2D array' is nothing a user ever sees."""
    vectors = np.repeat(np.random.default_rng(1).normal(size=(20, 4)), 30, axis=0).astype(np.float32)
    with HnswlibStore.open(CollectionSpec(dimension=4), HnswlibConfig(ef_search=1, m=2, **ALWAYS)) as store:
        store.upsert(RecordBatch([f"{i:03d}" for i in range(600)], vectors))
        for k in (1, 50, 599, 600, 1000):
            assert {len(hits) for hits in store.query(vectors[::60], k)} == {min(k, 600)}


def test_index_alone(tmp_path: Path) -> None:
    """The index answers similarities, grows beyond what it reserved, and reads back what it wrote."""
    options = {"m": 4, "ef_construction": 20, "ef_search": 10}
    index = HnswIndex(2, "l2", 1, **options)
    index.reserve(2)
    index.add(np.array([[0, 0], [1, 0]], dtype=np.float32))
    index.add(np.array([[2, 0]], dtype=np.float32))
    index.save(tmp_path / "index.bin")
    again = HnswIndex(2, "l2", 1, **options)
    again.load(tmp_path / "index.bin")
    for each in (index, again):
        slots, similarities = each.search(np.zeros((1, 2), dtype=np.float32), 3)
        assert slots.tolist() == [[0, 1, 2]]
        assert similarities.tolist() == [[0.0, -1.0, -4.0]]
        assert each.nbytes > 24


def test_options_have_limits() -> None:
    """An impossible number, and another store's configuration, are refused."""
    for wrong in ({"threads": 0}, {"m": 1}, {"ef_search": 0}, {"index_type": "Flat"}):
        with pytest.raises(ValidationError):
            HnswlibConfig(**wrong)
    with pytest.raises(ConfigError, match="HnswlibConfig"):
        HnswlibStore.open(CollectionSpec(dimension=2), ExactConfig())


def test_announcement_imports_no_hnswlib() -> None:
    """The entry point's module and the configuration import neither hnswlib nor the index."""
    code = "import sys, ctxkit_hnswlib.config as c; c.HnswlibConfig(); print('hnswlib' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
    spec = ctxkit_hnswlib.ctxkit_vector_stores()[0]
    assert isinstance(spec, BackendSpec)
    assert (spec.name, spec.requires, spec.capabilities) == ("hnswlib", ("hnswlib",), HnswlibConfig().capabilities())


def test_missing_hnswlib_names_the_install_line() -> None:
    """Without hnswlib, making the store raises MissingDependencyError with what to install."""
    code = (
        "import sys; sys.modules['hnswlib'] = None\n"
        "from ctxkit.errors import MissingDependencyError\n"
        "try:\n    import ctxkit_hnswlib.store\n"
        "except MissingDependencyError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install ctxkit-hnswlib" in run.stdout

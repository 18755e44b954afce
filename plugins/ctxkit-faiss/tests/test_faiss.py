"""FAISS under the engine: the whole contract, and agreement with the exact store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ctxkit_faiss
import numpy as np
import pytest
from ctxkit_conformance import VectorStoreContract
from ctxkit_faiss.config import FaissConfig
from ctxkit_faiss.index import FlatIndex
from ctxkit_faiss.store import FaissStore
from pydantic import ValidationError

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import ConfigError
from ctxkit.interfaces import BackendSpec, CollectionSpec
from ctxkit.records import Metric, Record, RecordBatch


class TestFaissInMemory(VectorStoreContract):
    """FAISS without a path; the engine scores again in float64."""

    store_class = FaissStore
    relative_tolerance = 1e-9
    absolute_tolerance = 1e-12

    def make_config(self, folder: Path) -> FaissConfig:  # noqa: ARG002 - nothing is kept anywhere
        """Return a configuration without a path."""
        return FaissConfig()


class TestFaissDurable(VectorStoreContract):
    """FAISS in a directory."""

    store_class = FaissStore
    relative_tolerance = 1e-9
    absolute_tolerance = 1e-12

    def make_config(self, folder: Path) -> FaissConfig:
        """Return a configuration for the folder."""
        return FaissConfig(path=folder)


@pytest.fixture(params=["memory", "directory"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> FaissConfig:
    """Both places where a collection can live."""
    return FaissConfig(path=tmp_path if request.param == "directory" else None)


def test_many_ties_beyond_every_candidate(config: FaissConfig) -> None:
    """A tie group larger than the engine is ready to re-score is still cut by id."""
    count = 17_000
    with FaissStore.open(CollectionSpec(dimension=3), config) as store:
        store.upsert(RecordBatch([f"{i:05d}" for i in range(count, 0, -1)], np.ones((count, 3))))
        assert store.query([1, 1, 1], 3)[0].ids == ["00001", "00002", "00003"]
        assert store.query([1, 1, 1], 2, where={"$not": {"x": 1}})[0].ids == ["00001", "00002"]


def test_near_ties_below_float32(config: FaissConfig) -> None:
    """Order follows the float64 score even where FAISS sees a tie."""
    with FaissStore.open(CollectionSpec(dimension=3, metric="l2"), config) as store:
        base = 1000.0
        steps = np.arange(200, dtype=np.float32) * np.float32(2**-13)
        order = np.random.default_rng(3).permutation(200)
        vectors = np.stack([np.full(200, base), base + steps, np.zeros(200)], axis=1)[order]
        store.upsert(RecordBatch([f"{i:03d}" for i in order], vectors))
        assert store.query([base, base, 0], 10)[0].ids == [f"{i:03d}" for i in range(10)]


def test_batch_equals_one_by_one_to_the_last_bit(config: FaissConfig) -> None:
    """n queries at once give the very scores that each gives alone, and a smaller k their beginning."""
    rng = np.random.default_rng(4)
    with FaissStore.open(CollectionSpec(dimension=24, metric="dot"), config) as store:
        metadata = [{"i": i} for i in range(400)]
        store.upsert(RecordBatch([str(i) for i in range(400)], rng.normal(size=(400, 24)), None, metadata))
        queries = rng.normal(size=(150, 24))
        for where in (None, {"i": {"$lt": 350}}, {"i": {"$lt": 40}}):
            together = store.query(queries, 7, where=where)
            for query, hits in zip(queries[::10], together[::10], strict=True):
                alone = store.query(query, 12, where=where)[0]
                assert alone.ids[:7] == hits.ids
                assert list(alone.scores[:7]) == list(hits.scores)


def test_the_index_piles_up_no_tombstones(config: FaissConfig) -> None:
    """Replacing the same records over and over stays within bounds, and optimize makes the index anew."""
    with FaissStore.open(CollectionSpec(dimension=3), config) as store:
        for round_ in range(12):
            store.upsert(RecordBatch([str(i) for i in range(400)], np.full((400, 3), round_ + 1.0)))
        assert store.stats().details["tombstones"] < 2000
        store.delete([str(i) for i in range(200)])
        store.optimize()
        stats = store.stats()
        assert (stats.rows, stats.vectors, stats.details["tombstones"]) == (200, 200, 0)
        assert stats.bytes_in_memory is not None
        assert stats.bytes_in_memory > 200 * 12
        assert (stats.bytes_on_disk is not None) == (config.path is not None)
        assert len(store.query([1, 1, 1], 500)[0]) == 200


def test_memory_promises_less(config: FaissConfig) -> None:
    """Without a directory nothing is promised to stay, nor to be shared."""
    with FaissStore.open(CollectionSpec(dimension=3), config) as store:
        durable = config.path is not None
        assert store.capabilities.persistent is store.capabilities.crash_safe is durable
        assert store.capabilities.concurrency == ("multi-writer" if durable else "single-process")


def test_no_index_options(config: FaissConfig) -> None:
    """An option that would change nothing is an error."""
    with pytest.raises(ConfigError):
        FaissStore.open(CollectionSpec(dimension=3, index_options={"m": 16}), config)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_one_directory_two_backends(tmp_path: Path, metric: Metric) -> None:
    """A directory written by one opens under the other, and both give the same hits and scores."""
    rng = np.random.default_rng(0)
    spec = CollectionSpec(dimension=32, metric=metric)
    vectors = rng.normal(size=(500, 32))
    queries = rng.normal(size=(30, 32))
    with FaissStore.open(spec, FaissConfig(path=tmp_path)) as store:
        store.upsert(RecordBatch([str(i) for i in range(500)], vectors, None, [{"i": i} for i in range(500)]))
        store.delete([str(i) for i in range(0, 500, 5)])
        with ExactStore.open(spec, ExactConfig(path=tmp_path)) as exact:
            exact.upsert([Record("new", "", queries[0])])
            for where in (None, {"i": {"$lt": 20}}, {"i": {"$gt": 100}}):
                for left, right in zip(
                    store.query(queries, 9, where=where), exact.query(queries, 9, where=where), strict=True
                ):
                    assert left.ids == right.ids
                    assert list(left.scores) == list(right.scores)
            assert store.query(queries[0], 500)[0].ids[0] == (
                "new" if metric != "dot" else exact.query(queries[0], 1)[0].ids[0]
            )
        assert store.stats().details["index_type"] == "Flat"


def test_only_flat_for_now() -> None:
    """A request for another index type is refused with the type this version has."""
    with pytest.raises(ValidationError, match="'Flat' only, not 'HNSW'"):
        FaissConfig(index_type="HNSW")
    with pytest.raises(ValidationError):
        FaissConfig(threads=0)


def test_needs_its_own_configuration() -> None:
    """The exact store's configuration is no configuration of FAISS."""
    with pytest.raises(ConfigError, match="FaissConfig"):
        FaissStore.open(CollectionSpec(dimension=2), ExactConfig())


def test_threads_give_the_same_answer() -> None:
    """The number of threads changes the speed, not the hits."""
    rng = np.random.default_rng(1)
    vectors, queries = rng.normal(size=(300, 16)), rng.normal(size=(40, 16))
    found = []
    for threads in (1, 2):
        with FaissStore.open(CollectionSpec(dimension=16), FaissConfig(threads=threads)) as store:
            store.upsert(RecordBatch([str(i) for i in range(300)], vectors))
            found.append([hits.ids for hits in store.query(queries, 5)])
    assert found[0] == found[1]


def test_index_alone() -> None:
    """The index pads with -1 and never returns a removed or forbidden slot."""
    index = FlatIndex(2, "l2", 1)
    index.add(np.array([[0, 0], [1, 0], [2, 0]], dtype=np.float32))
    index.remove(np.array([0]))
    slots, similarities = index.search(np.zeros((1, 2), dtype=np.float32), 3, None)
    assert slots.tolist() == [[1, 2, -1]]
    assert similarities[0, :2].tolist() == [-1.0, -4.0]
    slots, _ = index.search(np.zeros((1, 2), dtype=np.float32), 2, np.array([True, False, True]))
    assert slots.tolist() == [[2, -1]]
    assert (len(index), index.nbytes) == (2, 24)


def test_announcement_imports_no_faiss() -> None:
    """The entry point's module and the configuration import neither FAISS nor the index."""
    code = "import sys, ctxkit_faiss.config as c; c.FaissConfig(); print('faiss' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
    spec = ctxkit_faiss.ctxkit_vector_stores()[0]
    assert isinstance(spec, BackendSpec)
    assert (spec.name, spec.requires, spec.capabilities) == ("faiss", ("faiss",), FaissConfig().capabilities())


def test_missing_faiss_names_the_install_line() -> None:
    """Without FAISS, making the store raises MissingDependencyError with what to install."""
    code = (
        "import sys; sys.modules['faiss'] = None\n"
        "from ctxkit.errors import MissingDependencyError\n"
        "try:\n    import ctxkit_faiss.store\n"
        "except MissingDependencyError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install ctxkit-faiss" in run.stdout

"""FAISS under the engine: the quick part of the contract, and agreement with the exact store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import ctxkit_faiss
import numpy as np
import pytest
from ctxkit_conformance import QuickVectorStoreContract
from ctxkit_faiss.config import FaissConfig
from ctxkit_faiss.index import FlatIndex
from ctxkit_faiss.store import FaissStore
from pydantic import ValidationError

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import ConfigError
from ctxkit.interfaces import BackendSpec, CollectionSpec
from ctxkit.records import Metric, Record, RecordBatch

ALWAYS: dict[str, Any] = {"exact_below": 0, "index_build": "inline"}  # FAISS searches from the first record on


class _Finer(QuickVectorStoreContract):
    """The engine scores again in float64, whatever proposes."""

    store_class = FaissStore
    relative_tolerance = 1e-9
    absolute_tolerance = 1e-12


class TestFlatDurable(_Finer):
    """Flat in a directory."""

    def make_config(self, folder: Path) -> FaissConfig:
        """Return a configuration for the folder."""
        return FaissConfig(path=folder, **ALWAYS)


@pytest.fixture(params=["memory", "directory"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> FaissConfig:
    """Both places where a collection can live."""
    return FaissConfig(path=tmp_path if request.param == "directory" else None, **ALWAYS)


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
    with FaissStore.open(spec, FaissConfig(path=tmp_path, **ALWAYS)) as store:
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


def test_options_have_limits() -> None:
    """An unknown kind of index or an impossible number is refused when the configuration is made."""
    for wrong in ({"index_type": "IVF"}, {"quantization": "pq"}, {"threads": 0}, {"m": 1}, {"ef_search": 0}):
        with pytest.raises(ValidationError):
            FaissConfig(**wrong)


def test_hnsw_is_not_exact_and_finds_the_near(tmp_path: Path) -> None:
    """It says so, uses its graph, finds nearly all of the true ten, and none less than ten under any filter."""
    rng = np.random.default_rng(8)
    centres = rng.normal(size=(40, 24))
    vectors = (centres[rng.integers(0, 40, 4000)] + 0.3 * rng.normal(size=(4000, 24))).astype(np.float32)
    queries = vectors[:50] + 0.05
    config = FaissConfig(path=tmp_path, index_type="HNSW", exact_below=1000)
    metadata = [{"i": i} for i in range(4000)]
    spec = CollectionSpec(dimension=24)
    with FaissStore.open(spec, config) as store, ExactStore.open(spec, ExactConfig()) as exact:
        assert (store.capabilities.exact, exact.capabilities.exact) == (False, True)
        for each in (store, exact):
            each.upsert(RecordBatch([str(i) for i in range(4000)], vectors, None, metadata))
            each.delete([str(i) for i in range(0, 4000, 9)])
        store.optimize()
        for where in (None, {"i": {"$lt": 2000}}, {"i": {"$lt": 40}}, {"i": {"$nin": [int(i) for i in range(1, 50)]}}):
            found = [set(hits.ids) for hits in store.query(queries, 10, where=where)]
            true = [set(hits.ids) for hits in exact.query(queries, 10, where=where)]
            assert {len(ids) for ids in found} == {10}
            assert np.mean([len(a & b) / 10 for a, b in zip(found, true, strict=True)]) >= 0.95
        store.query(queries, 10)
        assert store.stats().details["plan"].startswith("HNSW: ")


def test_an_exact_index_is_asked_only_where_hardly_anything_is_left_out(tmp_path: Path) -> None:
    """It looks at every vector as well, and brute force would have to follow where a filter excludes the near."""
    vectors = np.random.default_rng(7).normal(size=(200, 8)).astype(np.float32)
    config = FaissConfig.model_validate({"path": tmp_path, "index_type": "Flat", **ALWAYS})
    with FaissStore.open(CollectionSpec(dimension=8), config) as store:
        store.upsert(RecordBatch([str(i) for i in range(200)], vectors, None, [{"i": i} for i in range(200)]))
        for share, plan in ((100, "exact: 100 matching rows of 200"), (195, "Flat: ")):
            store.query(vectors[0], 3, where={"i": {"$lt": share}})
            assert store.stats().details["plan"].startswith(plan)


@pytest.mark.parametrize("index_type", ["Flat", "HNSW"])
@pytest.mark.parametrize("quantization", ["fp16", "sq8"])
@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_quantised_vectors_propose_and_stored_ones_decide(
    tmp_path: Path, index_type: str, quantization: str, metric: Metric
) -> None:
    """It says that it is not exact, finds the true ten, scores them as the exact store does, and takes less memory."""
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(30, 32))
    vectors = (centres[rng.integers(0, 30, 3000)] + 0.3 * rng.normal(size=(3000, 32))).astype(np.float32)
    batch = RecordBatch([str(i) for i in range(3000)], vectors)
    spec = CollectionSpec(dimension=32, metric=metric)
    kind: dict[str, Any] = {"index_type": index_type, **ALWAYS}
    config, plain = FaissConfig(path=tmp_path, quantization=quantization, **kind), FaissConfig(**kind)
    stores = [FaissStore.open(spec, config), FaissStore.open(spec, plain), ExactStore.open(spec, ExactConfig())]
    with stores[0] as store, stores[1] as whole, stores[2] as exact:
        for each in stores:
            each.upsert(batch)
        assert not store.capabilities.exact
        found, true = (each.query(vectors[:40] + 0.05, 10) for each in (store, exact))
        assert store.stats().details["plan"].startswith(f"{index_type}: ")
        assert np.mean([len(set(a.ids) & set(b.ids)) / 10 for a, b in zip(found, true, strict=True)]) >= 0.97
        for hits, sure in zip(found, true, strict=True):
            scores = dict(zip(sure.ids, sure.scores.tolist(), strict=True))
            assert all(hit.score == scores[hit.id] for hit in hits if hit.id in scores)
        held = [each.stats().bytes_in_memory or 0 for each in (whole, store)]
        assert held[0] - held[1] > 3000 * 32 * (1 if quantization == "fp16" else 2)


def test_a_quantised_index_is_another_one(tmp_path: Path) -> None:
    """A saved index of one kind is never read as another: it is made anew from the records."""
    vectors = np.random.default_rng(9).normal(size=(400, 8))
    spec, options = CollectionSpec(dimension=8), {"path": tmp_path, **ALWAYS}
    with FaissStore.open(spec, FaissConfig(**options)) as store:
        store.upsert(RecordBatch([str(i) for i in range(400)], vectors))
        answer = [hits.ids for hits in store.query(vectors[:5], 4)]
    kinds = set()
    for quantization in ("fp16", "sq8", "none"):
        with FaissStore.open(spec, FaissConfig(**{**options, "quantization": quantization})) as store:
            store.optimize()
            kinds.add(store.stats().details["segment"])
            assert [hits.ids for hits in store.query(vectors[:5], 4)] == answer
    assert len(kinds) == 3


def test_a_saved_graph_is_read_again(tmp_path: Path) -> None:
    """Reopening makes no new graph; another ef_search uses the same one, another m makes another."""
    vectors = np.random.default_rng(9).normal(size=(600, 8))
    spec = CollectionSpec(dimension=8)
    options: dict[str, Any] = {"path": tmp_path, "index_type": "HNSW", **ALWAYS}
    with FaissStore.open(spec, FaissConfig(**options)) as store:
        store.upsert(RecordBatch([str(i) for i in range(600)], vectors))
        made = store.stats().details["segment"]
        answer = store.query(vectors[:5], 4)
    for more, same in (({}, True), ({"ef_search": 200}, True), ({"m": 8}, False)):
        with FaissStore.open(spec, FaissConfig(**options, **more)) as store:
            assert (store.stats().details["segment"] == made) is same
            assert [hits.ids for hits in store.query(vectors[:5], 4)] == [hits.ids for hits in answer]


def test_a_damaged_graph_never_reaches_faiss(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its checksum is compared first; the graph is made anew."""
    spec, options = CollectionSpec(dimension=8), {"path": tmp_path, "index_type": "HNSW", **ALWAYS}
    vectors = np.random.default_rng(9).normal(size=(300, 8))
    with FaissStore.open(spec, FaissConfig(**options)) as store:
        store.upsert(RecordBatch([str(i) for i in range(300)], vectors))
        answer = [hits.ids for hits in store.query(vectors[:5], 4)]
    (file,) = tmp_path.rglob("index.bin")
    file.write_bytes(file.read_bytes()[:-100] + b"x" * 100)
    with FaissStore.open(spec, FaissConfig(**options)) as store:
        assert [hits.ids for hits in store.query(vectors[:5], 4)] == answer
    assert any("index.bin does not match its checksum" in record.message for record in caplog.records)


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
        with FaissStore.open(CollectionSpec(dimension=16), FaissConfig(threads=threads, **ALWAYS)) as store:
            store.upsert(RecordBatch([str(i) for i in range(300)], vectors))
            found.append([hits.ids for hits in store.query(queries, 5)])
    assert found[0] == found[1]


def test_index_alone() -> None:
    """The index answers similarities, best first."""
    index = FlatIndex(2, "l2", FaissConfig())
    index.add(np.array([[0, 0], [1, 0], [2, 0]], dtype=np.float32))
    slots, similarities = index.search(np.zeros((1, 2), dtype=np.float32), 3)
    assert slots.tolist() == [[0, 1, 2]]
    assert similarities.tolist() == [[0.0, -1.0, -4.0]]
    assert index.nbytes == 24


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

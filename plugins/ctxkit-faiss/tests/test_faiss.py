"""FAISS under the engine: the whole contract, and agreement with the exact store."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import ctxkit_faiss
import numpy as np
import pytest
from ctxkit_faiss.config import FaissConfig
from ctxkit_faiss.index import FlatIndex
from ctxkit_faiss.store import FaissStore
from pydantic import ValidationError

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import ConfigError
from ctxkit.interfaces import BackendSpec, CollectionSpec
from ctxkit.records import Metric, Record, RecordBatch


def _contract() -> Any:
    path = Path(__file__).resolve().parents[3] / "tests" / "test_local_contract.py"
    spec = importlib.util.spec_from_file_location("local_contract", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.StoreContract


_Contract = _contract()


class TestFaissInMemory(_Contract):  # type: ignore[misc, valid-type]  # loaded by path
    """FAISS without a path."""

    cls = FaissStore
    config_class = FaissConfig
    durable = False


class TestFaissDurable(_Contract):  # type: ignore[misc, valid-type]
    """FAISS in a directory."""

    cls = FaissStore
    config_class = FaissConfig
    durable = True


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

"""Searches of the local engine: filters asked again, and scores that depend on nothing but the two vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from local_collections import child

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.filters import parse
from ctxkit.interfaces import CollectionSpec
from ctxkit.local import selections
from ctxkit.local.exact import ExactRows
from ctxkit.local.index import prepared
from ctxkit.local.search import similarity
from ctxkit.records import Metric, Record, RecordBatch

DIMENSION = 8
SPEC = CollectionSpec(name="c", dimension=DIMENSION)
RNG = np.random.default_rng(5)
VECTORS = RNG.normal(size=(700, DIMENSION)).astype(np.float32)
METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")
EVEN = {"even": True}


def batch(first: int, last: int) -> RecordBatch:
    """Return records first to last."""
    ids = [f"r{i:03d}" for i in range(first, last)]
    return RecordBatch(ids, VECTORS[first:last], ids, [{"even": i % 2 == 0, "i": i} for i in range(first, last)])


def asked(store: ExactStore) -> tuple[list[str], list[str], int]:
    """Ask for the even ones in three ways."""
    by_vector = store.query(np.ones(DIMENSION), 1000, where=EVEN)[0].ids
    by_text = store.text_query("r002 r004 r006", 10, where=EVEN).ids
    return sorted(by_vector), sorted(by_text), store.count(EVEN)


@pytest.mark.parametrize("exact_below", [0, 10_000])
def test_a_filter_asked_again_sees_every_change(tmp_path: Path, exact_below: int) -> None:
    """After writes, replacements, deletes, a new segment and another process' write: what passes now, each time."""
    config = ExactConfig(path=tmp_path, exact_below=exact_below, index_build="inline")
    with ExactStore.open(SPEC, config) as store:

        def check(*numbers: int) -> None:
            names = [f"r{i:03d}" for i in numbers]
            few = [name for name in names if name in {"r002", "r004", "r006"}]
            assert asked(store) == asked(store) == (names, few, len(names))

        store.upsert(batch(0, 5))
        check(0, 2, 4)
        store.upsert(batch(5, 8))
        check(0, 2, 4, 6)
        store.delete(["r002"])
        check(0, 4, 6)
        store.upsert([Record("r004", "r004", VECTORS[4], {"even": False})])
        check(0, 6)
        store.optimize()
        check(0, 6)
        written = child(
            "with ExactStore.open(spec, config) as store:"
            " store.upsert([Record('r002', 'r002', np.ones(8), {'even': True})])",
            tmp_path,
        )
        assert written.returncode == 0, written.stderr
        check(0, 2, 6)


def test_filters_that_python_takes_for_equal() -> None:
    """1 and True are one key of a dict, and two filters."""
    with ExactStore.open(SPEC, ExactConfig()) as store:
        store.upsert([Record("int", "", VECTORS[0], {"x": 1}), Record("bool", "", VECTORS[1], {"x": True})])
        assert parse({"x": 1}) == parse({"x": True})
        found = [store.query(np.ones(DIMENSION), 2, where={"x": value})[0].ids for value in (1, True, 1, True)]
        assert found == [["int"], ["bool"], ["int"], ["bool"]]


def test_few_filters_are_kept() -> None:
    """However many filters are asked, those that are kept take a bounded room."""
    with ExactStore.open(SPEC, ExactConfig()) as store:
        store.upsert(batch(0, 50))
        store.query(np.ones(DIMENSION), 50)  # from now on every text is kept
        kept: list[int] = []
        sizes: list[int | None] = []
        for limit in range(50):
            assert len(store.query(np.ones(DIMENSION), 50, where={"i": {"$lt": limit}})[0]) == limit
            held = store._handle._view
            assert held is not None
            kept.append(len(held._selections))
            sizes.append(store.stats().bytes_in_memory)
        assert sizes[1] == (sizes[0] or 0) + 2 * 50  # a byte for each row, and one for each vector
        assert 1 < max(kept) <= selections.KEPT


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dimension", [1, 3, 8, 384, 9000])
def test_a_score_depends_on_its_two_vectors_alone(metric: Metric, dimension: int) -> None:
    """To the last bit: alone, among others, at any place, for one query or many."""
    rng = np.random.default_rng(dimension)
    vectors = rng.normal(size=(13, dimension)).astype(np.float32)
    vectors[[3, 7, 12]] = vectors[0]
    queries = rng.normal(size=(5, dimension)).astype(np.float32)
    together = similarity(queries[:, None, :], np.stack([vectors] * 5), metric)
    for query, scores in zip(queries, together, strict=True):
        assert len({*scores[[0, 3, 7, 12]].tolist()}) == 1
        assert scores.tolist() == similarity(query, vectors, metric).tolist()
        assert scores.tolist() == [float(similarity(query, each, metric)) for each in vectors]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("count", [1, 2])
def test_brute_force_over_some_rows(metric: Metric, count: int) -> None:
    """Rows that are copied out in parts are found at their own places, as all of them would be."""
    rows = ExactRows(DIMENSION, metric)
    rows.add(VECTORS)
    vectors = np.concatenate([VECTORS] * 5)
    rows.add(vectors[len(VECTORS) :])
    allowed = np.zeros(len(vectors), dtype=np.bool_)
    allowed[RNG.choice(len(VECTORS), 600, replace=False)] = True
    queries = RNG.normal(size=(count, DIMENSION)).astype(np.float32)
    slots, similarities = rows.search(prepared(queries, metric), 20, allowed)
    for query, found, values in zip(queries, slots, similarities, strict=True):
        scores = similarity(query, vectors, metric)
        best = sorted(np.flatnonzero(allowed).tolist(), key=lambda place: -scores[place])[:20]
        assert found.tolist() == best
        assert (np.diff(values) <= 0).all()

"""The same data and the same questions for any store, so that one can be put in another's place and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from every_store import REGISTRY

from ctxkit import F
from ctxkit.interfaces import CollectionSpec, VectorStore
from ctxkit.records import Hits, Metric, Record, RecordBatch

METRICS: Final[tuple[Metric, ...]] = ("cosine", "dot", "l2")
ROWS: Final = 90
DIMENSION: Final = 8
WHERES: Final[tuple[Any, ...]] = (
    None,
    {"n": 3},
    {"n": {"$gt": 2, "$lte": 5}},
    {"f": {"$gte": 2.5}},
    {"s": {"$in": ["s0", "s2", 1]}},
    {"s": {"$ne": "s1"}},
    {"t": {"$contains": "y1"}},
    {"big": {"$gt": 2**53}},
    {"late": {"$exists": False}},
    {"$or": [{"n": {"$nin": [0, 1, 2]}}, {"$not": {"s": "s1"}}]},
    (F("f") < 20.0) & ~(F("n") == 1),
    {"n": "3"},
)
WORDS: Final = ("fox", "foxes running", "quick brown", "文章", "harbour", "nothing of it")

Answers = dict[str, Any]


def answers(provider: str, options: Mapping[str, Any], folder: Path, metric: Metric) -> Answers:
    """Write the data to a store and return what it answers, before and after it was closed."""
    spec = CollectionSpec(name=f"notes {metric}", dimension=DIMENSION, metric=metric, fields={"n": "int"})
    with REGISTRY.open_store(provider, spec, {"path": folder, **options}) as store:
        _write(store)
        found = _asked(store)
    with REGISTRY.open_store(provider, spec, {"path": folder, **options}) as store:
        return {**found, **{f"{question}, opened again": answer for question, answer in _asked(store).items()}}


def check_same(found: Answers, wanted: Answers, *, exact: bool) -> None:
    """Demand the same answers: ids in order and scores; of an approximate index what the contract promises."""
    assert list(found) == list(wanted)
    for question, expected in wanted.items():
        if not isinstance(expected, Hits):
            assert found[question] == expected, question
            continue
        hits = found[question]
        assert len(hits) == len(expected), question
        assert not hits.truncated, question
        assert hits.scores.tolist() == sorted(hits.scores.tolist(), reverse=True), question
        assert hits.ids == expected.ids or not exact, question
        known = {hit.id: hit for hit in expected}
        for hit in hits:
            same = known.get(hit.id, hit)
            assert (hit.text, hit.metadata, hit.metric) == (same.text, same.metadata, same.metric), question
            assert hit.score == pytest.approx(same.score, rel=1e-4, abs=1e-6), question


def _records() -> tuple[RecordBatch, list[Record]]:
    """Return a batch, and records of which some replace one of its own."""
    rng = np.random.default_rng(11)
    vectors = rng.normal(size=(ROWS, DIMENSION)).astype(np.float32)
    vectors[40:44] = vectors[39]
    texts = [f"{('the quick fox', 'foxes run', 'brown harbour', '日本語の文章')[i % 4]} {i % 9}" for i in range(ROWS)]
    metadata = [
        {"n": i % 7, "f": i / 4, "s": f"s{i % 3}", "t": ["x", f"y{i % 5}"], "big": 2**53 + i % 3, "b": i % 2 == 0}
        for i in range(ROWS)
    ]
    batch = RecordBatch([f"r{i:02d}" for i in range(ROWS)], vectors, texts, metadata)
    late = [Record(f"r{i:02d}", f"late fox {i}", vectors[i] * 3, {"n": 3, "late": True}) for i in (3, 50)]
    return batch, [*late, Record("Ä new \0 one", "", np.ones(DIMENSION), {})]


def _write(store: VectorStore) -> None:
    batch, later = _records()
    store.upsert(batch)
    store.upsert(later)


def _asked(store: VectorStore) -> Answers:
    """Return all answers; each asking deletes some records, so that a second one has others to answer from."""
    queries = np.random.default_rng(12).normal(size=(3, DIMENSION)).astype(np.float32)
    found: Answers = {}
    for where in WHERES:
        found |= _filtered(store, queries, where)
    for words in WORDS:
        found[f"words {words}"] = store.text_query(words, 7)
        found[f"words {words}, n = 3"] = store.text_query(words, 7, where={"n": 3})
    found["get"] = store.get(["r03", "missing", "r03", "Ä new \0 one"], include_vectors=True)
    found["least score"] = store.query(queries[0], 20, min_score=0.2)[0]
    some = [f"r{i:02d}" for i in range(20, 30)]
    found["deleted"] = [
        store.delete(["r00", "missing", "r00"]),
        store.delete(some, where={"s": "s1"}),
        store.delete(where={"n": 6, "b": True}),
        store.delete([]),
    ]
    found["left"] = [record.id for record in store.scan()]
    found["nearest of what is left"] = store.query(queries[1], 10)[0]
    return found


def _filtered(store: VectorStore, queries: Any, where: Any) -> Answers:
    asked: dict[str, Callable[[], Any]] = {
        "count": lambda: store.count(where),
        "scan": lambda: list(store.scan(where, include_vectors=True)),
        "scan by number": lambda: _ids(store.scan(where, order_by="f", descending=True, limit=9)),
        "scan by string": lambda: _ids(store.scan(where, order_by="s")),
    }
    found = {f"{question} {where}": ask() for question, ask in asked.items()}
    for k in (1, 12, 200):
        for number, hits in enumerate(store.query(queries, k, where=where)):
            found[f"nearest {k} of query {number} {where}"] = hits
    return found


def _ids(records: Any) -> Sequence[str]:
    return [record.id for record in records]

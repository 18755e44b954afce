"""The exact store: what every vector store owes, and what the local engine promises beyond it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from ctxkit_conformance import QuickVectorStoreContract

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import ConfigError, InvalidQueryError, StoreClosedError
from ctxkit.interfaces import CollectionSpec, VectorStore
from ctxkit.records import Metric, Record, RecordBatch


class Promises:
    """What the engine promises beyond the contract; `store` is a fresh three-dimensional cosine store."""

    durable: ClassVar[bool]

    @pytest.fixture
    def config(self, tmp_path: Path) -> ExactConfig:
        """Where this test's collections live."""
        return ExactConfig(path=tmp_path if self.durable else None)

    def open(self, config: ExactConfig, metric: Metric = "cosine", dimension: int = 3) -> ExactStore:
        """Open a collection."""
        return ExactStore.open(CollectionSpec(name="c", dimension=dimension, metric=metric), config)

    @pytest.fixture
    def store(self, config: ExactConfig) -> Iterator[ExactStore]:
        """A fresh store."""
        with self.open(config) as opened:
            yield opened

    def test_empty_batches_are_no_write(self, store: VectorStore) -> None:
        """Empty input does not even raise the sequence number."""
        store.upsert([])
        store.upsert(RecordBatch([]))
        assert store.delete([]) == 0
        assert store.stats().details["seq"] == store.version() == 0

    def test_metadata_keeps_the_order_of_its_keys(self, store: VectorStore) -> None:
        """What is shown to a person stays in the order in which it was written."""
        store.upsert([Record("a", "", None, {"z": 1, "a": 2, "é": 3, "m": 4})])
        found = store.get(["a"])[0]
        assert found is not None
        assert list(found.metadata) == ["z", "a", "é", "m"]

    def test_many_ties_beyond_every_candidate(self, store: VectorStore) -> None:
        """A tie group larger than the engine is ready to re-score is still cut by id."""
        count = 17_000
        store.upsert(RecordBatch([f"{i:05d}" for i in range(count, 0, -1)], np.ones((count, 3))))
        assert store.query([1, 1, 1], 3)[0].ids == ["00001", "00002", "00003"]
        assert store.query([1, 1, 1], 2, where={"$not": {"x": 1}})[0].ids == ["00001", "00002"]

    def test_near_ties_below_float32(self, config: ExactConfig) -> None:
        """Order follows the float64 score even where float32 sees a tie."""
        with self.open(config, "l2") as store:
            base = 1000.0
            steps = np.arange(200, dtype=np.float32) * np.float32(2**-13)
            order = np.random.default_rng(3).permutation(200)
            vectors = np.stack([np.full(200, base), base + steps, np.zeros(200)], axis=1)[order]
            store.upsert(RecordBatch([f"{i:03d}" for i in order], vectors))
            assert store.query([base, base, 0], 10)[0].ids == [f"{i:03d}" for i in range(10)]

    def test_batch_equals_one_by_one_to_the_last_bit(self, config: ExactConfig) -> None:
        """n queries at once give the very scores that each gives alone, and a smaller k their beginning."""
        rng = np.random.default_rng(4)
        with self.open(config, "dot", 24) as store:
            metadata = [{"i": i} for i in range(400)]
            store.upsert(RecordBatch([str(i) for i in range(400)], rng.normal(size=(400, 24)), None, metadata))
            queries = rng.normal(size=(150, 24))
            for where in (None, {"i": {"$lt": 350}}, {"i": {"$lt": 40}}):
                together = store.query(queries, 7, where=where)
                for query, hits in zip(queries[::10], together[::10], strict=True):
                    alone = store.query(query, 12, where=where)[0]
                    assert alone.ids[:7] == hits.ids
                    assert list(alone.scores[:7]) == list(hits.scores)

    def test_columns_are_bounded(self, store: VectorStore) -> None:
        """The number of columns in memory is bounded; a field that lost its column gets it again."""
        store.upsert([Record("a", "", None, {f"f{i}": i for i in range(100)})])
        for _ in range(2):
            assert [store.count({f"f{i}": i}) for i in range(100)] == [1] * 100
        assert len(store.stats().details["columns"]) <= 64
        assert store.count({"$and": [{f"f{i}": i} for i in range(100)]}) == 1

    def test_scan_order_of_every_type(self, store: VectorStore) -> None:
        """Bools and lists in the field count as records without it; ranges filter an ordered scan."""
        values: dict[str, object] = {
            "s2": "b",
            "n2": 2,
            "n1b": 1.0,
            "n1a": 1,
            "s1": "a",
            "flag": True,
            "list": [1],
            "big": 2**60 + 1,
        }
        store.upsert([Record(name, "", None, {"v": value}) for name, value in values.items()])
        store.upsert([Record("big.", "", None, {"v": 2.0**60}), Record("none", "")])
        up = ["n1a", "n1b", "n2", "big.", "big", "s1", "s2", "flag", "list", "none"]
        down = ["s2", "s1", "big", "big.", "n2", "n1a", "n1b", "flag", "list", "none"]
        assert [r.id for r in store.scan(order_by="v")] == up
        assert [r.id for r in store.scan(order_by="v", descending=True)] == down
        for limit in range(11):
            assert [r.id for r in store.scan(order_by="v", limit=limit)] == up[:limit]
            assert [r.id for r in store.scan(order_by="v", descending=True, limit=limit)] == down[:limit]
        assert [r.id for r in store.scan({"v": {"$gte": 2}}, order_by="v", limit=2)] == ["n2", "big."]

    def test_scan_plain(self, store: VectorStore) -> None:
        """Without order_by a scan goes in the order of writing, both ways."""
        store.upsert([Record(f"r{i}", "", [1, i, 0]) for i in range(600)])
        assert [r.id for r in store.scan()] == [f"r{i}" for i in range(600)]
        assert [r.id for r in store.scan(descending=True, limit=2)] == ["r599", "r598"]

    def test_scan_under_concurrent_writes(self, store: VectorStore) -> None:
        """A record that was rewritten comes if it still passes; deleted ones do not come, nor do new ones."""
        store.upsert([Record(f"r{i:04d}", "", None, {"keep": True}) for i in range(1000)])
        seen = []
        for record in store.scan({"keep": True}):
            seen.append(record.id)
            if len(seen) == 300:
                store.upsert([Record(f"r{i:04d}", "new", None, {"keep": True}) for i in range(0, 1000, 3)])
                store.upsert([Record(f"r{i:04d}", "gone", None, {"keep": False}) for i in range(901, 1000, 3)])
                store.delete([f"r{i:04d}" for i in range(902, 1000, 3)])
                store.upsert([Record(f"new{i}", "", None, {"keep": True}) for i in range(50)])
        assert seen == [f"r{i:04d}" for i in range(1000) if i < 900 or i % 3 == 0]

    def test_scan_refuses_before_the_first_record(self, store: VectorStore) -> None:
        """A scan with bad arguments raises when it is asked for, not when it is read."""
        for options in ({"limit": -1}, {"limit": 1.5}, {"limit": True}, {"order_by": ""}, {"order_by": 3}):
            with pytest.raises(InvalidQueryError):
                store.scan(**options)

    def test_words_are_stemmed_and_cut(self, store: VectorStore) -> None:
        """Words are stemmed, accents folded, CJK found by part; scores are positive, ties by id."""
        store.upsert(
            [
                Record("run", "The runner was running quickly"),
                Record("café", "Un CAFÉ noir"),
                Record("zh", "今天天气很好。我们去公园"),
                Record("ja", "東京タワーに行きました"),
                Record("ko", "한국어를 공부합니다"),
                Record("rare", "𠀀𠀁 extension b"),
                Record("nul", "left\0right"),
                Record("b", "same words here"),
                Record("a", "same words here"),
            ]
        )
        expected = {
            "runs": ["run"],
            "cafe": ["café"],
            "天气": ["zh"],
            "好": ["zh"],
            "园": ["zh"],
            "タワー": ["ja"],
            "공부": ["ko"],
            "𠀀𠀁": ["rare"],
            "right": ["nul"],
            "same": ["a", "b"],
            'words" OR "x* NEAR(': ["a", "b"],
            "": [],
            "?!* \0 ()": [],
            "\ud800": [],
            "absent": [],
        }
        assert {text: store.text_query(text, 5).ids for text in expected} == expected
        hits = store.text_query("same running", 9)
        assert sorted(hits.ids) == ["a", "b", "run"]
        assert (hits.scores > 0).all()

    def test_text_query_walks_by_ranges(self, store: VectorStore) -> None:
        """The filter is applied while walking the ranking: strict ones still give k hits, ties by id."""
        store.upsert([Record(f"r{i:03d}", "common word", None, {"i": i}) for i in range(700)])
        assert store.text_query("common", 3, where={"i": {"$gte": 650}}).ids == ["r650", "r651", "r652"]
        store.delete([f"r{i:03d}" for i in range(695)])
        assert store.text_query("word", 9).ids == [f"r{i}" for i in range(695, 700)]

    def test_closed_while_it_is_scanned(self, config: ExactConfig) -> None:
        """A scan that is under way ends with StoreClosedError; a new one does not begin; repr says so."""
        store = self.open(config)
        store.upsert([Record(str(i)) for i in range(300)])
        assert not repr(store).endswith(", closed)")
        pages = store.scan()
        next(pages)
        store.close()
        with pytest.raises(StoreClosedError):
            list(pages)
        with pytest.raises(StoreClosedError):
            store.scan()
        assert repr(store).endswith(", closed)")

    def test_optimize_leaves_no_tombstones(self, store: VectorStore) -> None:
        """optimize makes the index anew, and stats say where the bytes are."""
        rng = np.random.default_rng(5)
        store.upsert(RecordBatch([str(i) for i in range(3000)], rng.normal(size=(3000, 3)), ["text"] * 3000))
        store.delete([str(i) for i in range(0, 3000, 2)])
        store.optimize()
        stats = store.stats()
        assert (stats.rows, stats.vectors, stats.details["tombstones"]) == (1500, 1500, 0)
        assert stats.bytes_in_memory is not None
        assert stats.bytes_in_memory > 1500 * 12
        assert (stats.bytes_on_disk is not None) == self.durable

    def test_memory_promises_less(self, store: VectorStore) -> None:
        """Without a directory nothing is promised to stay, nor to be shared."""
        assert store.capabilities.persistent is store.capabilities.crash_safe is self.durable
        assert store.capabilities.concurrency == ("multi-writer" if self.durable else "single-process")

    def test_no_index_options(self, config: ExactConfig) -> None:
        """Options that other indexes know would change nothing here, so they are errors."""
        with pytest.raises(ConfigError):
            ExactStore.open(CollectionSpec(dimension=3, index_options={"m": 16}), config)

    def test_a_long_life_piles_up_no_tombstones(self, store: VectorStore) -> None:
        """Replacing the same records over and over stays within bounds."""
        for round_ in range(12):
            store.upsert(RecordBatch([str(i) for i in range(400)], np.full((400, 3), round_ + 1.0)))
        assert store.count() == 400
        assert store.stats().details["tombstones"] < 2000


class TestPromisesInMemory(Promises):
    """The engine without a path."""

    durable = False


class TestPromisesDurable(Promises):
    """The engine in a directory."""

    durable = True


class TestExactInMemory(QuickVectorStoreContract):
    """The exact store without a path; its scores are those of float64."""

    store_class = ExactStore
    relative_tolerance = 1e-9
    absolute_tolerance = 1e-12

    def make_config(self, folder: Path) -> ExactConfig:  # noqa: ARG002 - nothing is kept anywhere
        """Return a configuration without a path."""
        return ExactConfig()


class TestExactDurable(QuickVectorStoreContract):
    """The exact store in a directory."""

    store_class = ExactStore
    relative_tolerance = 1e-9
    absolute_tolerance = 1e-12

    def make_config(self, folder: Path) -> ExactConfig:
        """Return a configuration for the folder."""
        return ExactConfig(path=folder)

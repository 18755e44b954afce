"""Checks of records: what goes in comes out, whole, exactly, and independent of the caller's objects."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from ctxkit.errors import InvalidFilterError, InvalidQueryError, InvalidRecordError
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec, VectorStore
from ctxkit.records import Metric, Record, RecordBatch
from ctxkit_conformance.marks import covers
from ctxkit_conformance.stores import clauses
from ctxkit_conformance.stores.base import METRICS, StoreChecks, fill, found_by_words, ids_of

# Values that other storage formats round, widen, shorten or retype.
VALUES = {
    "one": 1,
    "real": 1.0,
    "yes": True,
    "no": False,
    "big": 2**63 - 1,
    "least": -(2**63),
    "tiny": 5e-324,
    "e": 1e22,
    "n": "a\0b",
    "empty": "",
    "long": "é" * 30_000,
}
LISTS = {
    "ints": [1, 2],
    "reals": [1.0, 2.5],
    "flags": [True, False],
    "words": ["x", ""],
    "single": ["x"],
    "again": ["b", "a", "b"],
}
# Pairs that case folding, normalisation, trimming or a number's value would make one, and the longest there are.
IDS = [
    *("A", "a", "a ", "a\0", "é", "e\u0301", " ", "\0", "1", "01"),
    *("x" * 512, "é" * 256, "日本", "\U0001f600", "'; DROP TABLE records; --"),
]
TEXTS = [
    *("", "\0", "a\0b", "line\n", " padded ", "a\r\nb", "e\u0301", "\U0001f469\u200d\U0001f680", "ß", "ﬁ"),
    *("x" * 70_000, "'\"", "$", "\ufeff", "'; DROP TABLE records; --"),
]
# Names that backends use for columns of their own, or take for a path, a place, or another name.
KEYS = ["id", "_id", "text", "vector", "metadata", "score", "Key", "key", "a.b", "a b", "0", "é", "e\u0301", "k" * 300]


class RecordChecks(StoreChecks):
    """Round trips, replacement, deletion, atomic batches, aliasing."""

    tier = "T1"
    faces = ("sync", "async")

    @covers(clauses.GET, clauses.LAW_OF_K)
    def test_empty_store_answers(self, store: VectorStore) -> None:
        """A failure means that an application has to know whether anything was written before it may ask."""
        assert store.count() == 0
        assert store.get(["a"]) == [None]
        assert list(store.scan()) == []
        assert [list(hits) for hits in store.query([1, 0, 0], 3)] == [[]]
        assert found_by_words(store, "word") == []
        assert store.delete(["a"]) == 0
        assert store.health().ok

    @covers(clauses.IDS, clauses.TEXT, clauses.VECTORS, clauses.METADATA)
    def test_values_survive(self, store: VectorStore) -> None:
        """A failure means that ids, text, vectors or metadata come back changed, or 1, 1.0 and True become one."""
        records = [
            Record(record_id, text, [i + 1.0, 1e-40, -1e30], {**VALUES, **LISTS, "i": i, '"q\\': "é"})
            for i, (record_id, text) in enumerate(zip(IDS, TEXTS, strict=True))
        ]
        store.upsert(records)
        found = store.get(IDS, include_vectors=True)
        assert [record and record.id for record in found] == IDS
        assert [record and record.text for record in found] == TEXTS
        for got, given in zip(found, records, strict=True):
            assert got is not None
            assert got == Record(given.id, given.text, np.array(given.vector, dtype=np.float32), given.metadata)
        assert store.count() == len(IDS)
        assert store.delete([IDS[0]]) == 1
        assert store.get(IDS[:2])[0] is None, "ids are compared without regard to case"
        assert store.get(IDS[:2])[1] is not None

    @covers(clauses.METADATA, clauses.FIELD_NAMES)
    def test_every_key_is_the_callers(self, store: VectorStore) -> None:
        """A failure means that a field is lost, or overwrites the text, because the backend uses its name itself."""
        metadata = {key: i for i, key in enumerate(KEYS)}
        store.upsert([Record("a", "words", [1, 2, 3], metadata), Record("b", "words", [1, 2, 3])])
        assert store.get(["a"], include_vectors=True) == [Record("a", "words", [1, 2, 3], metadata)]
        hit = store.query([1, 2, 3], 1)[0][0]
        assert (hit.id, hit.text, hit.metadata) == ("a", "words", metadata)
        assert {key: store.count({key: i}) for key, i in metadata.items()} == dict.fromkeys(KEYS, 1)

    @covers(clauses.METADATA)
    def test_a_field_may_change_its_type(self, store: VectorStore) -> None:
        """A failure means that the first batch fixes the type of a field, and what differs is converted or dropped."""
        values = [1, "1", 1.0, True, ["1"], "text"]
        for i, value in enumerate(values):
            store.upsert([Record(str(i), "", [1, 0, 0], {"v": value, f"only{i}": value})])
        expected = [Record(str(i), "", None, {"v": value, f"only{i}": value}) for i, value in enumerate(values)]
        assert store.get([str(i) for i in range(len(values))]) == expected

    @covers(clauses.METADATA)
    def test_numpy_scalars_become_pythons(self, store: VectorStore) -> None:
        """A failure means that metadata computed with numpy is refused, or comes back as another type."""
        given = {"i": np.int64(7), "f": np.float32(0.5), "b": np.bool_(1), "d": np.float64(1.5), "l": [np.int32(1)]}
        store.upsert([Record("a", "", [1, 0, 0], given)])
        assert store.get(["a"]) == [Record("a", "", None, {"i": 7, "f": 0.5, "b": True, "d": 1.5, "l": [1]})]

    @covers(clauses.GET)
    def test_get_is_aligned(self, store: VectorStore) -> None:
        """A failure means that a caller pairs an id with another id's record."""
        store.upsert([Record("a", "A", [1, 0, 0]), Record("b", "B", [0, 1, 0])])
        assert [r and r.text for r in store.get(["b", "x", "a", "b", ""])] == ["B", None, "A", "B", None]
        assert store.get([]) == []
        assert store.get(["a"])[0] == Record("a", "A")

    @covers(clauses.GET)
    def test_get_many(self, store: VectorStore) -> None:
        """A failure means that reading more ids than one request of the backend takes loses or shuffles records."""
        ids = [f"r{i}" for i in range(1500)]
        fill(store, RecordBatch(ids, np.ones((1500, 3))))
        assert [r and r.id for r in store.get(ids[::-1])] == ids[::-1]

    @covers(clauses.UPSERT)
    def test_upsert_replaces_the_whole_record(self, store: VectorStore) -> None:
        """A failure means that a corrected record keeps parts of the wrong one: text, vector or metadata."""
        store.upsert([Record("a", "ancient words", [1, 0, 0], {"k": 1, "old": True})])
        assert store.count({"k": 1}) == 1
        store.upsert([Record("a", "modern", [0, 1, 0], {"k": 2})])
        assert store.get(["a"], include_vectors=True) == [Record("a", "modern", [0, 1, 0], {"k": 2})]
        assert found_by_words(store, "ancient") == []
        assert (store.count({"k": 1}), store.count({"k": 2}), store.count({"old": True})) == (0, 1, 0)
        hit = store.query([0, 1, 0], 5)[0][0]
        assert (hit.id, hit.text, hit.metadata) == ("a", "modern", {"k": 2})
        store.upsert([Record("a", "", [0, 0, 1])])
        assert store.get(["a"], include_vectors=True) == [Record("a", "", [0, 0, 1])]
        assert store.count() == 1

    @covers(clauses.OPTIONAL_VECTORS)
    def test_records_without_vectors(self, store: VectorStore) -> None:
        """A failure means that text whose embedding failed is lost, or accepted and then never found again.

        Where `optional_vectors` is not declared, such a record breaks the value rules of the store: the batch raises
        InvalidRecordError, as `ctxkit.records.normalize_batch` does.
        """
        if not store.capabilities.optional_vectors:
            for bad in (Record("b", "text", None), Record("c", "text")):
                with pytest.raises(InvalidRecordError):
                    store.upsert([Record("a", "text", [1, 0, 0]), bad])
            assert store.count() == 0
            return
        store.upsert([Record("a", "first", [1, 0, 0], {"k": 1}), Record("b", "second", None, {"k": 1})])
        assert store.get(["b"], include_vectors=True) == [Record("b", "second", None, {"k": 1})]
        assert (store.count(), store.count({"k": 1}), ids_of(store.scan())) == (2, 2, ["a", "b"])
        assert store.query([1, 0, 0], 5)[0].ids == ["a"]
        assert found_by_words(store, "second") == ([] if store.capabilities.text_search is None else ["b"])
        store.upsert([Record("a", "modern", None, {"k": 2})])
        assert store.get(["a"], include_vectors=True) == [Record("a", "modern", None, {"k": 2})]
        assert len(store.query([1, 0, 0], 5)[0]) == 0
        store.upsert([Record("a", "modern", [0, 1, 0])])
        assert store.query([0, 1, 0], 5)[0].ids == ["a"]
        assert store.delete(["b"]) == 1

    @covers(clauses.OPTIONAL_VECTORS)
    def test_columns_without_some_vectors(self, store: VectorStore) -> None:
        """A failure means that the filler of a missing row in a batch of columns is stored, or refused, as a vector."""
        vectors = np.array([[1, 0, 0], [math.nan] * 3], dtype=np.float32)
        batch = RecordBatch(["a", "b"], vectors, ["A", "B"], present=np.array([True, False]))
        if not store.capabilities.optional_vectors:
            with pytest.raises(InvalidRecordError):
                store.upsert(batch)
            return
        store.upsert(batch)
        assert store.get(["a", "b"], include_vectors=True) == [Record("a", "A", [1, 0, 0]), Record("b", "B")]
        assert store.query([1, 0, 0], 5)[0].ids == ["a"]

    @covers(clauses.ATOMIC)
    def test_columns_of_unequal_length_are_refused(self, store: VectorStore) -> None:
        """A failure means that a slip of one row shifts texts to other vectors, or drops the last records silently."""
        for columns in (
            RecordBatch(["a", "b"], np.ones((1, 3))),
            RecordBatch(["a"], np.ones((2, 3))),
            RecordBatch(["a", "b"], np.ones((2, 3)), ["A"]),
            RecordBatch(["a", "b"], np.ones((2, 3)), None, [{}, {}, {}]),
        ):
            with pytest.raises(InvalidRecordError):
                store.upsert(columns)
        assert store.count() == 0

    @pytest.mark.parametrize(
        "bad",
        [
            Record("", "t", [1, 0, 0]),
            Record("x" * 513, "t", [1, 0, 0]),
            Record("é" * 257, "t", [1, 0, 0]),
            Record("\ud800", "t", [1, 0, 0]),
            Record("b", "\ud800", [1, 0, 0]),
            Record("b", "t", [1, 0]),
            Record("b", "t", [1, 0, 0, 0]),
            Record("b", "t", [1, math.nan, 0]),
            Record("b", "t", [1, math.inf, 0]),
            Record("b", "t", [3e38, 3e38, 3e38]),
            Record("b", "t", [1e300, 0, 0]),
            Record("b", "t", np.array(["x", "0", "0"])),
            Record("b", "t", [1, 0, 0], {"k": None}),
            Record("b", "t", [1, 0, 0], {"k": math.nan}),
            Record("b", "t", [1, 0, 0], {"k": []}),
            Record("b", "t", [1, 0, 0], {"k": [1, "a"]}),
            Record("b", "t", [1, 0, 0], {"k": {"nested": 1}}),
            Record("b", "t", [1, 0, 0], {"k": 2**63}),
            Record("b", "t", [1, 0, 0], {"$k": 1}),
            Record("b", "t", [1, 0, 0], {"": 1}),
            Record("a", "again", [1, 0, 0]),
        ],
    )
    @covers(clauses.ATOMIC)
    def test_one_bad_record_writes_nothing(self, store: VectorStore, bad: Record) -> None:
        """A failure means that a refused batch is half written, or that a value is stored which cannot come back."""
        store.upsert([Record("old", "old", [1, 0, 0])])
        with pytest.raises(InvalidRecordError):
            store.upsert([Record("a", "fine", [1, 0, 0]), bad])
        assert ids_of(store.scan()) == ["old"]

    @pytest.mark.parametrize("metric", METRICS)
    @covers(clauses.VECTORS)
    def test_zero_vectors(self, config: BackendConfig, declared: Capabilities, metric: Metric) -> None:
        """A failure means scores of NaN under cosine, or vectors refused that the other metrics can compare."""
        if self.refuses_metric(config, declared, metric):
            return
        with self.open(config, metric) as store:
            store.upsert([Record("old", "old", [1, 0, 0])])
            batch = [Record("a", "fine", [1, 0, 0]), Record("b", "t", [0, 0, 0])]
            if metric == "cosine":
                with pytest.raises(InvalidRecordError):
                    store.upsert(batch)
                assert ids_of(store.scan()) == ["old"]
            else:
                store.upsert(batch)
                assert store.get(["b"], include_vectors=True) == [Record("b", "t", [0, 0, 0])]

    @covers(clauses.CAPABILITIES, clauses.ATOMIC)
    def test_batch_limit(self, store: VectorStore) -> None:
        """A failure means that a large import breaks with an error that does not tell how to split it."""
        limit = store.capabilities.max_batch
        size = 5000 if limit is None else limit + 1
        batch = RecordBatch([f"r{i}" for i in range(size)], np.ones((size, 3)))
        if limit is None:
            store.upsert(batch)
            assert store.count() == size
            return
        with pytest.raises(InvalidRecordError, match=str(limit)):
            store.upsert(batch)
        assert store.count() == 0
        fill(store, batch)
        assert store.count() == size

    @covers(clauses.ATOMIC)
    def test_empty_batches_do_nothing(self, store: VectorStore) -> None:
        """A failure means that every caller has to guard against lists that happen to be empty."""
        store.upsert([Record("a", "", [1, 0, 0])])
        store.upsert([])
        store.upsert(RecordBatch([]))
        assert store.delete([]) == 0
        assert store.query(np.zeros((0, 3)), 2) == []
        assert store.query([], 2) == []
        assert ids_of(store.scan()) == ["a"]

    @covers(clauses.NO_ALIASING)
    def test_input_is_never_changed_nor_shared(self, store: VectorStore) -> None:
        """A failure means that an application changes stored data, or sees its own change, by touching a variable."""
        vectors = np.diag([2.0, 3.0, 4.0]).astype(np.float32)
        metadata = [{"l": [1]}, {"l": [2]}, {"l": [3]}]
        store.upsert(RecordBatch(["a", "b", "c"], vectors, ["x", "y", "z"], metadata))
        assert vectors.tolist() == np.diag([2.0, 3.0, 4.0]).tolist(), "the array of a batch was changed"
        assert metadata == [{"l": [1]}, {"l": [2]}, {"l": [3]}], "the metadata of a batch was changed"
        asked, wanted, where = np.array([[3, 0, 0]], dtype=np.float32), ["c", "a"], {"l": [3]}
        store.query(asked, 1, where=where)
        store.get(wanted)
        store.delete(["nobody", "a"], where={"l": [9]})
        assert asked.tolist() == [[3.0, 0.0, 0.0]], "the array of a query was changed"
        assert (wanted, where) == (["c", "a"], {"l": [3]}), "the arguments of a read were changed"
        vectors[:] = 7
        metadata[0]["l"].append(9)
        got = store.get(["a"], include_vectors=True)[0]
        assert got is not None
        _scribble(np.asarray(got.vector))
        got.metadata["l"].append(1)
        hit = store.query([1, 0, 0], 1, include_vectors=True)[0][0]
        assert hit.metadata == {"l": [1]}
        assert hit.vector is not None
        _scribble(hit.vector)
        for record in store.scan(include_vectors=True):
            _scribble(np.asarray(record.vector))
            record.metadata["l"].append(1)
        assert store.get(["a"], include_vectors=True) == [Record("a", "x", [2.0, 0.0, 0.0], {"l": [1]})]

    @covers(clauses.DELETE)
    def test_delete_by_ids_by_filter_and_by_both(self, store: VectorStore, bare: list[float] | None) -> None:
        """A failure means that too much is deleted, or that the count of what is gone is wrong."""
        parts = ["first", "low", "low", "mid", "mid", "x", "mid", "mid", "last", "last"]
        store.upsert([Record(f"r{i}", "", bare, {"part": part}) for i, part in enumerate(parts)])
        assert store.delete(["r0", "r0", "nobody"]) == 1
        assert store.delete(where={"part": "last"}) == 2
        assert store.delete(["r1", "r2", "r3"], where={"part": "low"}) == 2
        assert store.delete(["r5"], where={"part": "none"}) == 0
        assert store.delete([], where={"part": "x"}) == 0
        assert ids_of(store.scan()) == ["r3", "r4", "r5", "r6", "r7"]
        assert store.delete(["r3"]) == 1
        assert store.delete(["r3"]) == 0
        store.upsert([Record("r3", "again", bare)])
        assert [r and r.text for r in store.get(["r3"])] == ["again"]

    @covers(clauses.DELETE)
    def test_delete_many(self, store: VectorStore) -> None:
        """A failure means that a deletion ends with the first page of what it should delete."""
        ids = [f"r{i}" for i in range(2400)]
        fill(store, RecordBatch(ids, np.ones((2400, 3)), None, [{"odd": i % 2 == 1} for i in range(2400)]))
        assert store.delete(where={"odd": True}) == 1200
        assert store.count() == 1200
        assert store.delete(ids) == 1200
        assert ids_of(store.scan()) == []

    @covers(clauses.DELETE, clauses.LAW_OF_K)
    def test_an_emptied_store_works_again(self, store: VectorStore) -> None:
        """A failure means that the last record cannot be deleted, or that nothing can be found after it was."""
        for name in ("a", "b"):
            store.upsert([Record(name, "word", [1, 0, 0], {"k": 1})])
            assert store.query([1, 0, 0], 3)[0].ids == [name]
            assert store.delete([name]) == 1
            assert store.query([1, 0, 0], 3)[0].ids == []
            assert (store.count(), store.count({"k": 1}), ids_of(store.scan())) == (0, 0, [])
            assert found_by_words(store, "word") == []

    @covers(clauses.DELETE, clauses.MALFORMED_FILTERS)
    def test_bad_reads_and_deletes_are_refused(self, store: VectorStore) -> None:
        """A failure means that a slip - one id for a list, an empty filter - reads nonsense or deletes everything."""
        store.upsert([Record("a", "", [1, 0, 0])])
        with pytest.raises(InvalidQueryError):
            store.get("abc")
        with pytest.raises(InvalidQueryError):
            store.get([1])  # type: ignore[list-item]
        with pytest.raises(InvalidQueryError):
            store.delete("a")
        with pytest.raises(InvalidQueryError):
            store.delete()
        with pytest.raises(InvalidFilterError):
            store.delete(where={})
        with pytest.raises(InvalidFilterError):
            store.delete(["a"], where={})
        assert store.count() == 1

    @covers(clauses.METADATA)
    def test_declared_fields(self, config: BackendConfig, metric: Metric) -> None:
        """A failure means that a field declared as a number fills with text, and filters miss those records."""
        spec = CollectionSpec(
            name="typed",
            dimension=3,
            metric=metric,
            fields={"n": "int", "x": "number", "s": "str", "f": "float", "b": "bool", "l": "list"},
        )
        with self.open_spec(spec, config) as store:
            store.upsert([Record("a", "", [1, 0, 0], {"n": 1, "x": 1.5, "s": "s", "f": 0.5, "free": True})])
            for bad in ({"n": 1.0}, {"n": True}, {"x": "1"}, {"s": 1}, {"f": 1}, {"s": ["s"]}, {"b": 1}, {"l": "s"}):
                with pytest.raises(InvalidRecordError):
                    store.upsert([Record("b", "", [1, 0, 0], bad)])
            assert store.count({"n": 1, "x": 1.5}) == 1
            assert store.count() == 1

    @covers(clauses.UPSERT, clauses.LAW_OF_K)
    def test_a_long_life(self, store: VectorStore) -> None:
        """A failure means that replacing the same records over and over piles up old versions that are found."""
        ids = [str(i) for i in range(400)]
        for round_ in range(12):
            fill(store, RecordBatch(ids, np.full((400, 3), round_ + 1.0), [f"round number{round_}"] * 400))
        assert store.count() == 400
        assert len(store.query([1, 1, 1], 500)[0]) == 400
        assert found_by_words(store, "number10", 500) == []
        if store.capabilities.text_search is not None:
            assert len(store.text_query("number11", 500)) == 400
        assert store.health().ok


def _scribble(array: npt.NDArray[np.float32]) -> None:
    """Overwrite an array that a store returned; a read-only one needs no test."""
    if array.flags.writeable:
        array[:] = 5

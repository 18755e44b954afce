"""The value rules of records: what is accepted, what is refused, what comes out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxkit.errors import InvalidQueryError, InvalidRecordError
from ctxkit.records import (
    MAX_ID_BYTES,
    Hit,
    Hits,
    Record,
    RecordBatch,
    check_id,
    check_k,
    check_metadata,
    check_text,
    check_vectors,
    normalize_batch,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.one_of(
    TEXT, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False)
)
LISTS = st.one_of(
    st.lists(TEXT, min_size=1),
    st.lists(st.booleans(), min_size=1),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1),
)
METADATA = st.dictionaries(
    TEXT.filter(lambda key: key != "" and not key.startswith("$")), st.one_of(SCALARS, LISTS), max_size=5
)


@given(TEXT.filter(lambda text: 0 < len(text.encode()) <= MAX_ID_BYTES))
def test_ids_are_kept(record_id: str) -> None:
    """Any non-empty text of up to 512 bytes is an id, unchanged."""
    assert check_id(record_id) == record_id


@pytest.mark.parametrize("record_id", ["x" * 512, "é" * 256, "\U0001f600" * 128, "\0"])
def test_longest_ids(record_id: str) -> None:
    """The limit counts bytes of UTF-8, and 512 of them fit."""
    assert check_id(record_id) == record_id
    if len(record_id) > 1:
        with pytest.raises(InvalidRecordError, match="512"):
            check_id(record_id + "x")


@pytest.mark.parametrize("record_id", ["", "\ud800", "a\udfff", "é" * 257, 1, None, b"a", ["a"]])
def test_bad_ids(record_id: object) -> None:
    """Empty, too long, with a lone surrogate, or no str at all: refused."""
    with pytest.raises(InvalidRecordError, match="id"):
        check_id(record_id)


@given(TEXT)
def test_texts_are_kept(text: str) -> None:
    """Any text is a text, empty and NUL included."""
    assert check_text(text) == text


@pytest.mark.parametrize("text", ["\ud800", "fine \udc00", None, 5, b"bytes"])
def test_bad_texts(text: object) -> None:
    """Lone surrogates and other types are refused, naming the record."""
    with pytest.raises(InvalidRecordError, match="'the-id'"):
        check_text(text, record_id="the-id")


class Named(str):
    """A str of another class."""

    __slots__ = ()


@given(METADATA)
def test_metadata_keeps_types(metadata: dict[str, Any]) -> None:
    """Every allowed value comes out equal and of its own type, in a dict of its own."""
    checked = check_metadata(metadata)
    assert Record("a", metadata=checked) == Record("a", metadata=metadata)
    assert list(checked) == list(metadata)
    assert checked is not metadata
    assert not any(checked[key] is value for key, value in metadata.items() if isinstance(value, list))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int8(-3), -3),
        (np.uint64(5), 5),
        (np.float32(0.5), 0.5),
        (np.float64(2.0), 2.0),
        (np.bool_(True), True),  # noqa: FBT003 - the value under test
        (np.str_("s"), "s"),
        ((1, 2), [1, 2]),
        ([np.int64(1), 2], [1, 2]),
        (Named("x"), "x"),
        ([Named("x")], ["x"]),
        (-0.0, -0.0),
        ("é", "é"),
    ],
)
def test_metadata_becomes_plain_python(value: object, expected: object) -> None:
    """numpy scalars, tuples and subclasses become plain Python values."""
    got = check_metadata({"k": value})["k"]
    assert got == expected
    assert type(got) is type(expected)
    if isinstance(got, list) and isinstance(expected, list):
        assert {type(item) for item in got} == {type(item) for item in expected}


@pytest.mark.parametrize(
    "value",
    [
        *(None, math.nan, math.inf, -math.inf, 2**63, -(2**63) - 1),
        *([], (), [1, "a"], [1, 1.0], [True, 1], [None], [[1]]),
        {"a": 1},
        {1},
        b"x",
        1j,
        object(),
        np.float64("nan"),
        np.array([1]),
        "\ud800",
        ["\ud800"],
        np.datetime64(0, "s"),
    ],
)
def test_bad_metadata_values(value: object) -> None:
    """None, NaN, nested, mixed, empty and foreign values are refused, naming record and key."""
    with pytest.raises(InvalidRecordError, match=r"'the-id'.*'key'"):
        check_metadata({"key": value}, record_id="the-id")


@pytest.mark.parametrize("key", ["", "$k", 1, None, "\ud800", ("a",)])
def test_bad_metadata_keys(key: object) -> None:
    """Keys are non-empty str without `$` in front."""
    with pytest.raises(InvalidRecordError, match="key"):
        check_metadata({key: 1})


@pytest.mark.parametrize("metadata", [None, [], "text", 5, [("a", 1)]])
def test_metadata_is_a_mapping(metadata: object) -> None:
    """Anything but a mapping is refused."""
    with pytest.raises(InvalidRecordError, match="not a mapping"):
        check_metadata(metadata)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("str", ["", "x"], [1, True, ["x"]]),
        ("bool", [True, False], [0, 1, "True"]),
        ("int", [0, -5], [1.0, True, "1"]),
        ("float", [0.5, 1.0], [1, True, "1"]),
        ("number", [1, 1.5], [True, "1", [1]]),
        ("list", [[1], ["a"]], [1, "a", True]),
    ],
)
def test_declared_fields(kind: Any, good: list[object], bad: list[object]) -> None:
    """A declared field takes its type only; leaving it out is fine."""
    for value in good:
        assert check_metadata({"f": value}, fields={"f": kind}) == {"f": value}
    assert check_metadata({}, fields={"f": kind}) == {}
    for value in bad:
        with pytest.raises(InvalidRecordError, match=f"declared as {kind}"):
            check_metadata({"f": value}, fields={"f": kind})


@pytest.mark.parametrize("dtype", ["f4", ">f4", "f8", "f2", "i1", "i8", "u2"])
def test_vectors_become_float32(dtype: str) -> None:
    """Every real dtype gives a new C-contiguous float32 array."""
    given_ = np.array([[1, 2], [3, 4]], dtype=dtype)[:, ::-1]
    given_.setflags(write=False)
    got = check_vectors(given_, 2, "cosine")
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    assert got.flags.owndata
    assert got.tolist() == [[2, 1], [4, 3]]


def test_subnormals_are_kept() -> None:
    """The smallest float32 is a direction as well."""
    tiny = np.float32(1e-45)
    assert check_vectors([[tiny, 0]], 2, "cosine")[0, 0] == tiny > 0


@pytest.mark.parametrize(
    ("vectors", "match"),
    [
        ([[1, math.nan]], "row 0 has NaN"),
        ([[1, 2], [math.inf, 1]], "row 1 has NaN or infinity"),
        ([[1e39, 0]], "beyond float32"),
        ([[3e38, 3e38]], "norm beyond float32"),
        ([[0, 0]], "no direction"),
        ([[1e-60, 0]], "no direction"),
        ([[1, 2, 3]], "shape"),
        ([1, 2], "shape"),
        ([["a", "b"]], "not numbers"),
        ([[True, False]], "not numbers"),
        ([[1, 2], [1]], "one array"),
        ([[None, 1]], "not numbers"),
        ([[1j, 1]], "not numbers"),
    ],
)
def test_bad_vectors(vectors: object, match: str) -> None:
    """What is no d-dimensional finite float32 vector is refused, naming row and reason."""
    with pytest.raises(InvalidRecordError, match=match):
        check_vectors(vectors, 2, "cosine")
    with pytest.raises(InvalidQueryError):
        check_vectors(vectors, 2, "cosine", error=InvalidQueryError)


def test_zero_is_a_point_but_no_direction() -> None:
    """Only cosine refuses the zero vector."""
    assert check_vectors([[0, 0]], 2, "l2").tolist() == [[0, 0]]
    assert check_vectors([[0, 0]], 2, "dot").tolist() == [[0, 0]]


def test_batch_from_records() -> None:
    """Records become columns; absent vectors are marked and zero."""
    batch = normalize_batch(
        [Record("a", "A", [1, 2], {"k": (1,)}), Record("b"), Record("c", vector=np.array([3.0, 4.0]))],
        dimension=2,
        metric="dot",
    )
    assert batch.ids == ["a", "b", "c"]
    assert batch.texts == ["A", "", ""]
    assert batch.metadata == [{"k": [1]}, {}, {}]
    assert np.asarray(batch.vectors).tolist() == [[1, 2], [0, 0], [3, 4]]
    assert np.asarray(batch.present).tolist() == [True, False, True]


def test_batch_from_columns_shares_nothing() -> None:
    """A columnar batch is copied; rows marked absent may hold anything."""
    vectors = np.array([[1, 2], [np.nan, np.inf]], dtype=np.float32)
    given_ = RecordBatch(["a", "b"], vectors, present=np.array([True, False]))
    batch = normalize_batch(given_, dimension=2, metric="cosine")
    vectors[0] = 9
    assert np.asarray(batch.vectors).tolist() == [[1, 2], [0, 0]]
    assert [r.vector is None for r in batch] == [False, True]
    assert [r.id for r in given_] == ["a", "b"]


@pytest.mark.parametrize(
    ("batch", "match"),
    [
        ([Record("a"), Record("a")], "twice"),
        ([{"id": "a"}], "not Record"),
        ([Record("a", vector=[1, 2]), Record("b", vector=[1])], "different shapes"),
        (RecordBatch(["a"], texts=[]), "0 texts"),
        (RecordBatch(["a"], metadata=[{}, {}]), "2 metadata"),
        (RecordBatch(["a"], np.ones((2, 2))), "2 vectors"),
        (RecordBatch(["a"], np.ones((1, 2)), present=np.ones(3, dtype=bool)), "3 presence marks"),
        (RecordBatch(["a", "b"], [[1, 2], [1]]), "one array"),
        (Record("a"), "one Record"),
        (None, "NoneType"),
        ("ab", "holds str"),
    ],
)
def test_bad_batches(batch: Any, match: str) -> None:
    """Columns of different lengths, repeated ids and foreign objects are refused."""
    with pytest.raises(InvalidRecordError, match=match):
        normalize_batch(batch, dimension=2, metric="dot")


def test_batch_limits() -> None:
    """`max_batch` and `optional_vectors` are refusals with the limit, or the record, named."""
    with pytest.raises(InvalidRecordError, match=r"the limit .* is 1"):
        normalize_batch([Record("a"), Record("b")], dimension=2, metric="dot", max_batch=1)
    with pytest.raises(InvalidRecordError, match="'b' has no vector"):
        normalize_batch([Record("a", vector=[1, 2]), Record("b")], dimension=2, metric="dot", optional_vectors=False)


def test_records_compare_by_value_and_type() -> None:
    """1, 1.0 and True are three values; vectors compare by content."""
    assert Record("a", metadata={"k": 1}) != Record("a", metadata={"k": 1.0})
    assert Record("a", metadata={"k": 1}) != Record("a", metadata={"k": True})
    assert Record("a", metadata={"k": [1]}) != Record("a", metadata={"k": [True]})
    assert Record("a", vector=[1, 2]) == Record("a", vector=np.array([1.0, 2.0]))
    assert Record("a", vector=[1, 2]) != Record("a")
    assert Record("a") != "a"
    assert len({Record("a"), Record("a"), Record("b")}) == 2


@pytest.mark.parametrize("k", [0, -1, True, 1.0, "1", None, np.float32(1)])
def test_bad_k(k: object) -> None:
    """k is a positive int."""
    with pytest.raises(InvalidQueryError, match="k is"):
        check_k(k)


def test_good_k() -> None:
    """numpy's ints are ints."""
    assert (check_k(1), check_k(np.int64(7))) == (1, 7)


def test_hits_are_a_sequence_with_columns() -> None:
    """Hits slice, iterate, and give ids and scores as columns; distances follow the metric."""
    hits = Hits(
        [Hit("a", 0.75, metric="cosine"), Hit("b", 0.5, metric="l2"), Hit("c", 0.0, metric="l2")], truncated=True
    )
    assert (len(hits), hits.ids, hits.scores.tolist()) == (3, ["a", "b", "c"], [0.75, 0.5, 0.0])
    assert hits[1:].ids == ["b", "c"]
    assert hits[1:].truncated
    assert [hit.distance for hit in hits] == [0.25, 1.0, math.inf]
    assert (Hit("d", 3.0, metric="dot").distance, Hit("t", 3.0).distance) == (None, None)
    assert repr(hits) == "Hits('a': 0.7500, 'b': 0.5000, 'c': 0.0000, truncated)"
    assert repr(Hits([Hit(str(i), 1.0) for i in range(7)])).endswith("... 2 more)")

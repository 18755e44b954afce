"""The value rules of the contract, written once so that every backend refuses the same input.

A backend calls `normalize_batch` before it writes and gets back columns that are its own: contiguous float32
vectors, plain Python metadata, nothing shared with the caller.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from ctxkit.errors import InvalidQueryError, InvalidRecordError, StoreError
from ctxkit.records.record import (
    FieldType,
    FloatVectors,
    Metadata,
    MetadataScalar,
    MetadataValue,
    Metric,
    Record,
    RecordBatch,
)

MAX_ID_BYTES = 512
_INT64 = range(-(2**63), 2**63)
_TYPES: Mapping[str, type] = {"str": str, "int": int, "float": float, "list": list}
_FLOAT32 = np.dtype(np.float32)
_FLOAT32_MAX = float(np.finfo(np.float32).max)


def check_id(record_id: object) -> str:
    """Return the id unchanged, or raise InvalidRecordError.

    An id is a non-empty str without lone surrogates, at most 512 bytes in UTF-8; it is kept exactly.
    """
    if not isinstance(record_id, str):
        msg = f"an id is {type(record_id).__name__}, not str: {_shown(record_id)}."
        raise InvalidRecordError(msg, fix="pass str ids, for example str(value).")
    if not record_id:
        msg = "an id is the empty string."
        raise InvalidRecordError(msg, fix="give every record a non-empty id.")
    if len(record_id) <= MAX_ID_BYTES and record_id.isascii():
        return str(record_id)
    size = len(_encoded(record_id, f"the id {_shown(record_id)}"))
    if size > MAX_ID_BYTES:
        msg = f"the id {_shown(record_id)} takes {size} bytes in UTF-8; the limit is {MAX_ID_BYTES}."
        raise InvalidRecordError(msg, fix="use a shorter id, for example a hash of it.")
    return str(record_id)


def check_text(text: object, *, record_id: str = "") -> str:
    """Return the text unchanged, or raise InvalidRecordError when it is no str or holds a lone surrogate."""
    if not isinstance(text, str):
        msg = f"the text of {_shown(record_id)} is {type(text).__name__}, not str."
        raise InvalidRecordError(msg, fix="pass str; the empty string is fine.")
    if not text.isascii():
        _encoded(text, f"the text of {_shown(record_id)}")
    return str(text)


def check_metadata(metadata: object, *, record_id: str = "", fields: Mapping[str, FieldType] | None = None) -> Metadata:
    """Return the metadata as a new dict of plain Python values, or raise InvalidRecordError.

    Keys are non-empty str that do not start with `$`. Values are str, bool, int (64-bit), finite float, or a
    non-empty list of one of these; numpy scalars become Python's. `fields` holds declared field types.
    """
    if type(metadata) is not dict and not isinstance(metadata, Mapping):
        msg = f"the metadata of {_shown(record_id)} is {type(metadata).__name__}, not a mapping."
        raise InvalidRecordError(msg, fix="pass a dict of str keys.")
    checked: Metadata = {}
    for key, value in metadata.items():
        if not isinstance(key, str) or not key or key.startswith("$"):
            msg = f"the metadata of {_shown(record_id)} has the key {_shown(key)}."
            raise InvalidRecordError(msg, fix="use non-empty str keys that do not start with '$'.")
        # The common cases first: naming the place of a value costs more than checking it.
        if not key.isascii():
            _encoded(key, f"a key of the metadata of {_shown(record_id)}")
        if _is_plain(value):
            checked[key] = value
        else:
            checked[str(key)] = _check_value(value, f"the metadata of {_shown(record_id)}, key {_shown(key)}")
    for name, field_type in (fields or {}).items():
        if name in checked and not _has_type(checked[name], field_type):
            msg = (
                f"the metadata of {_shown(record_id)} has {_shown(checked[name])} in {name!r}, a field declared"
                f" as {field_type}."
            )
            raise InvalidRecordError(msg, fix=f"pass a {field_type} there, or leave the field out.")
    return checked


def check_vectors(
    vectors: object,
    dimension: int,
    metric: Metric,
    *,
    error: type[StoreError] = InvalidRecordError,
    present: npt.NDArray[np.bool_] | None = None,
) -> FloatVectors:
    """Return `vectors` as a new C-contiguous float32[n, dimension], or raise `error`.

    Accepts float64, integer, non-contiguous and read-only input. Refused: another dimension, NaN, infinities,
    values or norms beyond float32, and zero vectors under cosine. Only rows marked in `present` are looked at.
    """
    try:
        given = np.asarray(vectors)
    except ValueError as exc:
        msg = f"vectors do not form one array: {exc}."
        raise error(msg, fix=f"pass rows that all have {dimension} numbers.") from exc
    if given.dtype.kind not in "fiu":
        msg = f"vectors have dtype {given.dtype}, not numbers."
        raise error(msg, fix="pass float32 (or float64, or integers).")
    if given.ndim != 2 or given.shape[1] != dimension:  # noqa: PLR2004 - an (n, d) array has two axes
        msg = f"vectors have shape {given.shape}; the collection needs (n, {dimension})."
        raise error(msg, fix=f"embed with a model of {dimension} dimensions, or use another collection.")
    if given.dtype.itemsize < _FLOAT32.itemsize:
        # Half precision and small ints cannot hold the limits that they are compared with.
        given = given.astype(np.float32)
    if given.dtype == _FLOAT32:
        result = np.array(given, order="C", copy=True)
    else:
        with np.errstate(over="ignore"):
            result = np.array(given, dtype=np.float32, order="C", copy=True)
    if present is not None and not present.all():
        result[~present] = 0
    squares = np.einsum("ij,ij->i", result, result)
    # NaN, infinity and what float32 cannot hold show in the squares: sound vectors need no second look.
    if not (len(squares) and np.minimum.reduce(squares) > 0 and np.maximum.reduce(squares) < np.inf):
        _refuse_vectors(given, result, metric, error, present)
    return result


def _refuse_vectors(
    given: npt.NDArray[Any],
    result: FloatVectors,
    metric: Metric,
    error: type[StoreError],
    present: npt.NDArray[np.bool_] | None,
) -> None:
    """Raise `error` for the first row that is no vector of a collection; `result` is what float32 makes of `given`."""
    checked = given if present is None else np.where(present[:, None], given, 0)
    _refuse_rows(~np.isfinite(checked).all(axis=1), "NaN or infinity", error)
    _refuse_rows((np.abs(checked) > _FLOAT32_MAX).any(axis=1), "a number beyond float32", error)
    norms = np.sqrt(np.einsum("ij,ij->i", result, result, dtype=np.float64))
    _refuse_rows(norms > _FLOAT32_MAX, "a norm beyond float32", error)
    if metric == "cosine":
        zero = norms == 0
        _refuse_rows(zero if present is None else zero & present, "no direction (all zeros) under cosine", error)


def normalize_batch(
    records: Iterable[Record] | RecordBatch,
    *,
    dimension: int,
    metric: Metric,
    fields: Mapping[str, FieldType] | None = None,
    optional_vectors: bool = True,
    max_batch: int | None = None,
) -> RecordBatch:
    """Check a whole batch and return it as columns that share nothing with the input.

    The result has every column filled: `vectors` float32[n, dimension] (rows of absent vectors are zero) and
    `present` bool[n]. Raises InvalidRecordError for the first bad record, or when an id stands there twice.
    """
    batch = records if isinstance(records, RecordBatch) else _as_columns(records)
    ids = [check_id(record_id) for record_id in batch.ids]
    if max_batch is not None and len(ids) > max_batch:
        msg = f"the batch has {len(ids)} records; the limit (max_batch) is {max_batch}."
        raise InvalidRecordError(msg, fix=f"split it into batches of at most {max_batch}.")
    _refuse_repeats(ids)
    texts = [""] * len(ids) if batch.texts is None else batch.texts
    metadata: Sequence[Mapping[str, Any]] = [{}] * len(ids) if batch.metadata is None else batch.metadata
    for name, column in (("texts", texts), ("metadata", metadata)):
        if len(column) != len(ids):
            msg = f"the batch has {len(ids)} ids but {len(column)} {name}."
            raise InvalidRecordError(msg, fix="make all columns the same length.")
    present, vectors = _vector_columns(batch, dimension, metric)
    if not optional_vectors and not present.all():
        msg = f"{_shown(ids[int(np.argmin(present))])} has no vector; this backend needs one for every record."
        raise InvalidRecordError(msg, fix="embed the text first, or choose a backend with optional_vectors.")
    return RecordBatch(
        ids,
        vectors,
        [check_text(text, record_id=record_id) for text, record_id in zip(texts, ids, strict=True)],
        [
            check_metadata(item, record_id=record_id, fields=fields)
            for item, record_id in zip(metadata, ids, strict=True)
        ],
        present,
    )


def _as_columns(records: Iterable[Record]) -> RecordBatch:
    given_batch: object = records
    if isinstance(given_batch, Record) or not isinstance(given_batch, Iterable):
        found = "one Record" if isinstance(given_batch, Record) else type(given_batch).__name__
        raise InvalidRecordError(f"the batch is {found}.", fix="pass a list of ctxkit.Record, or one RecordBatch.")
    rows: list[Any] = list(records)
    for row in rows:
        if not isinstance(row, Record):
            msg = f"a batch holds {type(row).__name__}, not Record."
            raise InvalidRecordError(msg, fix="pass a list of ctxkit.Record, or one RecordBatch.")
    present = np.array([row.vector is not None for row in rows], dtype=np.bool_)
    given = [row.vector for row in rows if row.vector is not None]
    vectors: npt.NDArray[Any] | None = None
    if given:
        try:
            filled = np.stack([np.asarray(vector) for vector in given])
        except ValueError as exc:
            shapes = sorted({np.shape(vector) for vector in given})
            msg = f"the vectors of one batch have different shapes: {shapes}."
            raise InvalidRecordError(msg, fix="embed all of them with one model.") from exc
        vectors = np.zeros((len(rows), *filled.shape[1:]), dtype=filled.dtype)
        vectors[present] = filled
    return RecordBatch(
        [row.id for row in rows], vectors, [row.text for row in rows], [row.metadata for row in rows], present
    )


def _vector_columns(batch: RecordBatch, dimension: int, metric: Metric) -> tuple[npt.NDArray[np.bool_], FloatVectors]:
    count = len(batch.ids)
    if batch.vectors is None:
        return np.zeros(count, dtype=np.bool_), np.zeros((count, dimension), dtype=np.float32)
    present = np.ones(count, dtype=np.bool_) if batch.present is None else np.array(batch.present, dtype=np.bool_)
    given: Any = batch.vectors
    if count == 0:
        return present, np.zeros((0, dimension), dtype=np.float32)
    if len(given) != count or present.shape != (count,):
        msg = f"the batch has {count} ids but {len(given)} vectors and {present.size} presence marks."
        raise InvalidRecordError(msg, fix="make all columns the same length.")
    return present, check_vectors(given, dimension, metric, present=present)


def _refuse_repeats(ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for record_id in ids:
        if record_id in seen:
            msg = f"the id {_shown(record_id)} stands twice in one batch."
            raise InvalidRecordError(msg, fix="keep one record per id, the one that should win.")
        seen.add(record_id)


def _refuse_rows(bad: npt.NDArray[np.bool_], what: str, error: type[StoreError]) -> None:
    if bad.any():
        msg = f"the vector in row {int(np.argmax(bad))} has {what}."
        fix = "check the embedder's output." if error is InvalidRecordError else "check the query's embedding."
        raise error(msg, fix=fix)


def _is_plain(value: Any) -> TypeGuard[MetadataScalar]:
    """Whether a value needs no conversion and no closer look."""
    kind = type(value)
    if kind is str:
        return bool(value.isascii())
    if kind is float:
        return math.isfinite(value)
    return kind is bool or (kind is int and value in _INT64)


def _check_value(value: object, place: str) -> MetadataValue:
    if isinstance(value, (list, tuple)):
        return _check_list(value, place)
    return _check_scalar(value, place)


def _check_list(value: Sequence[object], place: str) -> MetadataValue:
    items = [_check_scalar(item, place) for item in value]
    kinds = {type(item) for item in items}
    if len(kinds) != 1:
        found = "an empty list" if not items else f"a list of {', '.join(sorted(k.__name__ for k in kinds))}"
        msg = f"{place} holds {found}."
        raise InvalidRecordError(msg, fix="use a non-empty list of one type, or leave the key out.")
    return items  # type: ignore[return-value]  # one scalar type, as just checked


def _check_scalar(value: object, place: str) -> MetadataScalar:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        _encoded(value, place)
        return str(value)
    if isinstance(value, int):
        if int(value) not in _INT64:
            msg = f"{place} holds {value}, which needs more than 64 bits."
            raise InvalidRecordError(msg, fix="store it as str.")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            msg = f"{place} holds {value}."
            raise InvalidRecordError(msg, fix="leave the key out instead.")
        return float(value)
    kind = "None" if value is None else type(value).__name__
    msg = f"{place} holds {kind}."
    fix = "leave the key out instead." if value is None else "use str, bool, int, float or a list of one of these."
    raise InvalidRecordError(msg, fix=fix)


def _has_type(value: MetadataValue, field_type: FieldType) -> bool:
    if isinstance(value, bool):
        return field_type == "bool"
    if field_type == "number":
        return isinstance(value, numbers.Real)
    expected = _TYPES.get(field_type)
    return expected is not None and isinstance(value, expected)


def _encoded(text: str, place: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as exc:
        msg = f"{place} holds a lone surrogate at position {exc.start}."
        raise InvalidRecordError(
            msg, fix="decode the source with errors='replace', or text.encode('utf-8', 'replace').decode()."
        ) from exc


def _shown(value: object) -> str:
    """Show a value in an error without flooding the terminal."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - a line of a terminal


def check_k(k: object) -> int:
    """Return k, or raise InvalidQueryError when it is not a positive int."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        msg = f"k is {_shown(k)}."
        raise InvalidQueryError(msg, fix="ask for at least one hit: k >= 1.")
    return int(k)

"""Rows as bytes: encoding, checksums, and the SQL that writes and reads records.

Each row has two checksums (CRC-32). The vector's covers its label and bytes; the record's covers label, id,
text, metadata and the vector's checksum, so that a vector that is lost or exchanged is noticed as well.
"""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from ctxkit.local.text import prepared
from ctxkit.records import FloatVector, FloatVectors, Metadata, Record, RecordBatch

_HEAD = struct.Struct("<qqIII")
_LABEL = struct.Struct("<q")
_LITTLE = np.dtype("<f4")
_CHUNK = 512
_LOAD_CHUNK = 4096
_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False).encode
_scan = json.JSONDecoder().raw_decode

_COLUMNS = "r.label, r.id, r.checksum, r.metadata, r.text, v.checksum"
_JOIN = " FROM records r LEFT JOIN vectors v ON v.label = r.label"
_VECTORS = "SELECT label, checksum, vector FROM vectors"
_TEXTS = "SELECT label, id, checksum, metadata, text FROM records"
_SIZES = [1 << power for power in range(_CHUNK.bit_length())]  # as `_padded` makes them
_TEXTS_OF = {size: _TEXTS + " WHERE label IN (" + ",".join("?" * size) + ")" for size in _SIZES}
_SELECT = {False: "SELECT " + _COLUMNS + ", NULL" + _JOIN, True: "SELECT " + _COLUMNS + ", v.vector" + _JOIN}


@dataclass(slots=True)
class StoredRow:
    """One row as it was read; `ok` says whether it matches its checksums."""

    label: int
    raw_id: bytes
    checksum: int
    raw_metadata: bytes
    raw_text: bytes
    vector: FloatVector | None
    has_vector: bool
    ok: bool

    @property
    def id(self) -> str:
        """The id; of a damaged row, what can still be read of it."""
        return self.raw_id.decode("utf-8", "replace")

    @property
    def text(self) -> str:
        """The text."""
        return self.raw_text.decode("utf-8")

    @property
    def metadata(self) -> Metadata:
        """The metadata, a new dict each time."""
        return parsed(self.raw_metadata)

    def own_vector(self) -> FloatVector | None:
        """Return a copy of the vector, if it was read."""
        return None if self.vector is None else self.vector.copy()

    def record(self) -> Record:
        """Return the row as a record."""
        return Record(self.id, self.text, self.own_vector(), self.metadata)


@dataclass(slots=True)
class Chunk:
    """Many sound rows as columns; `damaged` is label to id.

    `vectors` and `sums`, their checksums, hold only the rows marked in `present`; `vectors` is empty where they were
    not read.
    """

    labels: list[int]
    ids: list[str]
    present: npt.NDArray[np.bool_]
    vectors: FloatVectors
    sums: list[int]
    raw_metadata: list[bytes]
    digest: int
    damaged: dict[int, str]


@dataclass(slots=True)
class EncodedBatch:
    """A batch as the rows of three tables, and what it adds to the collection's digest."""

    records: list[tuple[int, str, int, str, str]]
    vectors: list[tuple[int, int, bytes]]
    words: list[tuple[int, str]]
    digest: int


def encode(batch: RecordBatch, first_label: int) -> EncodedBatch:
    """Encode a normalised batch whose records get the labels `first_label`, `first_label` + 1, ..."""
    vectors = np.asarray(batch.vectors, dtype=_LITTLE)
    width = vectors.shape[1] * vectors.itemsize
    raw = memoryview(vectors.tobytes())
    present = np.asarray(batch.present).tolist()
    encoded = EncodedBatch([], [], [], 0)
    for row, (record_id, text, metadata) in enumerate(
        zip(batch.ids, batch.texts or (), batch.metadata or (), strict=True)
    ):
        label = first_label + row
        own = None
        if present[row]:
            blob = bytes(raw[row * width : (row + 1) * width])
            own = vector_checksum(label, blob)
            encoded.vectors.append((label, own, blob))
        dumped = _dumps(metadata) if metadata else "{}"
        checksum = record_checksum(label, own, record_id.encode(), text.encode(), dumped.encode())
        encoded.records.append((label, record_id, checksum, dumped, text))
        encoded.words.append((label, prepared(text)))
        encoded.digest += checksum
    return encoded


def record_checksum(label: int, vector: int | None, record_id: bytes, text: bytes, metadata: bytes) -> int:
    """Return the checksum of a record; `vector` is its vector's checksum, None without one."""
    head = _HEAD.pack(label, -1 if vector is None else vector, len(record_id), len(text), len(metadata))
    return crc32(b"".join((head, record_id, text, metadata)))


def vector_checksum(label: int, blob: bytes) -> int:
    """Return the checksum of a vector's bytes at its label."""
    return crc32(blob, crc32(_LABEL.pack(label)))


def insert(connection: sqlite3.Connection, encoded: EncodedBatch) -> None:
    """Write an encoded batch inside the caller's transaction."""
    connection.executemany("INSERT INTO records VALUES(?, ?, ?, ?, ?)", encoded.records)
    connection.executemany("INSERT INTO vectors VALUES(?, ?, ?)", encoded.vectors)
    connection.executemany("INSERT INTO words(rowid, text) VALUES(?, ?)", encoded.words)


def remove(connection: sqlite3.Connection, labels: Iterable[int]) -> None:
    """Delete records and vectors by label inside the caller's transaction; the text index is the caller's."""
    pairs = [(label,) for label in labels]
    connection.executemany("DELETE FROM records WHERE label = ?", pairs)
    connection.executemany("DELETE FROM vectors WHERE label = ?", pairs)


def fetch(
    connection: sqlite3.Connection, labels: Sequence[int], dimension: int, *, with_vectors: bool
) -> dict[int, StoredRow]:
    """Return the rows of these labels that exist, checked; the vector's own bytes only where they are read."""
    found: dict[int, StoredRow] = {}
    for chunk in _padded(labels):
        sql = _SELECT[with_vectors] + " WHERE r.label IN (" + ",".join("?" * len(chunk)) + ")"
        for raw in connection.execute(sql, chunk):
            row = _as_row(raw, dimension, with_vectors=with_vectors)
            found[row.label] = row
    return found


def fetch_texts(
    connection: sqlite3.Connection, labels: Sequence[int], sums: Sequence[int | None]
) -> dict[int, tuple[bytes, bytes]]:
    """Return text and metadata of these labels, as they are stored, checked with the vectors' checksums in `sums`.

    Rows that are missing or damaged are left out.
    """
    found: dict[int, tuple[bytes, bytes]] = {}
    own = dict(zip(labels, sums, strict=True))
    for chunk in _padded(labels):
        for label, record_id, checksum, metadata, text in connection.execute(_TEXTS_OF[len(chunk)], chunk).fetchall():
            if _matches(checksum, label, own[label], record_id, text, metadata):
                found[label] = (text, metadata)
    return found


def fetch_vectors(connection: sqlite3.Connection, labels: Sequence[int], dimension: int) -> dict[int, FloatVector]:
    """Return the vectors of these labels; those that are missing or damaged are left out."""
    found: dict[int, FloatVector] = {}
    width = _LITTLE.itemsize * dimension
    for chunk in _padded(labels):
        sql = _VECTORS + " WHERE label IN (" + ",".join("?" * len(chunk)) + ")"
        for label, checksum, blob in connection.execute(sql, chunk):
            if _is_sound_vector((label, checksum, blob), width):
                found[label] = np.frombuffer(blob, dtype=_LITTLE)
    return found


def parsed(metadata: bytes) -> Metadata:
    """Return metadata that was read, as a new dict."""
    # What was dumped without blanks needs no search for them.
    found: Metadata = _scan(metadata.decode())[0]
    return found


def all_parsed(metadata: Iterable[bytes]) -> list[Metadata]:
    """Return the metadata of many rows, each as a new dict: all at once is quicker, and they share their keys."""
    found: list[Metadata] = _scan((b"[" + b",".join(metadata) + b"]").decode())[0]
    return found


def chunks(
    connection: sqlite3.Connection,
    dimension: int,
    between: tuple[int, int] | None = None,
    *,
    with_vectors: bool = True,
) -> Iterator[Chunk]:
    """Yield all rows, or those with labels in a closed range, in label order, checked, as columns."""
    where = "" if between is None else " WHERE r.label BETWEEN ? AND ?"
    cursor = connection.execute(_SELECT[with_vectors] + where + " ORDER BY r.label", between or ())
    while raws := cursor.fetchmany(_LOAD_CHUNK):
        yield _as_chunk(raws, dimension, with_vectors=with_vectors)


def vectors(connection: sqlite3.Connection, dimension: int) -> Iterator[tuple[list[int], list[int], FloatVectors]]:
    """Yield labels, checksums and vectors of all sound vectors in label order, float32[n, d]."""
    width = _LITTLE.itemsize * dimension
    cursor = connection.execute(_VECTORS + " ORDER BY label")
    # Few at a time: a segment is made beside searches, which wait for the interpreter while vectors are checked.
    while raws := cursor.fetchmany(_CHUNK):
        good = [raw for raw in raws if _is_sound_vector(raw, width)]
        array = np.frombuffer(b"".join([raw[2] for raw in good]), dtype=_LITTLE).reshape(-1, dimension)
        yield [raw[0] for raw in good], [raw[1] for raw in good], array.astype(np.float32, copy=False)


def texts(connection: sqlite3.Connection) -> Iterator[StoredRow]:
    """Yield every row in label order without its vector, checked."""
    cursor = connection.execute(_SELECT[False] + " ORDER BY r.label")
    while raws := cursor.fetchmany(_LOAD_CHUNK):
        for raw in raws:
            yield _as_row(raw, 0, with_vectors=False)


def _as_chunk(raws: Sequence[Sequence[Any]], dimension: int, *, with_vectors: bool) -> Chunk:
    good = [raw for raw in raws if _is_sound(raw, dimension, with_vectors=with_vectors)]
    damaged = {}
    if len(good) < len(raws):
        sound = {raw[0] for raw in good}
        damaged = {raw[0]: _as_row(raw, 0, with_vectors=False).id for raw in raws if raw[0] not in sound}
    blobs = b"".join([raw[6] for raw in good if raw[5] is not None]) if with_vectors else b""
    return Chunk(
        [raw[0] for raw in good],
        [raw[1].decode() for raw in good],
        np.array([raw[5] is not None for raw in good], dtype=np.bool_),
        np.frombuffer(blobs, dtype=_LITTLE).reshape(-1, dimension).astype(np.float32, copy=False),
        [raw[5] for raw in good if raw[5] is not None],
        [raw[3] for raw in good],
        sum(raw[2] for raw in good),
        damaged,
    )


def _as_row(raw: Sequence[Any], dimension: int, *, with_vectors: bool) -> StoredRow:
    label, raw_id, checksum, metadata, text, own, blob = raw
    if not _is_sound(raw, dimension, with_vectors=with_vectors):
        return StoredRow(
            label,
            raw_id if isinstance(raw_id, bytes) else str(raw_id).encode(),
            0,
            b"{}",
            b"",
            None,
            has_vector=False,
            ok=False,
        )
    vector = np.frombuffer(blob, dtype=_LITTLE) if with_vectors and own is not None else None
    return StoredRow(label, raw_id, checksum, metadata, text, vector, has_vector=own is not None, ok=True)


def _is_sound(raw: Sequence[Any], dimension: int, *, with_vectors: bool) -> bool:
    """Compare a row with its checksums."""
    label, raw_id, checksum, metadata, text, own, blob = raw
    if not _matches(checksum, label, own, raw_id, text, metadata):
        return False
    return not with_vectors or own is None or _is_sound_vector((label, own, blob), _LITTLE.itemsize * dimension)


def _matches(checksum: Any, label: Any, own: Any, record_id: Any, text: Any, metadata: Any) -> bool:
    """Whether a record's parts are what its checksum was made of."""
    try:
        return bool(checksum == record_checksum(label, own, record_id, text, metadata))
    except (TypeError, struct.error):
        # SQLite's types are per value: a flipped bit can turn a text into a number, or a number into NULL.
        return False


def _is_sound_vector(raw: Sequence[Any], width: int) -> bool:
    label, checksum, blob = raw
    return isinstance(blob, bytes) and len(blob) == width and checksum == vector_checksum(label, blob)


def _padded(labels: Sequence[int]) -> Iterator[list[int]]:
    """Yield the labels in chunks of a few sizes, so that SQLite's statement cache keeps every statement."""
    for start in range(0, len(labels), _CHUNK):
        chunk = list(labels[start : start + _CHUNK])
        yield chunk + chunk[-1:] * ((1 << (len(chunk) - 1).bit_length()) - len(chunk))

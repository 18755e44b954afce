"""The tables of one collection, and the two small ones that describe it.

records   label (int64, never reused), id, checksum, metadata (JSON), text
vectors   label, checksum, float32 little-endian; a record without a vector has no row here
words     the text index: FTS5 without a copy of the text
changes   what each transaction added (op 1) or removed (op 2), as runs of labels; op 3: the description changed
state     one row, rewritten by every transaction: sequence number, counts and a digest of all checksums
meta      format version, incarnation, specification; with a checksum of its own
"""

from __future__ import annotations

import json
import sqlite3
import uuid
import zlib
from dataclasses import dataclass

from ctxkit.interfaces import CollectionSpec
from ctxkit.local.faults import Place
from ctxkit.local.layout import FORMAT_VERSION, check_format

ADDED, REMOVED, DESCRIBED = 1, 2, 3
TOKENIZER = "porter unicode61 remove_diacritics 2"
DROPPED_SEQ = -0x64726F70  # "drop": no flipped bit turns a sequence number into it

_TABLES = f"""
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE state(
    one INTEGER PRIMARY KEY CHECK(one = 1), seq INTEGER NOT NULL, incarnation TEXT NOT NULL, trimmed INTEGER NOT NULL,
    row_count INTEGER NOT NULL, vector_count INTEGER NOT NULL, digest INTEGER NOT NULL, last_label INTEGER NOT NULL,
    text_seq INTEGER NOT NULL, text_digest INTEGER NOT NULL
);
CREATE TABLE records(
    label INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE COLLATE BINARY, checksum INTEGER NOT NULL,
    metadata TEXT NOT NULL, text TEXT NOT NULL
);
CREATE TABLE vectors(label INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, vector BLOB NOT NULL);
CREATE TABLE changes(
    seq INTEGER NOT NULL, op INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY(seq, op, first)
) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize='{TOKENIZER}')
"""


@dataclass(slots=True)
class State:
    """The one row that every transaction reads first and every write rewrites."""

    seq: int
    incarnation: str
    trimmed: int
    rows: int
    vectors: int
    digest: int
    last_label: int
    text_seq: int
    text_digest: int


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether the database holds no table at all."""
    return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None


def create_tables(connection: sqlite3.Connection, spec: CollectionSpec) -> str:
    """Make the tables inside the caller's transaction and return the new incarnation."""
    for statement in _TABLES.split(";"):
        connection.execute(statement)
    incarnation = uuid.uuid4().hex
    connection.execute("INSERT INTO state VALUES(1, 0, ?, 0, 0, 0, 0, 0, -1, 0)", (incarnation,))
    write_meta(connection, spec, incarnation)
    return incarnation


def read_version(connection: sqlite3.Connection) -> tuple[int, bytes] | None:
    """Return sequence number and incarnation as they stand in the state row: enough to know whether a view is fresh."""
    found: tuple[int, bytes] | None = connection.execute("SELECT seq, incarnation FROM state").fetchone()
    return found


def read_state(connection: sqlite3.Connection, place: Place) -> State:
    """Return the state row."""
    row = connection.execute(
        "SELECT seq, incarnation, trimmed, row_count, vector_count, digest, last_label, text_seq, text_digest"
        " FROM state"
    ).fetchone()
    if row is None or not isinstance(row[1], bytes) or not all(isinstance(row[i], int) for i in (0, *range(2, 9))):
        raise place.corrupt("the state row is missing or damaged.")
    return State(row[0], row[1].decode("utf-8", "replace"), *row[2:])


def write_state(connection: sqlite3.Connection, state: State) -> None:
    """Rewrite the state row."""
    connection.execute(
        "UPDATE state SET seq = ?, trimmed = ?, row_count = ?, vector_count = ?, digest = ?, last_label = ?,"
        " text_seq = ?, text_digest = ? WHERE one = 1",
        (
            state.seq,
            state.trimmed,
            state.rows,
            state.vectors,
            state.digest,
            state.last_label,
            state.text_seq,
            state.text_digest,
        ),
    )


def write_meta(connection: sqlite3.Connection, spec: CollectionSpec, incarnation: str) -> None:
    """Write the collection's description."""
    items = {
        "format_version": str(FORMAT_VERSION),
        "incarnation": incarnation,
        "spec": json.dumps(spec.model_dump(mode="json"), sort_keys=True),
    }
    items["checksum"] = str(_checksum(items))
    connection.executemany("INSERT OR REPLACE INTO meta VALUES(?, ?)", items.items())


def read_meta(connection: sqlite3.Connection, place: Place) -> tuple[CollectionSpec, str]:
    """Return the specification and the incarnation; raises FormatVersionError or StoreCorruptError."""
    raw = connection.execute("SELECT key, value FROM meta").fetchall()
    if not all(isinstance(part, bytes) for row in raw for part in row):
        raise place.corrupt("the collection's description is damaged.")
    items = {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in raw}
    version = items.get("format_version", "")
    check_format(int(version) if version.isdecimal() else None, place)
    stated = items.pop("checksum", None)
    if stated != str(_checksum(items)):
        raise place.corrupt("the collection's description does not match its checksum.")
    return CollectionSpec.model_validate_json(items["spec"]), items["incarnation"]


def log_change(connection: sqlite3.Connection, seq: int, op: int, runs: list[tuple[int, int]]) -> None:
    """Record what a transaction did, so that other handles can follow."""
    connection.executemany("INSERT INTO changes VALUES(?, ?, ?, ?)", [(seq, op, first, last) for first, last in runs])


def trim_changes(connection: sqlite3.Connection, state: State, keep: int) -> None:
    """Forget changes older than `keep` transactions, now and then rather than every time."""
    if state.seq - state.trimmed >= 2 * keep:
        state.trimmed = state.seq - keep
        connection.execute("DELETE FROM changes WHERE seq <= ?", (state.trimmed,))


def _checksum(items: dict[str, str]) -> int:
    return zlib.crc32(json.dumps(sorted(items.items())).encode())

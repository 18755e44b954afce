"""Checking what is stored: SQLite's structure, every row's checksum, the text index, and the index in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from ctxkit.interfaces import StoreHealth
from ctxkit.local import rows, text
from ctxkit.local.schema import State

_PROBLEMS_SHOWN = 20


def examine(connection: sqlite3.Connection, state: State, held: tuple[int, int] | None, dimension: int) -> StoreHealth:
    """Return the verdict; `connection` should be a fresh one, whose page cache hides nothing.

    `held` is the sequence number of what the handle holds in memory, and how many vectors that has.
    """
    problems: list[str] = []
    for check in (_structure, _rows, _words):
        problems += _tried(check, connection, state, dimension)
    if held is not None and held[0] == state.seq and not problems and held[1] != state.vectors:
        problems.append(f"the index holds {held[1]} vectors, the database {state.vectors}; open the store again.")
    return StoreHealth(ok=not problems, problems=tuple(problems))


def _tried(
    check: Callable[[sqlite3.Connection, State, int], list[str]],
    connection: sqlite3.Connection,
    state: State,
    dimension: int,
) -> list[str]:
    try:
        return check(connection, state, dimension)
    except sqlite3.Error as error:
        return [f"the database cannot be read: {error}; restore the collection from a copy."]


def _structure(connection: sqlite3.Connection, _state: State, _dimension: int) -> list[str]:
    # Fewer answers than the limit, each a line; a healthy database answers "ok".
    lines = connection.execute(f"PRAGMA integrity_check({_PROBLEMS_SHOWN})").fetchall()
    found = [line.decode("utf-8", "replace") for (line,) in lines]
    return [f"structure: {line}; restore the collection from a copy." for line in found if line != "ok"]


def _rows(connection: sqlite3.Connection, state: State, dimension: int) -> list[str]:
    problems = []
    total = vectors = digest = 0
    damaged: list[str] = []
    for chunk in rows.chunks(connection, dimension):
        total += len(chunk.ids) + len(chunk.damaged)
        vectors += len(chunk.vectors)
        digest += chunk.digest
        damaged += chunk.damaged.values()
    if damaged:
        shown = ", ".join(repr(record_id) for record_id in damaged[:_PROBLEMS_SHOWN])
        more = f" and {len(damaged) - _PROBLEMS_SHOWN} more" if len(damaged) > _PROBLEMS_SHOWN else ""
        problems.append(
            f"records do not match their checksum: {shown}{more}; write these ids again or delete them by id."
        )
    elif (total, vectors, digest) != (state.rows, state.vectors, state.digest):
        problems.append(
            f"{total} records with {vectors} vectors are stored, {state.rows} with {state.vectors} were written, or"
            " their checksums differ; restore the collection from a copy."
        )
    return problems


def _words(connection: sqlite3.Connection, state: State, _dimension: int) -> list[str]:
    problems = []
    indexed, missing = connection.execute(
        "SELECT (SELECT count(*) FROM words_docsize),"
        " (SELECT count(*) FROM records WHERE label NOT IN (SELECT id FROM words_docsize))"
    ).fetchone()
    if missing or indexed != state.rows:
        problems.append(f"the text index holds {indexed} of {state.rows} records; `optimize()` makes it anew.")
    if state.text_seq == state.seq and text.digest(connection) != state.text_digest:
        problems.append("the text index does not match its checksum; `optimize()` makes it anew.")
    return problems

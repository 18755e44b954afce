"""One write: what goes, what comes, and everything that must change with it in the same transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from ctxkit.local import rows, text
from ctxkit.local.faults import Place
from ctxkit.local.schema import ADDED, REMOVED, State, log_change, trim_changes, write_state
from ctxkit.local.view import View

_TRANSACTIONS_LOGGED = 4096


def write(
    connection: sqlite3.Connection,
    state: State,
    view: View,
    place: Place,
    *,
    removed: Sequence[int],
    added: rows.EncodedBatch | None,
) -> None:
    """Remove rows by label and add a batch, inside the caller's transaction."""
    state.seq += 1
    repair = _take_away(connection, state, view, place, removed) if removed else False
    if added is not None:
        rows.insert(connection, added)
        first, count = added.records[0][0], len(added.records)
        log_change(connection, state.seq, ADDED, [(first, first + count - 1)])
        state.last_label = first + count - 1
        state.rows += count
        state.vectors += len(added.vectors)
        state.digest += added.digest
    if repair:
        _repair(connection, state, view)
    trim_changes(connection, state, _TRANSACTIONS_LOGGED)
    write_state(connection, state)


def runs(labels: Iterable[int]) -> list[tuple[int, int]]:
    """Return ascending labels as closed ranges."""
    found: list[tuple[int, int]] = []
    for label in labels:
        if found and found[-1][1] == label - 1:
            found[-1] = (found[-1][0], label)
        else:
            found.append((label, label))
    return found


def rebuild_words(connection: sqlite3.Connection) -> None:
    """Make the text index anew from the stored text."""
    text.rebuild(connection, ((row.label, row.text) for row in rows.texts(connection) if row.ok))


def _take_away(connection: sqlite3.Connection, state: State, view: View, place: Place, removed: Sequence[int]) -> bool:
    """Remove rows; return whether a damaged one was among them."""
    stored = rows.fetch(connection, removed, view.index.dimension, with_vectors=False)
    if len(stored) != len(removed):
        raise place.corrupt(f"{len(removed) - len(stored)} rows that were loaded are no longer in the database.")
    sound = [row for row in stored.values() if row.ok and row.label not in view.damaged]
    text.forget(connection, ((row.label, row.text) for row in sound))
    rows.remove(connection, removed)
    log_change(connection, state.seq, REMOVED, runs(sorted(removed)))
    state.rows -= len(removed)
    state.vectors -= sum(row.has_vector for row in sound)
    state.digest -= sum(row.checksum for row in sound)
    return len(sound) < len(removed)


def _repair(connection: sqlite3.Connection, state: State, view: View) -> None:
    """Bring the text index and the totals back in step after damaged rows were removed."""
    rebuild_words(connection)
    if not view.lost:
        query = "SELECT count(*), total(checksum), (SELECT count(*) FROM vectors) FROM records"
        count, digest, vectors = connection.execute(query).fetchone()
        state.rows, state.digest, state.vectors = count, int(digest), vectors

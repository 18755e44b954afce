"""Reading a whole collection: each record that exists throughout, exactly once.

A scan decides at its start which ids it will yield and in which order, then reads them page by page. A record
replaced meanwhile has a new label but its old id, so it is neither missed nor met twice: it comes as it is now,
unless it no longer passes the filter. Deleted ones are left out, new ones are not looked at.
"""

from __future__ import annotations

import sqlite3
from itertools import islice

import numpy as np
import numpy.typing as npt

from ctxkit.errors import InvalidQueryError
from ctxkit.filters import Filter, matches
from ctxkit.local import rows
from ctxkit.local.search import damaged_rows
from ctxkit.local.session import Session
from ctxkit.local.view import View
from ctxkit.records import Record

PAGE = 256


def check_scan(order_by: object, limit: object) -> None:
    """Raise InvalidQueryError for arguments that mean nothing."""
    if order_by is not None and (not isinstance(order_by, str) or not order_by):
        raise InvalidQueryError(f"order_by is {order_by!r}.", fix="name one metadata field.")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, (int, np.integer)) or limit < 0):
        raise InvalidQueryError(f"limit is {limit!r}.", fix="pass a non-negative int, or None for all.")


def planned(
    view: View,
    connection: sqlite3.Connection,
    wanted: npt.NDArray[np.int64],
    *,
    order_by: str | None,
    descending: bool,
    limit: int | None,
) -> list[str]:
    """Return the ids of the rows `wanted`, in the order in which to yield them.

    By label (the order of writing), or by a field: numbers, then strings, then the rest - records without it and
    those with a bool or a list there -, ties by id. `descending` turns the values round, strings then first.
    """
    if order_by is None:
        wanted = wanted[::-1] if descending else wanted
        return [view.ids[row] for row in islice(wanted.tolist(), limit)]
    keys, sortable = view.column(connection, order_by).order_keys(wanted)
    values, with_key, without = keys[sortable], wanted[sortable], wanted[~sortable]
    if descending:
        # Minus the least int64 would overflow; the complement turns the order round as well.
        values = -values if values.dtype.kind == "f" else ~values
    if limit is not None and 0 < limit < len(values):
        near = values <= np.partition(values, limit - 1)[limit - 1]
        values, with_key = values[near], with_key[near]
    ids = view.ids
    first = [
        record_id for _, record_id in sorted(zip(values.tolist(), [ids[r] for r in with_key.tolist()], strict=True))
    ]
    if limit is not None and len(first) >= limit:
        return first[:limit]
    return list(islice([*first, *sorted(ids[row] for row in without.tolist())], limit))


def page(
    view: View,
    connection: sqlite3.Connection,
    ids: list[str],
    node: Filter,
    session: Session,
    *,
    with_vectors: bool,
    since: int,
) -> list[Record]:
    """Return the records of these ids that still exist and pass; `since` is the label counter at the scan's start."""
    if view.damaged and (bad := [name for name in ids if view.row(name) is None and view.label(name) is not None]):
        raise damaged_rows(bad, session.place)
    rows_ = [row for record_id in ids if (row := view.row(record_id)) is not None]
    found = records(view, connection, rows_, session, with_vectors=with_vectors)
    if not rows_ or view.labels[rows_].max() <= since:
        return found
    labels = view.labels[rows_].tolist()
    pairs = zip(labels, found, strict=True)
    return [record for label, record in pairs if label <= since or matches(node, record.metadata)]


def records(
    view: View, connection: sqlite3.Connection, rows_: list[int], session: Session, *, with_vectors: bool
) -> list[Record]:
    """Return the records of live rows; raises StoreCorruptError when one is missing or damaged."""
    row_of: dict[int, int] = dict(zip(view.labels[rows_].tolist(), rows_, strict=True))
    if with_vectors:
        stored = rows.fetch(connection, list(row_of), view.index.dimension, with_vectors=True)
        found = {label: row.record() for label, row in stored.items() if row.ok}
    else:
        texts = view.read(connection, row_of, session.turn)
        metadata = rows.all_parsed(raw for _, raw in texts.values())
        found = {
            label: Record(view.ids[row_of[label]], text.decode(), None, about)
            for (label, (text, _)), about in zip(texts.items(), metadata, strict=True)
        }
    if bad := [view.ids[row] for label, row in row_of.items() if label not in found]:
        raise damaged_rows(bad, session.place)
    return [found[label] for label in row_of]

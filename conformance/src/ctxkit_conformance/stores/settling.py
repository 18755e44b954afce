"""Stores whose writes are seen a little later: waiting for them, no longer than the store says."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, Final

import numpy as np

from ctxkit.errors import CtxkitError
from ctxkit.filters import Where, matches, parse
from ctxkit.interfaces import VectorStore
from ctxkit.records import Record, RecordBatch

PAUSE: Final = 0.002  # seconds between two looks
_VALUES: Final = 6  # metadata values that are looked for after one write
_log = logging.getLogger(__name__)

Stored = dict[str, Record]


def settle(store: VectorStore, note: Callable[[str], None] = _log.warning) -> None:
    """Make the writes of an eventually consistent store return only once they are seen.

    After each upsert and delete of this handle every way of reading is asked until all of them show the write, for no
    longer than the declared `consistency_bound`; then the call returns all the same, and `note` is told what did not
    show it in time. A store that declares "immediate" is left as it is.
    """
    if store.capabilities.consistency == "eventual":
        watcher = _Watcher(store, note)
        store.upsert = watcher.upsert(store.upsert)  # type: ignore[method-assign]
        store.delete = watcher.delete(store.delete)  # type: ignore[method-assign]


class _Watcher:
    """Knows what a write changed, and looks for it with the methods that the store has at the beginning."""

    def __init__(self, store: VectorStore, note: Callable[[str], None]) -> None:
        self._store = store
        self._note = note

    def upsert(self, original: Callable[..., None]) -> Callable[..., None]:
        """Return an upsert that waits."""

        @wraps(original)
        def upsert(records: Sequence[Record] | RecordBatch) -> None:
            before = self._stored(_ids_of(records))
            original(records)
            self._wait("upsert", before, {record.id: _as_stored(record) for record in records})

        return upsert

    def delete(self, original: Callable[..., int]) -> Callable[..., int]:
        """Return a delete that waits."""

        @wraps(original)
        def delete(ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
            before = self._chosen(ids, where)
            deleted = original(ids, where=where)
            self._wait("delete", before, {})
            return deleted

        return delete

    def _wait(self, name: str, before: Stored, after: Stored) -> None:
        """Look until everything shows the write, or the bound has passed."""
        if not before and not after:
            return
        bound = self._store.capabilities.consistency_bound
        deadline = time.monotonic() + bound
        while True:
            late = unseen(self._store, before, after)
            if late is None:
                return
            if time.monotonic() >= deadline:
                shown = ", ".join(repr(record_id) for record_id in list({**before, **after})[:3])
                self._note(f"# {name} of {shown} was not seen within consistency_bound = {bound:g} s: {late}")
                return
            time.sleep(PAUSE)

    def _stored(self, ids: Sequence[str]) -> Stored:
        found = self._store.get(ids, include_vectors=True) if ids else []
        return {record.id: record for record in found if record is not None}

    def _chosen(self, ids: Sequence[str] | None, where: Where | None) -> Stored:
        """Return the records that a delete will take; none for one that will be refused."""
        try:
            if where is not None:
                node = parse(where)
                passing = (r for r in self._store.scan(include_vectors=True) if matches(node, r.metadata))
                return {record.id: record for record in passing if ids is None or record.id in ids}
            return self._stored(list(dict.fromkeys(ids or ())))
        except (CtxkitError, TypeError):
            return {}


def unseen(store: VectorStore, before: Mapping[str, Record], after: Mapping[str, Record]) -> str | None:
    """Return what does not show yet that `before` was replaced by `after`, None when everything does."""
    looks: list[Callable[[], str | None]] = [
        lambda: _unseen_by_get(store, before, after),
        lambda: _unseen_by_scan(store, before, after),
        lambda: _unseen_by_filters(store, [*before.values(), *after.values()]),
        lambda: _unseen_by_query(store, before, after),
        lambda: _unseen_by_words(store, before, after),
    ]
    return next((late for look in looks if (late := look()) is not None), None)


def _unseen_by_get(store: VectorStore, before: Mapping[str, Record], after: Mapping[str, Record]) -> str | None:
    ids = list({**before, **after})
    found = store.get(ids, include_vectors=True)
    late = [record_id for record_id, record in zip(ids, found, strict=True) if record != after.get(record_id)]
    return f"get([{late[0]!r}])" if late else None


def _unseen_by_scan(store: VectorStore, before: Mapping[str, Record], after: Mapping[str, Record]) -> str | None:
    found = {record.id: record for record in store.scan(include_vectors=True)}
    late = [record_id for record_id in {**before, **after} if found.get(record_id) != after.get(record_id)]
    if late:
        return f"scan() of {late[0]!r}"
    count = store.count()
    return None if count == len(found) else f"count() is {count} and scan() yields {len(found)}"


def _unseen_by_filters(store: VectorStore, changed: Iterable[Record]) -> str | None:
    """Ask for some values that were written or went away, with $eq alone, which every store has."""
    values: dict[str, Where] = {}
    for record in changed:
        values.update({repr(item): dict([item]) for item in record.metadata.items() if len(values) < _VALUES})
    for where in values.values():
        node = parse(where)
        expected = sum(matches(node, record.metadata) for record in store.scan())
        if store.count(where) != expected:
            return f"count({where!r})"
    return None


def _unseen_by_query(store: VectorStore, before: Mapping[str, Record], after: Mapping[str, Record]) -> str | None:
    total = store.count()
    if not total:
        return None
    hits = store.query([1.0] * store.spec.dimension, total, include_vectors=True)[0]
    found = {hit.id: hit.vector for hit in hits}
    for record_id in {**before, **after}:
        vector = after[record_id].vector if record_id in after else None
        seen = found.get(record_id)
        if (vector is None) != (seen is None) or not np.array_equal(np.asarray(vector), np.asarray(seen)):
            return f"query() for {record_id!r}"
    return None


def _unseen_by_words(store: VectorStore, before: Mapping[str, Record], after: Mapping[str, Record]) -> str | None:
    """Ask for the longest word of one record that came and of one that went; how words are cut nobody knows."""
    if store.capabilities.text_search is None:
        return None
    for records, here in ((after, True), (before, False)):
        for record_id, record in list(records.items())[-1:]:
            word = max(_words(record.text), key=len, default="")
            other = after.get(record_id)
            if word and (here or other is None or word not in other.text):
                found = store.text_query(word, max(1, store.count())).ids
                if (record_id in found) != here:
                    return f"text_query({word!r})"
    return None


def _words(text: str) -> Iterator[str]:
    return (word for word in text.split() if word.isascii() and word.isalnum())


def _ids_of(records: Sequence[Record] | RecordBatch) -> list[str]:
    """Return the ids that may be asked for; a batch that will be refused may hold anything."""
    try:
        ids: Sequence[object] = records.ids if isinstance(records, RecordBatch) else [each.id for each in records]
        return [record_id for record_id in ids if isinstance(record_id, str)]
    except (TypeError, AttributeError):
        return []


def _as_stored(record: Record) -> Record:
    vector: Any = None if record.vector is None else np.array(record.vector, dtype=np.float32)
    plain = {key: _plain(value) for key, value in record.metadata.items()}
    return Record(record.id, record.text, vector, plain)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value

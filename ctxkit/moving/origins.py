"""What records are moved from: a collection that is open, or an export."""

from __future__ import annotations

import heapq
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Final, Protocol

from ctxkit.interfaces import CollectionSpec, VectorStore
from ctxkit.memory.entries import FILLER
from ctxkit.memory.vault import without_filler
from ctxkit.records import Record

_NO_FIELD: Final = "$id"  # no record has a field that begins so: ties of a scan ordered by it go by id
_GROUP: Final = 256
_SORTED: Final = 50_000  # ids that are sorted in memory


class Origin(Protocol):
    """Records to be moved, each without the vector that only a store wanted of it."""

    @property
    def spec(self) -> CollectionSpec:
        """What the collection is."""

    def count(self) -> int:
        """Return how many records there are."""

    def bare(self) -> int:
        """Return how many of them have no vector."""

    def records(self) -> Iterator[Record]:
        """Yield every record, with its vector."""

    def chosen(self, ids: Sequence[str]) -> Iterable[Record]:
        """Return those of these records that are here."""

    def gone(self, ids: Sequence[str]) -> list[str]:
        """Return those of these ids that are not here, which a target has to lose."""

    def version(self) -> int | None:
        """Return the number of the last write, None where nothing counts them."""


def is_memory(spec: CollectionSpec) -> bool:
    """Whether a collection is a memory, which marks a vector that means nothing and searches without it."""
    return spec.fields.get(FILLER) == "bool"


class StoreOrigin:
    """A collection as an origin."""

    def __init__(self, store: VectorStore) -> None:
        self.store = store

    @property
    def spec(self) -> CollectionSpec:
        """What the collection is."""
        return self.store.spec

    def count(self) -> int:
        """Return how many records there are."""
        return self.store.count()

    def bare(self) -> int:
        """Return how many of them have no vector, or one that means nothing."""
        found = self.store.stats()
        fillers = self.store.count({FILLER: True}) if is_memory(self.spec) else 0
        return found.rows - found.vectors + fillers

    def records(self) -> Iterator[Record]:
        """Yield every record, in the order of the store's scan."""
        return self._own(self.store.scan(include_vectors=True))

    def chosen(self, ids: Sequence[str]) -> Iterable[Record]:
        """Return those of these records that are here."""
        return self._own(record for record in self.store.get(ids, include_vectors=True) if record is not None)

    def in_id_order(self) -> Iterator[Record]:
        """Yield every record with its vector by id, in code-point order."""
        if self.store.capabilities.ordered_scan:
            return self._own(self.store.scan(order_by=_NO_FIELD, include_vectors=True))
        return (
            record for some in _groups(_sorted(each.id for each in self.store.scan())) for record in self.chosen(some)
        )

    def _own(self, records: Iterable[Record]) -> Iterator[Record]:
        memory = is_memory(self.spec)
        for record in records:
            yield without_filler(record) if memory else record

    def gone(self, ids: Sequence[str]) -> list[str]:
        """Return those of these ids that are not here."""
        return [record_id for record_id, found in zip(ids, self.store.get(ids), strict=True) if found is None]

    def version(self) -> int | None:
        """Return the number of the last write, None where the store does not count them."""
        return self.store.version()


def _groups(ids: Iterable[str]) -> Iterator[Sequence[str]]:
    left = iter(ids)
    while some := list(islice(left, _GROUP)):
        yield some


def _sorted(ids: Iterator[str]) -> Iterator[str]:
    """Yield ids in code-point order; those beyond what memory should hold are sorted in pieces, kept in files."""
    with ExitStack() as held:
        pieces: list[Iterator[str]] = []
        while piece := sorted(islice(ids, _SORTED)):
            file = held.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
            file.writelines(f"{json.dumps(each)}\n" for each in piece)
            file.seek(0)
            pieces.append(map(json.loads, file))
        yield from heapq.merge(*pieces)

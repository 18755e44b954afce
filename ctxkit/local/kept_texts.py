"""The texts and metadata of rows that were read lately: what is found once is often found again.

A label is never used twice, so what was read and checked for it stays true for as long as the row is there.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from threading import Lock

from ctxkit.local import rows

_KEPT_BYTES = 32 * 2**20
_BYTES_PER_ROW = 280  # two bytes objects, their pair, and its place in a dict, beside what they hold

Texts = dict[int, tuple[bytes, bytes]]


class KeptTexts:
    """Text and metadata by label, as bytes, of the rows last asked for."""

    def __init__(self) -> None:
        self._rows: OrderedDict[int, tuple[bytes, bytes]] = OrderedDict()
        self.nbytes = 0

    def read(
        self,
        connection: sqlite3.Connection,
        labels: Sequence[int],
        sums_of: Callable[[Sequence[int]], Sequence[int | None]],
        turn: Lock,
    ) -> Texts:
        """Return text and metadata of these labels, without those of rows that are missing or damaged.

        `sums_of` returns the checksums of the vectors of some of the labels. `turn` is that of those who read: SQLite
        lets go of the interpreter at every row, and threads that hand it to each other row by row take longer than one
        after the other.
        """
        with turn:
            kept = self._rows
            unread = [label for label in labels if label not in kept]
            fresh = rows.fetch_texts(connection, unread, sums_of(unread)) if unread else {}
            found: Texts = {}
            for label in labels:
                pair = fresh.get(label)
                if pair is not None:
                    found[label] = pair
                elif label in kept:
                    found[label] = kept[label]
                    kept.move_to_end(label)
            for label, pair in fresh.items():
                kept[label] = pair
                self.nbytes += _size(pair)
            while self.nbytes > _KEPT_BYTES:
                self.nbytes -= _size(kept.popitem(last=False)[1])
        return found

    def forget(self, labels: Iterable[int]) -> None:
        """Keep nothing of rows that were removed; nobody else may be reading."""
        for label in labels:
            pair = self._rows.pop(label, None)
            if pair is not None:
                self.nbytes -= _size(pair)


def _size(pair: tuple[bytes, bytes]) -> int:
    return _BYTES_PER_ROW + len(pair[0]) + len(pair[1])

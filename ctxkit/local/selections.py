"""What passes the last few filters, kept while the view that they were asked of goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctxkit.local.index import Mask, Slots

Rows = npt.NDArray[np.int64]
KEPT = 8


@dataclass(frozen=True, slots=True)
class Selection:
    """What passes a filter: which rows and which slots of the view, and how many of those slots."""

    rows: Mask
    slots: Mask
    matches: int


class Selections:
    """The selections of a view by what tells their filters apart; they follow what is written."""

    def __init__(self) -> None:
        self._kept: dict[object, Selection] = {}

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        # A list at once: threads that only read add and drop selections.
        return sum(each.rows.nbytes + each.slots.nbytes for each in list(self._kept.values()))

    def clear(self) -> None:
        """Keep none."""
        self._kept.clear()

    def of(self, key: object, slot_of_row: Slots, slots: int, passing: Callable[[int], Rows]) -> Selection:
        """Return the selection of a filter among all rows and `slots` slots.

        `passing` returns the rows from some row on that pass it.
        """
        found = self._kept.get(key)
        if found is not None and len(found.rows) == len(slot_of_row):
            return found
        if found is None:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            found = Selection(np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.bool_), 0)
        first, first_slot = len(found.rows), len(found.slots)
        rows = passing(first)
        own = slot_of_row[rows]
        own = own[own >= 0]
        self._kept[key] = grown = Selection(
            np.concatenate([found.rows, _marked(rows, first, len(slot_of_row))]),
            np.concatenate([found.slots, _marked(own, first_slot, slots)]),
            found.matches + len(own),
        )
        return grown

    def remove(self, rows: Rows, slots: Slots) -> None:
        """Take removed rows and their slots out of every selection; nobody else may be searching."""
        for key, found in self._kept.items():
            found.rows[rows[rows < len(found.rows)]] = False
            found.slots[slots[slots < len(found.slots)]] = False
            self._kept[key] = Selection(found.rows, found.slots, int(np.count_nonzero(found.slots)))


def _marked(places: Rows, first: int, end: int) -> Mask:
    """Return which of the places from `first` to before `end` are among those given."""
    mask = np.zeros(end - first, dtype=np.bool_)
    mask[places - first] = True
    return mask

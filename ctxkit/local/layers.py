"""What is searched: an immutable segment, the vectors written since, and a plan for each question.

Slots 0, 1, 2, ... are places of vectors: first those of the segment, then those of the delta. A slot is alive as long
as its record is; the segment's own index never hears of removals.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from threading import Lock

import numpy as np
import numpy.typing as npt

from ctxkit.local.arrays import Growing
from ctxkit.local.exact import ExactRows
from ctxkit.local.index import Mask, Similarities, Slots, prepared
from ctxkit.local.segment import Segment
from ctxkit.records import FloatVectors, Metric

# With a smaller share of its slots allowed, brute force over those costs less than asking the index for enough.
_INDEX_SHARE = 0.25
# An exact index looks at every slot, too: it is worth asking only where hardly any is left out.
_EXACT_SHARE = 0.9
_SPARE = 8


class Layers:
    """The vectors of one view: `segment` (None before there is one) and the delta."""

    def __init__(self, dimension: int, metric: Metric, segment: Segment | None = None) -> None:
        self.dimension = dimension
        self.metric: Metric = metric
        self.segment = segment
        self.delta = ExactRows(dimension, metric)
        self._fixed = 0 if segment is None else len(segment.labels)
        self._alive = Growing(np.bool_)
        self._alive.extend(np.zeros(self._fixed, dtype=np.bool_))
        self._live = self._live_fixed = 0
        index = None if segment is None else segment.index
        self._turn: AbstractContextManager[object] = nullcontext() if index is None or index.concurrent else Lock()
        self.plan = "nothing was searched yet"

    def __len__(self) -> int:
        return self._live

    @property
    def size(self) -> int:
        """Slots, dead ones included."""
        return len(self._alive)

    @property
    def alive(self) -> Mask:
        """Which slots are alive."""
        return self._alive.values

    @property
    def exact(self) -> bool:
        """Whether a search returns the true nearest."""
        return self.segment is None or self.segment.index is None or self.segment.index.exact

    def candidates(self, k: int) -> int:
        """Return how many slots to ask for so that exact scores can tell the k best.

        A few more than k settle which of two rows that float32 cannot tell apart comes first.
        """
        if self.exact:
            return k + _SPARE
        assert self.segment is not None and self.segment.index is not None  # noqa: PT018, S101 - else it is exact
        return math.ceil(k * self.segment.index.oversampling) + 2

    @property
    def nbytes(self) -> int:
        """Bytes of private memory."""
        index = None if self.segment is None else self.segment.index
        return self.delta.nbytes + self._alive.nbytes + (0 if index is None else index.nbytes)

    @property
    def delta_live(self) -> int:
        """Live vectors that the segment does not hold."""
        return self._live - self._live_fixed

    @property
    def dead_share(self) -> float:
        """The share of the segment's slots that are dead."""
        return 1 - self._live_fixed / self._fixed if self._fixed else 0.0

    def add(self, vectors: FloatVectors) -> Slots:
        """Append vectors to the delta and return their slots."""
        first = self.size
        self.delta.add(vectors)
        self._alive.extend(np.ones(len(vectors), dtype=np.bool_))
        self._live += len(vectors)
        return np.arange(first, first + len(vectors), dtype=np.int64)

    def add_from(self, other: Layers, slots: Slots) -> Slots:
        """Append the vectors at `slots` of other layers, as they are held there."""
        first = self.size
        if len(slots):
            # As they are kept: to work all of them out again would hold up every search meanwhile.
            self.delta.add_kept(other.rows_at(slots), other.extras_at(slots))
            self._alive.extend(np.ones(len(slots), dtype=np.bool_))
            self._live += len(slots)
        return np.arange(first, first + len(slots), dtype=np.int64)

    def claim(self, labels: npt.NDArray[np.int64], sums: npt.NDArray[np.uint32]) -> Slots:
        """Return the segment's slots of these labels and make them alive; -1 where it has not that very vector."""
        if self.segment is None or not self._fixed:
            return np.full(len(labels), -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(self.segment.labels, labels), self._fixed - 1)
        same = (self.segment.labels[places] == labels) & (self.segment.sums[places] == sums)
        found = places[same]
        fresh = found[~self.alive[found]]
        self.alive[fresh] = True
        self._live += len(fresh)
        self._live_fixed += len(fresh)
        return np.where(same, places, -1).astype(np.int64)

    def remove(self, slots: Slots) -> None:
        """Make slots dead for good."""
        living = slots[self.alive[slots]]
        self.alive[living] = False
        self._live -= len(living)
        self._live_fixed -= int(np.count_nonzero(living < self._fixed))

    def rows_at(self, slots: Slots) -> FloatVectors:
        """Return the vectors at these slots, as they are kept, as float32[n, d] of their own."""
        if not self._fixed:
            return self.delta.rows[slots]
        assert self.segment is not None  # noqa: S101 - the fixed slots are its own
        rows = self.segment.rows.rows.take(slots, axis=0, mode="clip")  # whatever stands there for those of the delta
        fresh = np.flatnonzero(slots >= self._fixed)
        if len(fresh):
            rows[fresh] = self.delta.rows[slots[fresh] - self._fixed]
        return rows

    def extras_at(self, slots: Slots) -> Similarities:
        """Return the numbers that go with the vectors at these slots; empty under dot."""
        if self.metric == "dot":
            return np.zeros(0, dtype=np.float32)
        fixed = slots < self._fixed
        if self.segment is None or not fixed.any():
            return self.delta.extras[slots - self._fixed]
        extras = np.empty(len(slots), dtype=np.float32)
        extras[fixed] = self.segment.rows.extras[slots[fixed]]
        extras[~fixed] = self.delta.extras[slots[~fixed] - self._fixed]
        return extras

    def search(self, queries: FloatVectors, k: int, allowed: Mask | None) -> tuple[Slots, Similarities]:
        """Return the k best live slots of each query; `allowed`, bool[slots], limits them further (None: no limit)."""
        asked = prepared(queries, self.metric)
        wanted = self._wanted(allowed)
        parts = []
        if self.segment is not None and self._fixed:
            parts.append(self._in_segment(asked, k, None if wanted is None else wanted[: self._fixed]))
        if len(self.delta):
            slots, similarities = self.delta.search(asked, k, None if wanted is None else wanted[self._fixed :])
            parts.append((np.where(slots < 0, -1, slots + self._fixed), similarities))
            if len(parts) == 1:
                self.plan = f"exact: {self._counted(wanted)} in memory"
        if not parts:
            empty = np.full((len(queries), k), -1, dtype=np.int64)
            return empty, np.full((len(queries), k), -np.inf, dtype=np.float32)
        if len(parts) == 1:
            return parts[0]
        return _merged(parts, k)

    def _wanted(self, allowed: Mask | None) -> Mask | None:
        if allowed is None:
            return None if self._live == self.size else self.alive
        return allowed & self.alive

    def _in_segment(self, queries: FloatVectors, k: int, wanted: Mask | None) -> tuple[Slots, Similarities]:
        """Search the segment: its index where enough of what it returns can be used, else brute force."""
        assert self.segment is not None  # noqa: S101 - the caller looked
        index, fixed = self.segment.index, self._fixed
        count = fixed if wanted is None else int(np.count_nonzero(wanted))
        if index is None or count < (_EXACT_SHARE if index.exact else _INDEX_SHARE) * fixed:
            self.plan = f"exact: {count} matching rows of {fixed} in the segment"
            return self._by_force(queries, k, wanted)
        if count == fixed:
            wanted = None
        # About k of the best `reach` slots can be used. Where k can, they are the k best that can be used at all.
        reach = min(fixed, k if wanted is None else math.ceil(k * fixed / count * 1.25) + _SPARE)
        with self._turn:
            slots, similarities = index.search(queries, reach)
        self.plan = f"{index.name}: the best {reach} of {fixed}, {count} of which match"
        usable = slots >= 0
        if wanted is not None:
            usable &= wanted[slots]
        elif usable.all():
            return slots, similarities
        short = np.flatnonzero(usable.sum(axis=1) < min(k, count))
        slots, similarities = _packed(slots, similarities, usable, k)
        if len(short):
            self.plan += f"; {len(short)} of {len(queries)} questions by brute force, where too few did"
            slots[short], similarities[short] = self._by_force(queries[short], k, wanted)
        return slots, similarities

    def _by_force(self, queries: FloatVectors, k: int, wanted: Mask | None) -> tuple[Slots, Similarities]:
        assert self.segment is not None  # noqa: S101 - as above
        return self.segment.rows.search(queries, k, wanted)

    def _counted(self, wanted: Mask | None) -> str:
        return f"{self.size if wanted is None else int(np.count_nonzero(wanted))} rows"


def _packed(slots: Slots, similarities: Similarities, usable: Mask, k: int) -> tuple[Slots, Similarities]:
    """Move what is usable to the front of each row, in order, and cut at k."""
    if slots.shape[1] == k and usable.all():
        return slots, similarities
    order = np.argsort(~usable, axis=1, kind="stable")[:, :k]
    kept = np.take_along_axis(usable, order, axis=1)
    found = np.where(kept, np.take_along_axis(slots, order, axis=1), -1)
    values = np.where(kept, np.take_along_axis(similarities, order, axis=1), np.float32(-np.inf))
    missing = k - order.shape[1]
    if missing > 0:
        found = np.pad(found, ((0, 0), (0, missing)), constant_values=-1)
        values = np.pad(values, ((0, 0), (0, missing)), constant_values=-np.inf)
    return found, values


def _merged(parts: list[tuple[Slots, Similarities]], k: int) -> tuple[Slots, Similarities]:
    """Return the k best of several answers."""
    slots = np.concatenate([part[0] for part in parts], axis=1)
    similarities = np.concatenate([part[1] for part in parts], axis=1)
    similarities[slots < 0] = -np.inf
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    each = np.arange(len(slots))[:, None]
    return slots[each, order], similarities[each, order]

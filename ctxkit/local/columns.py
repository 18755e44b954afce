"""Metadata fields as columns in memory: how filters and orders are evaluated."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from ctxkit.filters import And, Compare, Filter, Not, Or
from ctxkit.local.column import Column, Mask, Rows
from ctxkit.records import Metadata

_COLUMNS_KEPT = 64
_FEW = 1024  # rows that are found one by one rather than by a look at all
_FEW_SHARE = 0.05


class Columns:
    """The columns in use: declared fields always, others from their first use until room is needed."""

    def __init__(self, declared: Iterable[str] = ()) -> None:
        self._declared = frozenset(declared)
        self._columns: OrderedDict[str, Column] = OrderedDict()

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def nbytes(self) -> int:
        """Bytes of all columns."""
        # A list at once: threads that only read move columns about.
        return sum(column.nbytes for column in list(self._columns.values()))

    @property
    def names(self) -> list[str]:
        """The fields held, sorted."""
        return sorted(self._columns)

    def missing(self, fields: Iterable[str]) -> list[str]:
        """Return which of these fields have no column yet, and mark the others as just used."""
        missing = []
        for field in fields:
            if field in self._columns:
                self._columns.move_to_end(field)
            else:
                missing.append(field)
        return missing

    def make(self, fields: Sequence[str], rows: Iterable[Sequence[Metadata]]) -> None:
        """Build columns for fields that have none, from the metadata of all rows in row order, in blocks."""
        made = {field: Column() for field in fields}
        for block in rows:
            for field, column in made.items():
                column.extend([metadata.get(field) for metadata in block])
        self._columns.update(made)

    def trim(self, used: Collection[str]) -> None:
        """Drop the columns used longest ago beyond the number kept, never a declared one or one of `used`."""
        spare = [name for name in self._columns if name not in self._declared and name not in used]
        for name in spare[: max(0, len(self._columns) - _COLUMNS_KEPT)]:
            del self._columns[name]

    def extend(self, rows: Sequence[Metadata]) -> None:
        """Append rows to every column."""
        for field, column in self._columns.items():
            column.extend([metadata.get(field) for metadata in rows])

    def column(self, field: str) -> Column:
        """Return a column that is held."""
        return self._columns[field]

    def mask(self, node: Filter, size: int, rows: Rows | None = None) -> Mask:
        """Return which of `size` rows pass, or of those given; every field of the filter must be held."""
        if isinstance(node, Compare):
            return self._columns[node.field].mask(node, rows)
        if isinstance(node, Not):
            return ~self.mask(node.part, size, rows)
        start = isinstance(node, And)
        result = np.full(size if rows is None else len(rows), start, dtype=np.bool_)
        for part in node.parts:
            if start:
                result &= self.mask(part, size, rows)
            else:
                result |= self.mask(part, size, rows)
        return result

    def few(self, node: Filter, size: int) -> Rows | None:
        """Return the rows that pass, ascending, where that can be told without a look at most of `size` rows."""
        return self._find(node, size) if self._at_most(node, size) <= max(_FEW, _FEW_SHARE * size) else None

    def key(self, node: Filter) -> object:
        """Return what two filters have in common when the same rows pass them, now and after rows are appended."""
        if isinstance(node, Compare):
            return node.field, self._columns[node.field].key(node)
        if isinstance(node, Not):
            return "not", self.key(node.part)
        return "and" if isinstance(node, And) else "or", *map(self.key, node.parts)

    def _at_most(self, node: Filter, size: int) -> int:
        """Return how many rows may pass, quickly."""
        if isinstance(node, Compare):
            return self._columns[node.field].at_most(node)
        if isinstance(node, Not) or node == And(()):
            return size
        counts = [self._at_most(part, size) for part in node.parts]
        return min(counts) if isinstance(node, And) else sum(counts)

    def _find(self, node: Filter, size: int) -> Rows:
        """Return the rows that pass, ascending, beginning with the part of an And that the fewest pass."""
        if isinstance(node, Compare):
            return self._columns[node.field].find(node)
        if isinstance(node, Not) or node == And(()):
            return np.flatnonzero(self.mask(node, size))
        if isinstance(node, Or):
            found = [self._find(part, size) for part in node.parts]
            return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *found]))
        first = min(node.parts, key=lambda part: self._at_most(part, size))
        rows = self._find(first, size)
        for part in node.parts:
            if part is not first and len(rows):
                rows = rows[self.mask(part, size, rows)]
        return rows


def fields_of(node: Filter) -> set[str]:
    """Return the fields a filter looks at."""
    if isinstance(node, Compare):
        return {node.field}
    if isinstance(node, Not):
        return fields_of(node.part)
    return {field for part in node.parts for field in fields_of(part)}

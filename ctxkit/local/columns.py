"""Metadata fields as columns in memory: how filters and orders are evaluated.

A column is dictionary-encoded: one code per row into the distinct values of the field, -1 where it is absent. A
test is evaluated once per distinct value - by the reference evaluator, or by an equivalent lookup where that
would take long - and then looked up by code, so its meaning is the reference's.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ctxkit.filters import And, Compare, Filter, Not, compare_value
from ctxkit.local.arrays import Growing
from ctxkit.records import Metadata, MetadataValue

Mask = npt.NDArray[np.bool_]
_COLUMNS_KEPT = 64
_ABSENT = -1
_MOST, _LEAST = 2**63 - 1, -(2**63)
_Orders = dict[str, Callable[[Any, Any], Any]]
_ORDERS: _Orders = {"$gt": np.greater, "$gte": np.greater_equal, "$lt": np.less, "$lte": np.less_equal}


class Column:
    """One metadata field of all rows."""

    __slots__ = ("_codes", "_floats", "_ints", "_known", "_others", "values")

    def __init__(self) -> None:
        self.values: list[MetadataValue] = []
        self._known: dict[object, int] = {}
        self._codes = Growing(np.int32)
        # Codes and values of the distinct ints and floats; codes of everything else.
        self._ints = (Growing(np.int32), Growing(np.int64))
        self._floats = (Growing(np.int32), Growing(np.float64))
        self._others: list[int] = []

    @property
    def codes(self) -> npt.NDArray[np.int32]:
        """The code of each row."""
        return self._codes.values

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays (the distinct values themselves are Python objects)."""
        return self._codes.nbytes + sum(part.nbytes for part in (*self._ints, *self._floats))

    def extend(self, found: Iterable[MetadataValue | None]) -> None:
        """Append the field's value of more rows, None where it is absent."""
        first = len(self.values)
        self._codes.extend([_ABSENT if value is None else self._code(value) for value in found])
        if len(self.values) > first:
            self._sort_in(first)

    def mask(self, test: Compare) -> Mask:
        """Return which rows pass."""
        # The last place of the table stays False: code -1 looks there.
        table = np.zeros(len(self.values) + 1, dtype=np.bool_)
        if test.operator == "$exists":
            table[:-1] = True
        elif test.operator in _ORDERS and _is_number(test.operand):
            self._compare_numbers(table, test)
        elif test.operator in ("$eq", "$in") and not _has_lists(test):
            operands = test.operand if isinstance(test.operand, tuple) else (test.operand,)
            table[[code for operand in operands for code in self._codes_of(operand)]] = True
        else:
            table[[code for code in self._others if compare_value(self.values[code], test)]] = True
        return table[self.codes]

    def order_keys(self) -> tuple[npt.NDArray[Any], Mask]:
        """Return a sortable number per row, and which rows have one: numbers first, then strings."""
        size = len(self.values) + 1
        ints, floats = self._ints, self._floats
        if not self._others and not (len(ints[0]) and len(floats[0])):
            codes, numbers = ints if len(ints[0]) else floats
            keys = np.zeros(size, dtype=numbers.values.dtype)
            keys[codes.values] = numbers.values
            return keys[self.codes], self.codes >= 0
        ranks = np.full(size, _ABSENT, dtype=np.int64)
        sortable = [(isinstance(v, str), v, c) for c, v in enumerate(self.values) if not isinstance(v, (bool, list))]
        previous: object = None
        rank = 0
        for is_text, value, code in sorted(sortable, key=lambda item: (item[0], item[1])):
            rank += (is_text, value) != previous
            previous = (is_text, value)
            ranks[code] = rank
        by_row = ranks[self.codes]
        return by_row, by_row >= 0

    def _code(self, value: MetadataValue) -> int:
        key = _key(value)
        code = self._known.get(key)
        if code is None:
            code = self._known[key] = len(self.values)
            self.values.append(value)
        return code

    def _sort_in(self, first: int) -> None:
        """Note which of the distinct values from `first` on are numbers, and which are not."""
        fresh = list(enumerate(self.values[first:], first))
        self._others += [code for code, value in fresh if not _is_number(value)]
        for kind, (codes, numbers) in ((int, self._ints), (float, self._floats)):
            own = [(code, value) for code, value in fresh if _is_number(value) and isinstance(value, kind)]
            codes.extend([code for code, _ in own])
            numbers.extend([value for _, value in own])

    def _codes_of(self, operand: object) -> Iterable[int]:
        """Yield the codes of the values that equal a scalar: 1 and 1.0 are one number in two types."""
        keys = [_key(operand)]
        if isinstance(operand, float) and operand.is_integer():
            keys.append(_key(int(operand)))
        elif _is_number(operand) and isinstance(operand, int) and int(float(operand)) == operand:
            keys.append(_key(float(operand)))
        return [self._known[key] for key in keys if key in self._known]

    def _compare_numbers(self, table: Mask, test: Compare) -> None:
        codes, floats = self._floats
        operator, bound = _float_bound(test.operator, test.operand)
        table[codes.values] = _ORDERS[operator](floats.values, bound)
        codes, ints = self._ints
        operator, whole = _int_bound(test.operator, test.operand)
        if whole > _MOST or whole < _LEAST:
            table[codes.values] = (whole > _MOST) == operator.startswith("$lt")
        else:
            table[codes.values] = _ORDERS[operator](ints.values, np.int64(whole))


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

    def mask(self, node: Filter, size: int) -> Mask:
        """Return which of `size` rows pass; every field of the filter must be held."""
        if isinstance(node, Compare):
            return self._columns[node.field].mask(node)
        if isinstance(node, Not):
            return ~self.mask(node.part, size)
        start = isinstance(node, And)
        result = np.full(size, start, dtype=np.bool_)
        for part in node.parts:
            if start:
                result &= self.mask(part, size)
            else:
                result |= self.mask(part, size)
        return result


def fields_of(node: Filter) -> set[str]:
    """Return the fields a filter looks at."""
    if isinstance(node, Compare):
        return {node.field}
    if isinstance(node, Not):
        return fields_of(node.part)
    return {field for part in node.parts for field in fields_of(part)}


def _key(value: object) -> object:
    """Return a dictionary key that keeps 1, 1.0 and True apart."""
    return (list, type(value[0]), tuple(value)) if isinstance(value, list) else (type(value), value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _has_lists(test: Compare) -> bool:
    return test.operator == "$eq" and isinstance(test.operand, tuple)


def _float_bound(operator: str, operand: Any) -> tuple[str, float]:
    """Return the same comparison with a float operand, for float values: exact beyond 2**53 as well."""
    bound = float(operand)
    if isinstance(operand, float) or int(bound) == operand:
        return operator, bound
    # The operand lies between `bound` and its neighbour, where no float is.
    if bound > operand:
        return ("$gte" if operator.startswith("$gt") else "$lt"), bound
    return ("$gt" if operator.startswith("$gt") else "$lte"), bound


def _int_bound(operator: str, operand: Any) -> tuple[str, int]:
    """Return the same comparison with an int operand, for int values."""
    if isinstance(operand, int):
        return operator, operand
    whole = math.floor(operand)
    if whole == operand:
        return operator, whole
    return ("$gt" if operator.startswith("$gt") else "$lte"), whole

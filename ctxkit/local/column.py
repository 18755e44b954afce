"""One metadata field of all rows: how a single test is evaluated, and where the rows of a value stand.

A column is dictionary-encoded: one code per row into the distinct values of the field, -1 where it is absent. A
test is evaluated once per distinct value - by the reference evaluator, or by an equivalent lookup where that
would take long - and then looked up by code, so its meaning is the reference's. Where few rows pass, they are found
without a look at the others: the rows, sorted by code and by number, are kept from the first such question on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ctxkit.filters import Compare, compare_value
from ctxkit.local.arrays import Growing
from ctxkit.records import MetadataValue

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
_ABSENT = -1
_MOST, _LEAST = 2**63 - 1, -(2**63)
_UNSORTED = 512  # rows at the end of a column that are looked through rather than sorted in
_UNSORTED_SHARE = 0.02
_Orders = dict[str, Callable[[Any, Any], Any]]
_ORDERS: _Orders = {"$gt": np.greater, "$gte": np.greater_equal, "$lt": np.less, "$lte": np.less_equal}


@dataclass(frozen=True, slots=True)
class _Sorted:
    """The first `covered` rows of a column, those that have a key, in the order of the keys, equal ones by row."""

    keys: npt.NDArray[Any]
    rows: npt.NDArray[np.int32]
    covered: int

    @classmethod
    def by(cls, keys: npt.NDArray[Any], rows: Rows, covered: int) -> _Sorted:
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], rows[order].astype(np.int32), covered)

    @property
    def nbytes(self) -> int:
        return self.keys.nbytes + self.rows.nbytes

    def stale(self, size: int) -> bool:
        """Whether so many rows have come since that sorting anew is worth it."""
        return size - self.covered > max(_UNSORTED, _UNSORTED_SHARE * size)


class Column:
    """One metadata field of all rows."""

    __slots__ = ("_by_code", "_by_number", "_codes", "_floats", "_ints", "_known", "_others", "values")

    def __init__(self) -> None:
        self.values: list[MetadataValue] = []
        self._known: dict[object, int] = {}
        self._codes = Growing(np.int32)
        # Codes and values of the distinct ints and floats; codes of everything else.
        self._ints = (Growing(np.int32), Growing(np.int64))
        self._floats = (Growing(np.int32), Growing(np.float64))
        self._others: list[int] = []
        self._by_code: _Sorted | None = None
        self._by_number: _Sorted | None = None

    @property
    def codes(self) -> npt.NDArray[np.int32]:
        """The code of each row."""
        return self._codes.values

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays (the distinct values themselves are Python objects)."""
        arrays = (self._codes, *self._ints, *self._floats, self._by_code, self._by_number)
        return sum(array.nbytes for array in arrays if array is not None)

    def extend(self, found: Iterable[MetadataValue | None]) -> None:
        """Append the field's value of more rows, None where it is absent."""
        first = len(self.values)
        self._codes.extend([_ABSENT if value is None else self._code(value) for value in found])
        if len(self.values) > first:
            self._sort_in(first)
            if self._numbers is None:
                self._by_number = None

    def mask(self, test: Compare, rows: Rows | None = None) -> Mask:
        """Return which rows pass, of all of them or of those given."""
        codes = self.codes if rows is None else self.codes[rows]
        if test.operator == "$exists":
            return codes >= 0
        numbers = self._numbers if len(codes) < len(self.values) and _is_order(test) else None
        if numbers is None:
            table = self._table(test)
            return table[codes] if table.any() else np.zeros(len(codes), dtype=np.bool_)
        return _passes(numbers[codes], test) & (codes >= 0)

    def key(self, test: Compare) -> object:
        """Return what two tests have in common when the same rows pass them, now and while no new value comes.

        A comparison with the time passes the same rows until the time reaches the next value.
        """
        if _is_order(test):
            return test.operator, len(self.values), int(np.count_nonzero(self._table(test)))
        return test.operator, repr(test.operand)  # unlike the operand itself, it tells 1 from True

    def at_most(self, test: Compare) -> int:
        """Return how many rows may pass, quickly; all of them where that is not known."""
        found = self._spans(test)
        if found is None:
            return len(self.codes)
        in_order, spans = found
        return sum(stop - start for start, stop in spans) + len(self.codes) - in_order.covered

    def find(self, test: Compare) -> Rows:
        """Return the rows that pass, ascending."""
        found = self._spans(test)
        if found is None:
            return np.flatnonzero(self.mask(test))
        in_order, spans = found
        rows = np.concatenate([np.zeros(0, dtype=np.int64), *(in_order.rows[start:stop] for start, stop in spans)])
        rows.sort()
        rest = np.arange(in_order.covered, len(self.codes))
        return np.concatenate([rows, rest[self.mask(test, rest)]])

    def order_keys(self, rows: Rows) -> tuple[npt.NDArray[Any], Mask]:
        """Return a sortable number for each of these rows, and which have one: numbers first, then strings."""
        codes = self.codes[rows]
        numbers = self._numbers
        if numbers is not None:
            return numbers[codes], codes >= 0
        ranks = np.full(len(self.values) + 1, _ABSENT, dtype=np.int64)
        sortable = [(isinstance(v, str), v, c) for c, v in enumerate(self.values) if not isinstance(v, (bool, list))]
        previous: object = None
        rank = 0
        for is_text, value, code in sorted(sortable, key=lambda item: (item[0], item[1])):
            rank += (is_text, value) != previous
            previous = (is_text, value)
            ranks[code] = rank
        by_row = ranks[codes]
        return by_row, by_row >= 0

    @property
    def _numbers(self) -> npt.NDArray[Any] | None:
        """The values by code, where all of them are ints, or all floats; else None. Code -1 finds one of them."""
        for _, numbers in (self._ints, self._floats):
            if self.values and len(numbers) == len(self.values):
                return numbers.values
        return None

    def _table(self, test: Compare) -> Mask:
        """Return which codes pass; the last place, where code -1 looks, stays False."""
        table = np.zeros(len(self.values) + 1, dtype=np.bool_)
        if test.operator == "$exists":
            table[:-1] = True
        elif _is_order(test):
            for codes, numbers in (self._ints, self._floats):
                table[codes.values] = _passes(numbers.values, test)
        elif test.operator in ("$eq", "$in") and not _has_lists(test):
            table[self._equal_codes(test)] = True
        else:
            table[[code for code in self._others if compare_value(self.values[code], test)]] = True
        return table

    def _spans(self, test: Compare) -> tuple[_Sorted, list[tuple[int, int]]] | None:
        """Return rows in some order, and from where to where those stand that pass; None where no order tells."""
        if _is_order(test):
            in_order = self._sorted_by_number()
            return None if in_order is None else (in_order, [_span(in_order.keys, test)])
        if test.operator == "$exists":
            in_order = self._sorted_by_code()
            return in_order, [(0, len(in_order.keys))]
        if test.operator in ("$eq", "$in") and not _has_lists(test):
            in_order = self._sorted_by_code()
            codes = np.array(self._equal_codes(test), dtype=np.int32)
            starts, stops = (np.searchsorted(in_order.keys, codes, side).tolist() for side in ("left", "right"))
            return in_order, list(zip(starts, stops, strict=True))
        return None

    def _sorted_by_code(self) -> _Sorted:
        found = self._by_code
        if found is None or found.stale(len(self.codes)):
            rows = np.flatnonzero(self.codes >= 0)
            self._by_code = found = _Sorted.by(self.codes[rows], rows, len(self.codes))
        return found

    def _sorted_by_number(self) -> _Sorted | None:
        """Return the rows in the order of their numbers, None where values are of more than one kind."""
        if not len(self._ints[0]) and not len(self._floats[0]):
            return _Sorted(np.zeros(0), np.zeros(0, dtype=np.int32), len(self.codes))
        numbers = self._numbers
        if numbers is None:
            return None
        found = self._by_number
        if found is None or found.stale(len(self.codes)):
            rows = np.flatnonzero(self.codes >= 0)
            self._by_number = found = _Sorted.by(numbers[self.codes[rows]], rows, len(self.codes))
        return found

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

    def _equal_codes(self, test: Compare) -> list[int]:
        """Return the codes of the values that equal an operand: 1 and 1.0 are one number in two types."""
        codes: dict[int, None] = {}
        for operand in test.operand if isinstance(test.operand, tuple) else (test.operand,):
            keys = [_key(operand)]
            if isinstance(operand, float) and operand.is_integer():
                keys.append(_key(int(operand)))
            elif _is_number(operand) and isinstance(operand, int) and int(float(operand)) == operand:
                keys.append(_key(float(operand)))
            codes.update((self._known[key], None) for key in keys if key in self._known)
        return list(codes)


def _key(value: object) -> object:
    """Return a dictionary key that keeps 1, 1.0 and True apart."""
    return (list, type(value[0]), tuple(value)) if isinstance(value, list) else (type(value), value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_order(test: Compare) -> bool:
    return test.operator in _ORDERS and _is_number(test.operand)


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


def _comparison(kind: str, test: Compare) -> tuple[str, Any]:
    """Return operator and operand that compare numbers of a numpy kind as the test does: exactly."""
    if kind == "f":
        return _float_bound(test.operator, test.operand)
    operator, whole = _int_bound(test.operator, test.operand)
    if whole > _MOST:
        # Beyond every int: all of them lie below, and none above.
        return ("$lte" if operator.startswith("$lt") else "$gt"), np.int64(_MOST)
    if whole < _LEAST:
        return ("$lt" if operator.startswith("$lt") else "$gte"), np.int64(_LEAST)
    return operator, np.int64(whole)


def _passes(numbers: npt.NDArray[Any], test: Compare) -> Mask:
    """Return which of the numbers pass an order."""
    operator, bound = _comparison(numbers.dtype.kind, test)
    passing: Mask = _ORDERS[operator](numbers, bound)
    return passing


def _span(numbers: npt.NDArray[Any], test: Compare) -> tuple[int, int]:
    """Return from where to where ascending numbers pass an order."""
    operator, bound = _comparison(numbers.dtype.kind, test)
    place = int(np.searchsorted(numbers, bound, "left" if operator in ("$lt", "$gte") else "right"))
    return (0, place) if operator.startswith("$lt") else (place, len(numbers))

"""Whether a version is within the range that a dependency names, as far as plain numbers go.

The rules are those of PEP 440 for releases; what a version says after its numbers ("rc1", "+local") does not count.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Final

_CLAUSE: Final = re.compile(r"(~=|===?|!=|<=|>=|<|>)v?(\d+(?:\.\d+)*)(\.\*)?\S*")
_LONGEST: Final = 16  # numbers of a version
_ORDERS: Final[Mapping[str, Callable[[list[int], list[int]], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def is_within(version: str, wanted: str) -> bool:
    """Whether a version keeps every clause of a range such as ">=0.1,<1"; a clause that is none counts as kept."""
    numbers = _numbers(version)
    clauses = (_CLAUSE.fullmatch(clause.replace(" ", "")) for clause in wanted.split(","))
    return all(_keeps(numbers, found[1], found[2], starred=bool(found[3])) for found in clauses if found)


def _keeps(version: list[int], sign: str, text: str, *, starred: bool) -> bool:
    named = text.count(".") + 1
    bound = _numbers(text)
    if sign in _ORDERS:
        return _ORDERS[sign](version, bound)
    if sign == "~=":  # at least this, and alike in all its numbers but the last
        return version >= bound and version[: named - 1] == bound[: named - 1]
    same = version[:named] == bound[:named] if starred else version == bound
    return same is not (sign == "!=")


def _numbers(version: str) -> list[int]:
    """Return the numbers that a version begins with, filled up with zeros."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", version)
    numbers = [int(part) for part in found[1].split(".")] if found else []
    return (numbers + [0] * _LONGEST)[:_LONGEST]

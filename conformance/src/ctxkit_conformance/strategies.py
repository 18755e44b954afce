"""What random tries are made of: few ids, so that they collide; few vectors, so that they tie; values of every type."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from hypothesis import strategies as st

from ctxkit.records import Metric, Record

Where: TypeAlias = dict[str, Any]

IDS: Final = ("b", "a", "B", "é", "z", "A", "e\u0301", "b ", "10", "9", "\U0001f600", "\uffff")
WORDS: Final = ("walnut", "maple", "cedar")

INTS: Final = (0, 1, 2, -1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63))
FLOATS: Final = (0.0, 1.0, 0.5, 1.5, -1.5, 2.0**53, 2.0**63, 1e300, 5e-324)
STRINGS: Final = (
    "", "a", "b", "A", "1", "é", "e\u0301", "\U0001f600", "\uffff", "true", "None", "%", "a%", "_", "*", "\\", "a\0b",
    '"', "' OR 1=1 --", '"; DROP TABLE records; --', "$gt", '{"$ne": 1}',
)  # fmt: skip
LISTS: Final[tuple[list[Any], ...]] = (
    [1], [1, 2], [2, 1], [1.0], [0.5, 1.5], [True], [False, True], ["a"], ["a", "1"], [""], ["' OR 1=1 --"],
    [2**53 + 1], [-(2**63)],
)  # fmt: skip
SCALARS: Final[tuple[Any, ...]] = (*INTS, True, False, *FLOATS, *STRINGS)
VALUES: Final[tuple[Any, ...]] = (*SCALARS, *LISTS)
# Values that a careless comparison takes for each other.
CONFUSABLE: Final[tuple[Any, ...]] = (
    0, 1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 1.0, 0.5, 2.0**53, 2.0**63, True, False, "", "a", "A", "1", "True",
    "\uffff", "\U0001f600", [1], [1, 2], [2, 1], [True], ["a"], ["1"], [1.0, 0.5],
)  # fmt: skip
# A collection of one theme has more values that a comparison can take for each other.
THEMES: Final[tuple[tuple[Any, ...], ...]] = (
    VALUES,
    (*INTS, *FLOATS, True, False),
    (2**53, 2**53 + 1, 2.0**53, 2**53 - 1, 2**63 - 1, 2.0**63, 0.5),
    (*STRINGS, 1, True),
    (*LISTS, 1, "a", True, 0.5),
)
ODD_FIELDS: Final = (
    "y", "a.b", "a b", "é", "id", "text", "vector", "metadata", "score", "where", "' OR 1=1 --",
    '"; DROP TABLE records; --', "x'", "%s", "{x}", "[0]", "a$b", "\n", "0", "NULL", "_", "\U0001f600",
)  # fmt: skip

_BINARY: Final = ("$gt", "$gte", "$lt", "$lte")
_PLACES: Final = 24  # how many different operands a filter can choose from


@dataclass(frozen=True)
class Pool:
    """The values that operands are made of: any, and those that are no lists."""

    values: tuple[Any, ...]
    scalars: tuple[Any, ...]

    @classmethod
    def of(cls, values: Sequence[Any]) -> Pool:
        """Return the pool of these values."""
        return cls(tuple(values), tuple(value for value in values if not isinstance(value, list)) or (1,))


@dataclass(frozen=True)
class Nth:
    """Stands for a value that is known once the records are: making a strategy for each collection is slow."""

    place: int
    scalar: bool


UNKNOWN: Final = Pool(
    tuple(Nth(place, scalar=False) for place in range(_PLACES)),
    tuple(Nth(place, scalar=True) for place in range(_PLACES)),
)


def lattice(dimension: int, metric: Metric) -> st.SearchStrategy[list[int]]:
    """Vectors of -1, 0, 1 and 2; without the zero vector under cosine, which refuses it."""
    points = [list(point) for point in itertools.product((1, 0, 2, -1), repeat=dimension)]
    return st.sampled_from([point for point in points if metric != "cosine" or any(point)])


@st.composite
def wild_vectors(draw: st.DrawFn, dimension: int, metric: Metric) -> list[float]:
    """Points of the lattice, some scaled until float32 products overflow or vanish, some moved by the least step."""
    point = np.array(draw(lattice(dimension, metric)), dtype=np.float32)
    scale = draw(st.sampled_from((1.0, 0.1, 1e30, 1e-40, 1e15, 1e-20)))
    point *= np.float32(scale)
    if draw(st.booleans()):
        place = draw(st.integers(0, dimension - 1))
        towards = np.float32(draw(st.sampled_from((np.inf, -np.inf))))
        point[place] = np.nextafter(point[place], towards)
    if metric == "cosine" and not point.any():
        point[0] = np.float32(1e-40)
    return [float(value) for value in point]


def metadata(fields: Mapping[str, Sequence[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of these fields, with one of its values each."""
    return st.fixed_dictionaries({}, optional={name: st.sampled_from(list(pool)) for name, pool in fields.items()})


def records(
    ids: Sequence[str], vectors: st.SearchStrategy[list[int] | None], fields: Mapping[str, Sequence[Any]]
) -> st.SearchStrategy[Record]:
    """Records with these ids and fields, whose texts are made of the words."""
    texts = st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join)
    return st.builds(Record, st.sampled_from(list(ids)), texts, vectors, metadata(fields))


def filters(operators: frozenset[str], fields: Mapping[str, Pool]) -> st.SearchStrategy[Where]:
    """Filters of these operators over these fields; each field comes with the values that operands are made of."""
    tests = st.one_of([_member(name, pool, operators) for name, pool in fields.items()])
    joined: list[Callable[[st.SearchStrategy[Where]], st.SearchStrategy[Where]]] = []
    if "$and" in operators:
        joined.append(lambda inner: st.builds(lambda parts: {"$and": parts}, st.lists(inner, min_size=1, max_size=3)))
    if "$or" in operators:
        joined.append(lambda inner: st.builds(lambda parts: {"$or": parts}, st.lists(inner, min_size=1, max_size=3)))
    if "$not" in operators:
        joined.append(lambda inner: st.builds(lambda part: {"$not": part}, inner))
    joined.append(lambda inner: st.builds(lambda left, right: {**left, **right}, inner, inner))
    return st.recursive(tests, lambda inner: st.one_of([join(inner) for join in joined]), max_leaves=4)


def neighbours(value: Any) -> list[Any]:
    """Return a value, twice, and those that a careless comparison takes for it."""
    return [value, *_confused(value)]


def _confused(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [value, value[::-1], value[0]]
    if isinstance(value, bool):
        return [value, int(value), not value]
    if isinstance(value, str):
        return [value, value + "a", value.upper(), value[:1]]
    if isinstance(value, float):
        return [value, -value, *([int(value)] if abs(value) < 2.0**63 else [])]
    return [value, float(value), *(near for near in (value + 1, value - 1) if -(2**63) <= near < 2**63)]


def resolved(where: Where, fields: Mapping[str, tuple[str, Pool]]) -> Where:
    """Return the filter with true names for its fields and true values for what stands for them."""
    found: Where = {}
    for key, value in where.items():
        if key in ("$and", "$or"):
            found[key] = [resolved(part, fields) for part in value]
        elif key == "$not":
            found[key] = resolved(value, fields)
        else:
            name, pool = fields[key]
            found[name] = _filled_in(value, pool)
    return found


def _filled_in(test: Any, pool: Pool) -> Any:
    if isinstance(test, Nth):
        values = pool.scalars if test.scalar else pool.values
        return values[test.place % len(values)]
    if isinstance(test, dict):
        return {operator: _filled_in(operand, pool) for operator, operand in test.items()}
    return [_filled_in(item, pool) for item in test] if isinstance(test, list) else test


def _member(name: str, pool: Pool, operators: frozenset[str]) -> st.SearchStrategy[Where]:
    """Filters about one field."""
    operations = st.one_of(_operations(pool, operators))
    several = st.builds(lambda left, right: {**left, **right}, operations, operations)
    found = [st.sampled_from(pool.values), operations, several]
    if "$not" in operators:
        found.append(st.builds(lambda test: {"$not": test}, operations))
    return st.builds(lambda test: {name: test}, st.one_of(found))


def _operations(pool: Pool, operators: frozenset[str]) -> list[st.SearchStrategy[Where]]:
    everything, scalar = st.sampled_from(pool.values), st.sampled_from(pool.scalars)
    some = st.lists(scalar, max_size=6)
    operands = {
        "$eq": everything,
        "$ne": everything,
        **dict.fromkeys(_BINARY, scalar),
        "$in": some,
        "$nin": some,
        "$contains": scalar,
        "$exists": st.booleans(),
    }

    def operation(name: str, operand: st.SearchStrategy[Any]) -> st.SearchStrategy[Where]:
        return st.builds(lambda value: {name: value}, operand)

    return [operation(name, operand) for name, operand in operands.items() if name in operators or name == "$eq"]

"""Scores in float64 from the vectors themselves, ties by id: what Chroma proposes is scored as every store scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import numpy as np

from ctxkit.local.parts import similarity
from ctxkit.records import FloatVector, FloatVectors, Metric

_SPARE: Final = 6
_COPIES: Final = 16  # as many links as a vector has in Chroma's graph
_MOST_SCORED: Final = 5000


class Found(NamedTuple):
    """One hit before its text is read."""

    id: str
    score: float


def proposals(wanted: int) -> int:
    """Return how many records to ask the graph for: near ties are put in order, and copies are noticed."""
    return max(wanted + _SPARE, _COPIES)


def is_stuck(hits: Sequence[Found], matches: int, copies: int = _COPIES) -> bool:
    """Whether the search may have met nothing but copies of one vector, and it is affordable to score everything.

    An HNSW graph links each of many copies with other copies alone, so a search that comes among them does not come
    out, and one that does not come among them does not find them.
    """
    if matches > _MOST_SCORED:
        return False
    last = copies - 1
    return any(hit.score == hits[place + last].score for place, hit in enumerate(hits[:-last]))


def best(query: FloatVector, ids: Sequence[str], vectors: FloatVectors, metric: Metric, k: int) -> list[Found]:
    """Return the k best of these records, best first, equal scores by id."""
    if not ids:
        return []
    scores = similarity(query, vectors, metric)
    order = sorted(zip((-scores).tolist(), ids, strict=True))
    return [Found(record_id, -negative) for negative, record_id in islice(order, k)]


def merged(parts: Iterable[Found], k: int) -> list[Found]:
    """Return the k best of several lists' hits."""
    return sorted(parts, key=lambda hit: (-hit.score, hit.id))[:k]


def in_order(ids: Iterable[str], values: Mapping[str, Any], *, descending: bool) -> list[str]:
    """Return ids by a field's value: numbers, then strings, then records with neither; ties by id.

    `descending` turns the values round; records without the field stay last.
    """
    numbers: dict[Any, list[str]] = {}
    strings: dict[Any, list[str]] = {}
    rest: list[str] = []
    for record_id in ids:
        value = values.get(record_id)
        if isinstance(value, str):
            strings.setdefault(value, []).append(record_id)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            numbers.setdefault(value, []).append(record_id)
        else:
            rest.append(record_id)
    groups = [numbers[value] for value in sorted(numbers)] + [strings[value] for value in sorted(strings)]
    if descending:
        groups.reverse()
    return [record_id for group in (*groups, rest) for record_id in sorted(group)]


def as_matrix(vectors: Sequence[Any], dimension: int) -> FloatVectors:
    """Return vectors as float32[n, d], n may be 0."""
    return np.asarray(vectors, dtype=np.float32).reshape(-1, dimension)

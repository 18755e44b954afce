"""Figures for the report that no check judges."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest


def measure(request: pytest.FixtureRequest, name: str, **point: Any) -> None:
    """Add one point to the series `name` of the run's report; it decides nothing.

    "recall" has the points (share of the rows that pass the filter, recall, p50_ms of a query, k), "selectivity" has
    (share, p50_ms, exact_p50_ms of brute force over the rows that pass, ratio).
    """
    request.node.user_properties.append(("ctxkit_measurement", {"series": name, **point}))


def p50_ms(calls: Iterable[Callable[[], object]]) -> float:
    """Return the median time of the calls, in milliseconds."""
    times = []
    for call in calls:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return 1000.0 * statistics.median(times)

"""Recall is measured on data that is what it says, and the measurements reach the report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from ctxkit_conformance.measurement import measure, p50_ms
from ctxkit_conformance.ranking import brute_force
from ctxkit_conformance.stores.quality import clustered

MODULE = """
from ctxkit_conformance.stores.quality import QualityChecks


class TestExact(QualityChecks):
    component = "exact"
"""


def test_the_data_has_clusters() -> None:
    """Most of the ten nearest of a query come from one cluster, so there is something to miss."""
    data = clustered(np.random.default_rng(0))
    same = []
    for query in data.queries:
        scores, _ = brute_force(query, data.vectors, "cosine")
        near = data.clusters[np.argsort(-scores)[:10]]
        same.append(np.bincount(near).max())
    assert np.mean(same) > 9
    assert len(np.unique(data.clusters)) == 50


def test_the_shares_are_exact_and_scattered() -> None:
    """A tenth, a hundredth and a thousandth of the rows pass, and they belong to no cluster in particular."""
    data = clustered(np.random.default_rng(1))
    for name, rows in {"tenth": 500, "hundredth": 50, "thousandth": 5}.items():
        passing = [row for row, values in enumerate(data.metadata) if values.get(name)]
        assert len(passing) == rows
        assert len(np.unique(data.clusters[passing])) >= min(rows, 25) - 2


def test_the_same_seed_gives_the_same_data() -> None:
    """Two runs with one seed measure the same thing."""
    one, same, other = (clustered(np.random.default_rng(seed), rows=100) for seed in (0, 0, 1))
    assert np.array_equal(one.vectors, same.vectors)
    assert one.metadata == same.metadata
    assert not np.array_equal(one.vectors, other.vectors)


def test_a_measurement_is_a_property_of_the_check() -> None:
    """A point goes into its series, beside those that were there."""
    node = SimpleNamespace(user_properties=[("other", 1)])
    measure(cast("pytest.FixtureRequest", SimpleNamespace(node=node)), "recall", share=0.1, recall=1.0)
    point = ("ctxkit_measurement", {"series": "recall", "share": 0.1, "recall": 1.0})
    assert node.user_properties == [("other", 1), point]


def test_the_median_of_the_calls_is_taken() -> None:
    """Every call is made once, and what is returned is a time."""
    calls: list[int] = []
    assert p50_ms([lambda: calls.append(1), lambda: calls.append(2), lambda: calls.append(3)]) >= 0
    assert calls == [1, 2, 3]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Return the points that a run over the exact store records, by series."""
    folder = tmp_path_factory.mktemp("measured")
    file = folder / "test_measured.py"
    file.write_text(MODULE, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--ctxkit-events={folder / 'events'}"]
    command += [str(file), "-k", "recall_on_clusters or recall_under_filters"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    assert run.returncode == 0, run.stdout
    series: dict[str, list[dict[str, Any]]] = {}
    for line in Path(folder / "events").read_text("utf-8").splitlines():
        for point in json.loads(line).get("measurements", []):
            series.setdefault(point["series"], []).append(point)
    return series


def test_the_report_gets_recall_and_selectivity(measured: dict[str, list[dict[str, Any]]]) -> None:
    """Both plots have a point for all rows under each metric, and one for each filter."""
    for name, fields in {
        "recall": {"share", "recall", "p50_ms", "k", "metric"},
        "selectivity": {"share", "p50_ms", "exact_p50_ms", "ratio", "metric"},
    }.items():
        points = measured[name]
        assert sorted(point["share"] for point in points) == pytest.approx([0.001, 0.01, 0.1, 1, 1, 1])
        assert all(set(point) == fields | {"series"} for point in points)
        assert {point["metric"] for point in points} == {"cosine", "dot", "l2"}
    assert all(point["recall"] == 1.0 for point in measured["recall"])
    assert all(point["ratio"] > 0 for point in measured["selectivity"])

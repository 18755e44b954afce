"""hnswlib in the place of the exact store: one word of configuration changes, and no answer does."""

from __future__ import annotations

from pathlib import Path

import pytest
from switching import METRICS, answers, check_same

from ctxkit.records import Metric


@pytest.mark.parametrize("metric", METRICS)
def test_the_same_answers(metric: Metric, tmp_path: Path) -> None:
    """Below `exact_below` the answers are those of the exact store; above it an approximate index's."""
    wanted = answers("exact", {}, tmp_path / "exact", metric)
    check_same(answers("hnswlib", {}, tmp_path / "same", metric), wanted, exact=True)
    graph = {"exact_below": 0, "index_build": "inline"}
    check_same(answers("hnswlib", graph, tmp_path / "graph", metric), wanted, exact=False)

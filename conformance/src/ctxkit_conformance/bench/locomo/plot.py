"""The figures as a chart: recall by budget, one line a configuration, with its interval."""

from __future__ import annotations

from pathlib import Path

from ctxkit_conformance.bench.locomo.figures import LocomoReport
from ctxkit_conformance.bench.plot import library, save

_SIZE = (8.0, 4.5)  # inches


def draw(report: LocomoReport, path: Path) -> None:
    """Write the chart; raises ConfigError where the file cannot be written."""
    matplotlib = library()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ctxkit", "font.size": 9}):
        figure = matplotlib.figure.Figure(figsize=_SIZE, layout="constrained")
        axis = figure.subplots()
        for variant in dict.fromkeys(result.variant for result in report.results):
            results = [result for result in report.results if result.variant == variant]
            budgets, recalls = [each.budget for each in results], [each.recall for each in results]
            ends = [each.interval for each in results]
            spread = [
                [recall - low for recall, (low, _) in zip(recalls, ends, strict=True)],
                [high - recall for recall, (_, high) in zip(recalls, ends, strict=True)],
            ]
            axis.errorbar(budgets, recalls, yerr=spread, marker="o", capsize=3, label=variant)
        axis.set_xlabel("tokens of the context, at most")
        axis.set_ylabel("evidence in the context, %")
        axis.grid(visible=True, linewidth=0.6, alpha=0.4)
        axis.legend(frameon=False)
        save(figure, path)

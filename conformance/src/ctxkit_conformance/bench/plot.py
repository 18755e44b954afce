"""The figures as a chart: how much of its limit each one uses."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ctxkit.errors import ConfigError, MissingDependencyError
from ctxkit_conformance.bench.figures import BenchReport, Figure, StoreResult
from ctxkit_conformance.bench.show import limit, shown

_SUFFIXES: Final = (".svg", ".png", ".pdf")
_LOOKS: Final = {"met": ("o", "#1b7f5c"), "missed": ("X", "#c1392b")}
_WIDTH: Final = 8.0  # inches
_ROW: Final = 0.27
_FRAME: Final = 0.75  # of each store, for its title and its axis
_INK, _PALE = "#222222", "#dddddd"


def check(path: Path) -> None:
    """Raise ConfigError or MissingDependencyError when a chart could not be drawn into this file."""
    if path.suffix.lower() not in _SUFFIXES:
        raise ConfigError(f"{path.name} is no kind of picture that is known.", fix=f"choose {', '.join(_SUFFIXES)}.")
    library()


def draw(report: BenchReport, path: Path) -> None:
    """Write the chart; raises ConfigError where the file cannot be written."""
    stores = [store for store in report.stores if _judged(store)]
    if not stores:
        raise ConfigError(
            "nothing that was measured has a target, so there is nothing to draw.", fix="choose other parts."
        )
    heights = [_FRAME + _ROW * len(_judged(store)) for store in stores]
    matplotlib = library()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ctxkit", "font.size": 9}):
        figure = matplotlib.figure.Figure(figsize=(_WIDTH, sum(heights)), layout="constrained")
        axes = figure.subplots(len(stores), 1, squeeze=False, height_ratios=heights, sharex=True)
        for each, (axis,) in zip(stores, axes, strict=True):
            _panel(axis, each)
        axes[-1][0].set_xlabel("share of the limit that is used (1 = the target; left of it is better)", color=_INK)
        save(figure, path)


def save(figure: Any, path: Path) -> None:
    """Write a figure; raises ConfigError where that is not possible."""
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}.", fix="name a file in a folder that exists."
        ) from error


def _panel(axis: Any, store: StoreResult) -> None:
    figures = _judged(store)
    axis.set_title(f"{store.name}   {store.rows} x {store.dimension}, beside {store.baseline}", loc="left", fontsize=10)
    axis.axvline(1.0, color=_INK, linewidth=1.2)
    for row, figure in enumerate(figures):
        _point(axis, row, figure)
    axis.set_xscale("log")
    axis.set_ylim(len(figures) - 0.4, -0.6)
    axis.set_yticks(range(len(figures)), [figure.name for figure in figures], color=_INK)
    axis.grid(visible=True, axis="x", color=_PALE, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.xaxis.set_major_formatter("{x:g}")
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.tick_params(axis="y", length=0)


def _point(axis: Any, row: int, figure: Figure) -> None:
    if figure.target is None or figure.value is None:
        return
    marker, colour = _LOOKS[figure.verdict]
    if figure.spread is not None:
        ends = sorted(figure.target.strain(end) for end in figure.spread)
        axis.plot(ends, [row, row], color=colour, linewidth=2.5, alpha=0.35, solid_capstyle="round")
    axis.plot([figure.target.strain(figure.value)], [row], marker, color=colour, markersize=6)
    said = f"{shown(figure.value, figure.unit)}  ({limit(figure.target, figure.unit)})"
    axis.annotate(said, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=colour)


def _judged(store: StoreResult) -> Sequence[Figure]:
    """Return what stands in the chart: a recall of 0.99 or 1 is all the same there."""
    return [figure for figure in store.figures if figure.verdict and figure.unit != "share"]


def library() -> Any:
    """Return matplotlib; raises MissingDependencyError."""
    try:
        importlib.import_module("matplotlib.figure")
        return importlib.import_module("matplotlib")
    except ImportError as error:
        raise MissingDependencyError(
            f"charts are drawn by matplotlib, which cannot be imported: {error}.",
            fix="pip install 'ctxkit-conformance[bench]'",
        ) from error

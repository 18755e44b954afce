"""Figures that no check judges: recall, latency and speed as plots, everything else as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ctxkit_conformance.report.page.markup import Markup, markup, scrolling, tag
from ctxkit_conformance.report.page.plots import Axis, Plot, figure, key, log_axis
from ctxkit_conformance.report.tiers import KINDS, by_kind
from ctxkit_conformance.results import Report

_LEAST_MS = 1e-4
_FEW = 12  # rows of a table that is open from the start
_ORDER = ("recall", "speed", "selectivity")

# A component by its number among those of its kind and its name, with its points.
Series: TypeAlias = "tuple[int, str, list[Mapping[str, Any]]]"


def measurements(report: Report) -> Markup | None:
    """Return the plots of each kind that was measured, None when nothing was."""
    parts = []
    for kind, subjects in by_kind(report).items():
        names = list(dict.fromkeys(name for subject in subjects for name in subject.measurements))
        drawn = []
        for name in sorted(names, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER)):
            series: list[Series] = [
                (number, subject.title.partition(":")[2], list(subject.measurements[name]))
                for number, subject in enumerate(subjects)
                if subject.measurements.get(name)
            ]
            if series:
                drawn.append(_PLOTS.get(name, _only_table)(name, series))
        if drawn:
            parts.append(tag("section", tag("h3", KINDS.get(kind, kind)), tag("div", drawn, class_="figures")))
    return markup(parts) if parts else None


def _recall(name: str, series: Sequence[Series]) -> Markup:
    usable = [(n, who, _whole(points, "share", "recall", "p50_ms")) for n, who, points in series]
    usable = [each for each in usable if each[2]]
    if not usable:
        return _only_table(name, series)
    every = [point for *_, points in usable for point in points]
    k = next((point["k"] for *_, points in series for point in points if "k" in point), None)
    least = min(point["recall"] for point in every)
    low = max(0.0, math.floor((least - 0.02) * 20) / 20)
    title = f"Recall@{k} against latency" if k is not None else "Recall against latency"
    plot = Plot(
        log_axis([_ms(p) for p in every], "median latency of one query, ms"),
        Axis(low, 1.0 + (1.0 - low) * 0.04, f"recall@{k}" if k is not None else "recall", write="{:.4g}".format),
        title,
        "Up and to the left is better. The figures stand in the table beneath.",
    )
    for number, who, points in usable:
        for metric, ordered in _by_metric(points):
            plot.line([(_ms(p), p["recall"]) for p in ordered], f"thin k{number % 8}")
            for p in ordered:
                told = (
                    f"{who}{metric}: recall {p['recall']:.3f}, {p['p50_ms']:.3g} ms where {_percent(p['share'])} pass"
                )
                plot.mark((_ms(p), p["recall"]), number, told, hollow=p["share"] < 1)
    for _, _, points in usable:
        for p in points:
            if p["share"] < 1:
                plot.write((_ms(p), p["recall"]), _percent(p["share"]))
    legend = key([(number, who) for number, who, _ in usable])
    note = tag("p", "Filled: without a filter. Hollow: under a filter that passes the share beside it.", class_="note")
    return figure(f"{title}: up and to the left is better", [plot.drawn()], legend, note, _table(name, series))


def _selectivity(name: str, series: Sequence[Series]) -> Markup:
    usable = [(n, who, _whole(points, "share", "p50_ms", "exact_p50_ms")) for n, who, points in series]
    usable = [each for each in usable if each[2]]
    if not usable:
        return _only_table(name, series)
    every = [point for *_, points in usable for point in points]
    x = log_axis([p["share"] for p in every], "share of the records that the filter passes", _percent)
    y = log_axis([ms for p in every for ms in (_ms(p), _ms(p, "exact_p50_ms"))], "median latency, ms")
    title = "Latency against selectivity"
    drawings = []
    for number, who, points in usable:
        plot = Plot(
            x, y, f"{title}: {who}", "The dashed line is brute force in the same process.", width=320.0, height=220.0
        )
        for metric, ordered in _by_metric(points):
            plot.line([(p["share"], _ms(p, "exact_p50_ms")) for p in ordered], "brute")
            plot.line([(p["share"], _ms(p)) for p in ordered], f"k{number % 8}")
            for p in ordered:
                ratio = f", {p['ratio']:.3g} times brute force" if _figure(p.get("ratio")) is not None else ""
                told = f"{who}{metric}: {p['p50_ms']:.3g} ms where {_percent(p['share'])} pass{ratio}"
                plot.mark((p["share"], _ms(p)), number, told)
        drawings.append(tag("div", tag("p", who, class_="panel-title"), plot.drawn()))
    legend = key([(number, who) for number, who, _ in usable], [("brute", "brute force in the same process")])
    return tag(
        "figure",
        tag("figcaption", f"{title}: one scale for all"),
        tag("div", drawings, class_="panels"),
        legend,
        _table(name, series),
        class_="wide",
    )


def _speed(name: str, series: Sequence[Series]) -> Markup:
    usable = [(n, who, _whole(points, "ratio")) for n, who, points in series]
    usable = [(n, who, [p for p in points if p["ratio"] > 0]) for n, who, points in usable]
    usable = [each for each in usable if each[2]]
    if not usable:
        return _only_table(name, series)
    rows = list(dict.fromkeys(str(p.get("what", "")) for *_, points in usable for p in points))
    heights = {what: float(len(rows) - place) for place, what in enumerate(rows)}
    ratios = [p["ratio"] for *_, points in usable for p in points]
    title = "Time against plain numpy"
    plot = Plot(
        log_axis([*ratios, 1.0], "times as long as plain numpy", "{:g} x".format),
        Axis(0.4, len(rows) + 0.6, "", write=lambda value: _row_name(heights, value), at=list(heights.values())),
        title,
        "Left of the line is faster than plain numpy in the same process, right of it slower.",
        height=max(160.0, 64.0 + 42.0 * len(rows)),
        left=min(180.0, 22.0 + 6.0 * max(map(len, rows))),
    )
    plot.upright(1.0, "plain numpy")
    for number, who, points in usable:
        for p in points:
            what = str(p.get("what", ""))
            shift = (number - (len(usable) - 1) / 2) * min(0.16, 0.7 / len(usable))
            plot.mark((p["ratio"], heights[what] - shift), number, f"{who}, {what}: {p['ratio']:.3g} times")
    legend = key([(number, who) for number, who, _ in usable])
    return figure(f"{title}: left is faster", [plot.drawn()], legend, _table(name, series))


def _row_name(heights: Mapping[str, float], value: float) -> str:
    return next((what for what, height in heights.items() if abs(height - value) < 0.01), "")


def _only_table(name: str, series: Sequence[Series]) -> Markup:
    few = sum(len(points) for *_, points in series) <= _FEW
    return tag("figure", tag("figcaption", name), _table(name, series, opened=few))


def _table(name: str, series: Sequence[Series], *, opened: bool = False) -> Markup:
    """Return the points as they were measured; behind a click where a plot shows them."""
    columns = list(dict.fromkeys(column for *_, points in series for point in points for column in point))
    heads = [tag("th", column, scope="col") for column in ("component", *columns)]
    rows = [
        tag("tr", tag("th", who, scope="row"), [tag("td", _written(point.get(column))) for column in columns])
        for _, who, points in series
        for point in points
    ]
    table = tag(
        "table",
        tag("caption", f"Figures of {name}", class_="hidden"),
        tag("thead", tag("tr", heads)),
        tag("tbody", rows),
        class_="list figures-table",
    )
    shown = scrolling(f"Figures of {name}", table)
    return shown if opened else tag("details", tag("summary", "figures"), shown)


def _whole(points: Sequence[Mapping[str, Any]], *names: str) -> list[dict[str, Any]]:
    """Return the points that have a figure under every name, with these figures as float."""
    found = []
    for point in points:
        figures = {name: _figure(point.get(name)) for name in names}
        share = figures.get("share", 1.0)
        if None not in figures.values() and share is not None and share > 0:
            found.append({**point, **figures})
    return found


def _by_metric(points: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the points of each metric, by the share that passes: only these can be joined by a line."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for point in sorted(points, key=lambda point: float(point["share"])):
        metric = point.get("metric")
        groups.setdefault(f", {metric}" if metric else "", []).append(point)
    return list(groups.items())


def _figure(value: Any) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if number else None


def _ms(point: Mapping[str, Any], name: str = "p50_ms") -> float:
    return max(float(point[name]), _LEAST_MS)


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def _written(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


_PLOTS: Mapping[str, Callable[[str, Sequence[Series]], Markup]] = {
    "recall": _recall,
    "selectivity": _selectivity,
    "speed": _speed,
}

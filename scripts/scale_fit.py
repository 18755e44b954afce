"""From a few sizes to any size: what a figure costs at all, what it costs for each row, and how both are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ctxkit.cli.output import size

Measured = Mapping[int, Mapping[str, float]]
FAR = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
SECONDS = ("time", "processor")  # what the names of figures in seconds begin with; all others are bytes


@dataclass(frozen=True)
class Line:
    """`fixed` + `each` x rows, in the figure's unit; `residual` is the largest distance from a measured value by it."""

    fixed: float
    each: float
    residual: float

    def at(self, rows: int) -> float:
        """Return the figure at a number of rows; never less than nothing."""
        return max(self.fixed + self.each * rows, 0.0)


def fitted(values: Mapping[int, float]) -> Line:
    """Return the least-squares line through values by number of rows; it takes two sizes or more, else ValueError."""
    if len(values) < 2:  # noqa: PLR2004 - a line
        raise ValueError("a line takes two sizes")
    rows = np.array(list(values), dtype=np.float64)
    found = np.array(list(values.values()), dtype=np.float64)
    (fixed, each), *_ = np.linalg.lstsq(np.stack([np.ones_like(rows), rows], axis=1), found, rcond=None)
    apart = np.abs(fixed + each * rows - found) / np.maximum(np.abs(found), np.finfo(np.float64).tiny)
    return Line(float(fixed), float(each), float(apart.max()))


def lines(measured: Measured) -> dict[str, Line]:
    """Return the line of each figure that every size has."""
    first, *others = measured.values()
    common = [name for name in first if all(name in other for other in others)]
    return {name: fitted({rows: figures[name] for rows, figures in measured.items()}) for name in common}


def shown(name: str, value: float) -> str:
    """Return a value as people read it: seconds, milliseconds, or bytes."""
    if not name.startswith(SECONDS):
        return size(round(value))
    return f"{value * 1e3:.2f} ms" if abs(value) < 1 else f"{value:.1f} s"


def size_table(measured: Measured, found: Mapping[str, Line]) -> str:
    """Return what was measured, and the lines through it, in Markdown."""
    heads = ["figure", *(f"{rows:,} rows" for rows in measured), "fixed", "each row", "residual"]
    body = []
    for name, line in found.items():
        each = f"{line.each * 1e6:.3f} us" if name.startswith(SECONDS) else f"{line.each:.1f} bytes"
        values = (shown(name, figures[name]) for figures in measured.values())
        body.append([name, *values, shown(name, line.fixed), each, f"{line.residual:.1%}"])
    body.append(["rows/s with embedding", *_rates(measured, embedding=True), "", "", ""])
    body.append(["rows/s without", *_rates(measured, embedding=False), "", "", ""])
    return _table(heads, body)


def far_table(found: Mapping[str, Line]) -> str:
    """Return what the lines say of sizes that were not measured, in Markdown."""
    heads = ["figure, extrapolated", *(f"{rows:,} rows" for rows in FAR)]
    return _table(heads, [[name, *(shown(name, line.at(rows)) for rows in FAR)] for name, line in found.items()])


def check_table(found: Mapping[str, Line], rows: int, measured: Mapping[str, float]) -> str:
    """Return predicted and measured figures of one size side by side, in Markdown."""
    body = []
    for name, line in found.items():
        if name in measured:
            said, is_so = line.at(rows), measured[name]
            body.append([name, shown(name, said), shown(name, is_so), f"{is_so / said:.2f}" if said else "-"])
    return _table([f"figure at {rows:,} rows", "predicted", "measured", "measured / predicted"], body)


def as_json(measured: Measured, found: Mapping[str, Line], check: Measured) -> dict[str, Any]:
    """Return everything of one store as JSON has it."""
    return {
        "measured": {str(rows): dict(figures) for rows, figures in measured.items()},
        "lines": {name: asdict(line) for name, line in found.items()},
        "extrapolated": {str(rows): {name: line.at(rows) for name, line in found.items()} for rows in FAR},
        "check": {str(rows): dict(figures) for rows, figures in check.items()},
    }


def _rates(measured: Measured, *, embedding: bool) -> list[str]:
    return [
        f"{rows / (figures['time storing'] + embedding * figures['time embedding']):,.0f}"
        for rows, figures in measured.items()
    ]


def _table(heads: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    ruler = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ruler, *body))

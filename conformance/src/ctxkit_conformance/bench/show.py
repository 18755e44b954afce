"""The result on a terminal: one table a store, 80 columns wide."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ctxkit_conformance.bench.figures import BenchReport, Figure, StoreResult, Target
from ctxkit_conformance.report.lines import for_encoding

_BUSY: Final = 0.5  # of all cores
_MEANT_ROWS: Final = 40_000
_STYLES: Final = {"met": "green", "missed": "bold red", "": ""}


def print_store(store: StoreResult, console: Console | None = None) -> None:
    """Print one store's table, and how many targets it met."""
    with printing(console) as out:
        _print_store(store, out)


def print_cautions(report: BenchReport, console: Console | None = None) -> None:
    """Print what speaks against taking the figures at their word, if anything does."""
    with printing(console) as out:
        for caution in cautions(report):
            out.print(Text(caution, "yellow"))


@contextmanager
def printing(console: Console | None) -> Iterator[Console]:
    """Yield where to print; what was printed is written at once, in characters that the target knows."""
    out = console or Console()
    with out.capture() as captured:
        yield out
    # Tables fill their columns with spaces, which only get in the way of whoever copies.
    text = re.sub(r"[ ]+$", "", captured.get(), flags=re.MULTILINE)
    out.file.write(for_encoding(text, out.encoding))
    out.file.flush()


def cautions(report: BenchReport) -> list[str]:
    """Return what speaks against taking the figures at their word."""
    found = []
    load, cores = (report.machine.get("load_average") or [0.0])[0], report.machine.get("cores") or 1
    if load > _BUSY * cores:
        found.append(
            f"The machine was busy before this began: load {load:.1f} on {cores} cores. Look at the quartiles."
        )
    rows = [store.rows for store in report.stores if store.rows]
    if rows and min(rows) < _MEANT_ROWS:
        found.append(f"The targets are meant for some 50 000 rows; fixed costs weigh more at {min(rows)}.")
    return found


def shown(value: float | None, unit: str) -> str:
    """Return a value with its unit, three digits long: 1.23 ms, 456 us, 12 300 /s, 98.7 %."""
    if value is None:
        return ""
    if unit == "s":
        for factor, name in ((1.0, "s"), (1e-3, "ms")):
            if value >= factor:
                return f"{_digits(value / factor)} {name}"
        return f"{_digits(value * 1e6)} us"
    if unit == "share":
        return f"{100 * value:.1f} %"
    if unit == "bytes":
        return f"{_digits(value / 1e6)} MB"
    return f"{_digits(value)}{unit}" if unit == "x" else f"{_digits(value)} {unit}"


def limit(target: Target, unit: str) -> str:
    """Return a target as a condition."""
    return f"{'>=' if target.at_least else '<='} {_limit(target.limit, unit)}"


def _limit(value: float, unit: str) -> str:
    if unit == "share":
        return f"{100 * value:.3g} %"
    if unit == "s":
        return f"{value:g} s" if value >= 0.1 else f"{1000 * value:g} ms"
    return f"{value:.2f}" if unit == "x" else f"{value:g} {unit}"


def _digits(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _print_store(store: StoreResult, out: Console) -> None:
    out.print(Text(store.name, "bold"))
    if store.rows:
        about = f"{store.rows} x {store.dimension} ({store.data}); raw: {store.baseline}; {store.seconds:.0f} s"
        out.print(Text(about, "dim"))
    if any(figure.value is not None for figure in store.figures):
        out.print(_table(store))
    for figure in store.figures:
        if figure.note:
            out.print(Text(f"{figure.name}: {figure.note}", "dim"))
    for problem in store.problems:
        out.print(Text(f"not measured: {problem}", "red"))
    judged = [figure for figure in store.figures if figure.verdict]
    if judged:
        out.print(f"{len(judged) - len(store.missed)} of {len(judged)} targets met", highlight=False)
    out.print()


def _table(store: StoreResult) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    for title in ("ours", "raw", "figure", "quartiles", "target"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    for figure in store.figures:
        if figure.value is None:
            continue
        table.add_row(*_cells(figure))
    return table


def _cells(figure: Figure) -> list[Text]:
    low, high = figure.spread or (None, None)
    spread = "" if low is None or high is None else f"{_digits(low)}-{_digits(high)}"
    target = "" if figure.target is None else limit(figure.target, figure.unit)
    same = figure.unit == figure.measured_in
    cells = [
        figure.name,
        shown(figure.ours, figure.measured_in),
        shown(figure.raw, figure.measured_in),
        "" if same and figure.ours == figure.value else shown(figure.value, figure.unit),
        spread,
        target,
    ]
    return [*(Text(cell) for cell in cells), Text(figure.verdict, _STYLES[figure.verdict])]

"""The result on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ctxkit_conformance.bench.locomo.data import CATEGORIES
from ctxkit_conformance.bench.locomo.figures import LocomoReport, Result
from ctxkit_conformance.bench.show import printing

Figures: TypeAlias = Callable[[Result], Mapping[str, float]]


def print_report(report: LocomoReport, console: Console | None = None) -> None:
    """Print one table of the categories, one of the conversations, and what was measured."""
    with printing(console) as out:
        used = ", ".join(f"{key.replace('_', ' ')} {report.settings[key]}" for key in ("embedder", "vector_store"))
        out.print(Text(f"{used}, {report.settings['tokenizer']}", "bold"))
        split = ", ".join(f"{name} ({each['questions']})" for name, each in report.data["conversations"].items())
        out.print(Text(f"{report.data['file']}, questions of categories 1-4: {split}", "dim"))
        out.print(_table(report.results, list(CATEGORIES.values()), lambda result: result.categories))
        names = list(report.data["conversations"])
        if len(names) > 1:
            out.print(_table(report.results, names, lambda result: result.conversations))
        for each in report.held_out:
            line = f"R@{each.budget}, each conversation measured by the best of the others: {each.recall:.1f}"
            out.print(line, highlight=False)
        hashes = {result.variant: result.hash for result in report.results}
        said = ", ".join(f"{name} {found}" for name, found in hashes.items())
        out.print(Text(f"configuration: {said}", "dim"))


def _table(results: list[Result], columns: list[str], figures: Figures) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("")  # the one that may be broken, where a line has not room for all
    for title in ("R@B", "all", "95 %", *columns):
        table.add_column(title, justify="right", no_wrap=True)
    for result in results:
        low, high = result.interval
        found = figures(result)
        cells = [f"{found[name]:.1f}" if name in found else "" for name in columns]
        table.add_row(result.variant, f"@{result.budget}", f"{result.recall:.1f}", f"{low:.1f}-{high:.1f}", *cells)
    return table

"""What is seen of a run while it goes on, and what becomes of it when it is told to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from ctxkit_conformance.results import Report
    from ctxkit_conformance.runner import RunRequest


@contextmanager
def interruptible(left: str = "what was not finished is in no report") -> Iterator[None]:
    """End a run with code 130 on SIGINT and on SIGTERM, after what it started was ended; say what is left of it."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"Interrupted: {left}.", err=True)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def bar() -> Iterator[Any]:
    """Show progress on standard error, where that is a terminal; lines that are printed through it go there, too."""
    from rich.console import Console  # noqa: PLC0415 - help stays light
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    target = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=target, disable=not target.is_terminal, transient=True) as shown:
        yield shown


def examined(requests: Sequence[RunRequest], write: Callable[[Report], None]) -> Report:
    """Run the requests, write the report again after each, and tell of each of several on standard error."""
    from ctxkit_conformance.examination import examine  # noqa: PLC0415
    from ctxkit_conformance.report.terminal_tables import print_verdict  # noqa: PLC0415

    with interruptible(), bar() as shown:
        if len(requests) > 1:
            shown.console.print(f"{len(requests)} components; a line follows for each that is done.")

        def progress(request: RunRequest) -> Any:
            title = request.target + (f" ({request.variant})" if request.variant else "")
            task = shown.add_task(title, total=None)

            def told(done: int, total: int, name: str) -> None:
                shown.update(task, completed=done, total=total or None, description=f"{title}  {name}")

            return told

        def finished(report: Report) -> None:
            write(report)
            if len(requests) > 1:
                print_verdict(report.subjects[-1], shown.console)

        return examine(requests, progress, finished)

"""What every benchmark does at a terminal: check where it will write, leave nothing behind, show how it goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from ctxkit_conformance import watching


def check_outputs(json: Path | None, plot: Path | None) -> None:
    """Raise ConfigError before anything is measured that could not be written."""
    from ctxkit.errors import ConfigError  # noqa: PLC0415

    for path in (json, plot):
        if path is not None and str(path) != "-" and not path.absolute().parent.is_dir():
            raise ConfigError(f"there is no folder {path.parent}.", fix="name a file in a folder that exists.")
    if plot is not None:
        from ctxkit_conformance.bench.plot import check  # noqa: PLC0415

        check(plot)


def interruptible() -> AbstractContextManager[None]:
    """Leave nothing behind, whether the user interrupts or the system asks us to end."""
    return watching.interruptible("no file was written, and nothing is left behind")


@contextmanager
def bar(total: int) -> Iterator[Any]:
    """Show progress on standard error, where that is a terminal; yield how to tell it, and how to print beside it."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    target = Console(stderr=True)
    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=target, disable=not target.is_terminal, transient=True) as shown:
        tasks: dict[str, Any] = {}

        def tell(title: str, figures: int, text: str) -> None:
            if title not in tasks:
                for done in tasks.values():
                    shown.update(done, visible=False)
                tasks[title] = shown.add_task(title, total=None)
            of = f" ({len(tasks)} of {total})" if total > 1 else ""
            shown.update(tasks[title], completed=figures, description=f"{title}{of}: {text}")

        @contextmanager
        def aside() -> Iterator[None]:
            if target.is_terminal:
                shown.stop()
            yield
            if target.is_terminal:
                shown.start()

        yield tell, aside

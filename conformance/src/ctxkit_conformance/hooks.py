"""What the suite adds to ctxkit: the commands `conformance` and `bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctxkit.hookspecs import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def ctxkit_commands() -> list[tuple[str, typer.Typer]]:
    """Add `ctxkit conformance` and `ctxkit bench`."""
    from ctxkit_conformance.bench.commands import app as bench  # noqa: PLC0415 - listing plugins stays light
    from ctxkit_conformance.commands import app as conformance  # noqa: PLC0415

    return [("conformance", conformance), ("bench", bench)]

"""What the suite adds to ctxkit: the command `conformance`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctxkit.hookspecs import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def ctxkit_commands() -> list[tuple[str, typer.Typer]]:
    """Add `ctxkit conformance`."""
    from ctxkit_conformance.commands import app  # noqa: PLC0415 - listing plugins stays light

    return [("conformance", app)]

"""`ctxkit plugins check`: whether a plugin is fit to be installed by strangers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ctxkit.cli import plain
from ctxkit.cli.output import print_json
from ctxkit.cli.settings import Settings

if TYPE_CHECKING:
    from ctxkit.plugins.audit import Audit, Check

TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="An installed distribution, a wheel, or a folder with a pyproject.toml.",
        show_default=False,
    ),
]
_COLOURS = {"passed": "green", "failed": "red", "not checked": "yellow"}


def check(settings: Settings, target: TargetArgument) -> None:
    """Check a plugin: its metadata as it stands, its code in a process of its own. Exit code 1 when a check fails.

    A wheel is unpacked, and a project built, in a temporary folder. Nothing is installed.

    \b
    Examples:
      ctxkit plugins check ctxkit-faiss
      ctxkit plugins check dist/ctxkit_acme-1.0-py3-none-any.whl
      ctxkit plugins check ./ctxkit-acme --json
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit.plugins.audit import audit  # noqa: PLC0415 - start-up stays light

    result = audit(target)
    if settings.as_json:
        print_json(result.as_dict())
    else:
        _print(result)
    if not result.passed:
        raise typer.Exit(1)


def _print(result: Audit) -> None:
    plain.heading(f"{result.distribution} {result.version}")
    plain.table([[each.verdict, each.name, _told(each)] for each in result.checks], (_COLOURS,))
    passed = sum(check.verdict == "passed" for check in result.checks)
    loading = "" if result.load_ms is None else f"; loading took {result.load_ms:.1f} ms"
    plain.paragraph(f"{passed} of {len(result.checks)} checks passed{loading}", dim=True)


def _told(check: Check) -> str:
    if check.verdict == "passed":
        return check.found
    return f"{check.found}\nWhy: {check.meaning}\nFix: {check.fix}"

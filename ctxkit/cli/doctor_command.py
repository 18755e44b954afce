"""`ctxkit doctor`: what is wrong with the installation, the configuration and the store, and what mends it."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctxkit.cli import plain
from ctxkit.cli.config_command import FixOption, StrictOption
from ctxkit.cli.errors import UsageError
from ctxkit.cli.output import counted, print_json, progress
from ctxkit.cli.settings import DEFAULT_STORE, STORE_VARIABLE, Settings

if TYPE_CHECKING:
    from ctxkit.doctor.results import Verdict
    from ctxkit.doctor.running import Examined

_COLOURS = {"ok": "green", "not checked": "cyan", "warning": "yellow", "problem": "red"}


def doctor(
    settings: Settings,
    *,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="CHECK", help="Make this check only; may be repeated.", show_default=False),
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="Ask the configured providers too; one short call each.")
    ] = False,
    fix: FixOption = False,
    strict: StrictOption = False,
) -> None:
    """Look for what is wrong, and say what mends it; nothing is sent anywhere without --online.

    The checks: configuration, installation, imports, models, machine, keys, provider, store, round-trip. With --fix the
    configuration file is mended (what it was is kept beside it), and what waits for a vector is embedded.

    Exit code 0: no problem, 1: a problem (under --strict also a warning), 2: wrong command line.

    \b
    Examples:
      ctxkit doctor
      ctxkit doctor --only store --only keys --store ~/memory
      ctxkit doctor --fix
      ctxkit doctor --strict --json
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit.doctor import running  # noqa: PLC0415 - start-up stays light
    from ctxkit.doctor.checks import CHECKS  # noqa: PLC0415

    unknown = [name for name in only or () if name not in CHECKS]
    if unknown:
        raise UsageError(f"--only: there is no check {' or '.join(unknown)}.", fix=f"choose of {', '.join(CHECKS)}.")
    names = [name for name in CHECKS if not only or name in only]
    began = time.perf_counter()
    made: list[Examined] = []
    with progress("Checking", quiet=settings.as_json) as told:
        told(0, len(names), CHECKS[names[0]].about)
        for each in running.examine(
            _subject(settings, online=online, fix=fix), [(name, CHECKS[name].patience) for name in names]
        ):
            made.append(each)
            following = names[len(made)] if len(made) < len(names) else ""
            told(len(made), len(names), CHECKS[following].about if following else "")
    counts = Counter(result.verdict for each in made for result in each.results)
    if settings.as_json:
        print_json(_as_dict(made, counts))
    else:
        _print(made, counts, time.perf_counter() - began)
    if counts["problem"] or (strict and counts["warning"]):
        raise typer.Exit(1)


def _subject(settings: Settings, *, online: bool, fix: bool) -> dict[str, Any]:
    """Return what is examined as JSON values; the configuration itself is read by who examines it."""
    return {
        "store": str(settings.store or os.environ.get(STORE_VARIABLE) or ""),
        "default_store": DEFAULT_STORE,
        "config_file": None if settings.config_file is None else str(settings.config_file),
        "assignments": settings.assignments,
        "plugins": settings.plugins,
        "online": online,
        "fix": fix,
        "debug": settings.debug,
    }


def _as_dict(made: Sequence[Examined], counts: Counter[Verdict]) -> dict[str, Any]:
    from ctxkit.doctor.results import VERDICTS  # noqa: PLC0415 - start-up stays light

    return {
        "verdict": next((each for each in reversed(VERDICTS) if counts[each]), "ok"),
        "counts": {verdict: counts[verdict] for verdict in VERDICTS},
        "checks": [
            {
                "check": each.check,
                "seconds": round(each.seconds, 3),
                "results": [result.as_dict() for result in each.results],
            }
            for each in made
        ],
    }


def _print(made: Sequence[Examined], counts: Counter[Verdict], seconds: float) -> None:
    for each in made:
        plain.heading(each.check)
        rows = [[result.verdict, result.subject, _told(result.found, result.fix)] for result in each.results]
        plain.table(rows, (_COLOURS,))
        plain.paragraph("")
    words = [counted(counts["problem"], "problem"), counted(counts["warning"], "warning")]
    words += [f"{counts['ok']} ok", f"{counts['not checked']} not checked"]
    colour = "red" if counts["problem"] else "yellow" if counts["warning"] else "green"
    plain.paragraph(f"{', '.join(words)} in {seconds:.1f} s", colour)


def _told(found: str, fix: str) -> str:
    return f"{found}\nFix: {fix}" if fix else found

"""`ctxkit plugins trace`: what was imported and which hooks were called, in order."""

from __future__ import annotations

from ctxkit.cli import plain
from ctxkit.cli.output import counted, print_json
from ctxkit.cli.settings import Settings


def trace(settings: Settings) -> None:
    """Show each import and each hook call of discovery: on which plugin, what came back, how long it took.

    \b
    Examples:
      ctxkit plugins trace
      ctxkit -p my_backend.py plugins trace --json
    """  # noqa: D301 - \b is for the help formatter
    registry = settings.registry()
    registry.commands()
    calls = registry.calls
    if settings.as_json:
        print_json({"calls": [call.as_dict() for call in calls]})
        return
    rows = [
        [
            str(number),
            f"{call.ms:.2f}",
            call.plugin,
            call.hook,
            "\n".join([", ".join(call.returned) or "-", *([f"raised {call.error}"] if call.error else [])]),
        ]
        for number, call in enumerate(calls, 1)
    ]
    plain.table(rows, colours=("", "", "cyan"), titles=("", "ms", "plugin", "called", "returned"))
    total = sum(call.ms for call in calls)
    plain.paragraph(f"{counted(len(calls), 'call')}, {total:.1f} ms", dim=True)

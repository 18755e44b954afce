"""The command line: the only place that prints. Importing it loads no store, no model and no plugin."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

__all__ = ["main", "run"]


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    from ctxkit.cli import app  # noqa: PLC0415 - an interruption meanwhile is an interruption of the command

    return app.run(arguments)


def main() -> None:
    """Run the command line of this process and leave with its exit code."""
    try:
        _open_what_is_closed()
        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)  # noqa: T201 - this is the command line
        code = 130
    sys.exit(code)


def _open_what_is_closed() -> None:
    """Give a closed standard stream its number back, lest a file of the store gets it, and messages land in that."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - as long as the process

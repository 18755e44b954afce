"""From exceptions to the lines that a user reads, and to exit codes.

0: done. 1: an error, said as `Error: cause` and `Fix: what to do`. 2: the command line was wrong. 130: interrupted.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import typer

from ctxkit.cli.output import harmless
from ctxkit.errors import CtxkitError

if TYPE_CHECKING:
    from typing import TextIO

    _StreamHandler = logging.StreamHandler[TextIO]
else:
    _StreamHandler = logging.StreamHandler  # generic at run time from Python 3.11 on

INTERRUPTED = 130
_SAFE = "Interrupted. What was stored is safe."


@contextmanager
def reported(*, debug: bool = False, interrupted: str = _SAFE) -> Iterator[None]:
    """Run a command: its errors become two lines on standard error and exit code 1, tracebacks only under `debug`."""
    with _logging(debug=debug):
        try:
            yield
            sys.stdout.flush()
        except CtxkitError as exc:
            if debug:
                traceback.print_exc()
            complain(exc)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            say(interrupted)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # Whoever read our output has gone. At exit Python flushes once more, so that must go nowhere.
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as exc:  # noqa: BLE001 - whatever it is, nobody who only uses a command wants its traceback
            if debug:
                traceback.print_exc()
            from ctxkit.plugins.failures import one_line  # noqa: PLC0415 - start-up stays light

            say(f"Error: {one_line(exc)}")
            say("Fix: --debug shows where it happened; if it is a fault of ctxkit, tell its authors.")
            raise typer.Exit(1) from None


def complain(error: CtxkitError) -> None:
    """Print cause and fix of an error, one line each."""
    where = "/".join(part for part in (error.backend, error.collection) if part)
    say(f"Error: {where}: {error.message}" if where else f"Error: {error.message}")
    if error.fix:
        say(f"Fix: {error.fix}")


def say(line: str) -> None:
    """Print one line on standard error, whatever stands in it."""
    with suppress(OSError, ValueError):
        print(" ".join(harmless(line).split()), file=sys.stderr, flush=True)  # noqa: T201 - this is the command line


class _Handler(_StreamHandler):
    """Ours, so that a command within a command line does not show each warning a second time."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record; the names of files and memories that it tells steer no terminal."""
        return harmless(super().format(record))


@contextmanager
def _logging(*, debug: bool) -> Iterator[None]:
    """Show the library's warnings, or everything under `debug`, on standard error."""
    logger = logging.getLogger("ctxkit")
    if any(isinstance(each, _Handler) for each in logger.handlers):
        yield
        return
    handler = _Handler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s" if debug else "Warning: %(message)s"))
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if debug else logging.WARNING)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate

"""From exceptions to the lines that a user reads, and to exit codes.

0: done. 1: an error, said as `Error: cause` and `Fix: what to do`. 2: the command line was wrong. 130: interrupted.
Under --json standard output gets the error too, as one value on one line.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ctxkit.cli.output import harmless, print_json, shortened
from ctxkit.errors import CtxkitError

if TYPE_CHECKING:
    from typing import TextIO

    _StreamHandler = logging.StreamHandler[TextIO]
else:
    _StreamHandler = logging.StreamHandler  # generic at run time from Python 3.11 on

_USAGE = 2
_INTERRUPTED = 130
_LONGEST = 120  # characters of a path
_SAFE = "Interrupted. What was stored is safe."


ClickError: Any = typer.BadParameter.__mro__[2]
"""The base of what typer raises about a command line; it keeps click's classes to itself, in newer versions a copy."""


class UsageError(CtxkitError):
    """The command line is wrong."""


class UnforeseenError(CtxkitError):
    """Something that nobody raised on purpose."""


@contextmanager
def reported(*, debug: bool = False, as_json: bool = False) -> Iterator[None]:
    """Run a command: its errors become two lines on standard error and an exit code, tracebacks only under `debug`.

    Under `as_json` they go to standard output too, for a program.
    """
    with _logging(debug=debug):
        try:
            yield
            sys.stdout.flush()
        except KeyboardInterrupt:
            raise interrupted() from None
        except BrokenPipeError:
            _let_go_of_output()
            raise typer.Exit(1) from None
        except typer.Abort:
            say("Aborted.")
            raise typer.Exit(1) from None
        except (typer.Exit, ClickError):
            raise
        except Exception as exc:  # noqa: BLE001 - whatever it is, nobody who only uses a command wants its traceback
            if debug:
                traceback.print_exc()
            error = exc if isinstance(exc, CtxkitError) else _unforeseen(exc)
            complain(error, as_json=as_json)
            raise typer.Exit(_USAGE if isinstance(error, UsageError) else 1) from None


def interrupted(line: str = _SAFE) -> typer.Exit:
    """Say what Ctrl-C means for what was under way; return what ends the command."""
    say(line)
    return typer.Exit(_INTERRUPTED)


def complain(error: CtxkitError, *, as_json: bool = False) -> None:
    """Print cause and fix of an error, one line each; `as_json` also as JSON on standard output."""
    where = ", collection ".join(part for part in (error.backend, error.collection) if part)
    say(f"Error: {where}: {error.message}" if where else f"Error: {error.message}")
    if error.fix:
        say(f"Fix: {error.fix}")
    if as_json:
        with suppress(OSError, ValueError):
            print_json(error_as_json(error), indent=None)
            sys.stdout.flush()


def error_as_json(error: CtxkitError) -> dict[str, Any]:
    """Return what a program reads of an error."""
    return {"kind": "error", "error": error.as_dict()}


def say(line: str) -> None:
    """Print one line on standard error, whatever stands in it."""
    with suppress(OSError, ValueError):
        print(" ".join(harmless(line).split()), file=sys.stderr, flush=True)  # noqa: T201 - this is the command line


def _unforeseen(exc: Exception) -> CtxkitError:
    """Return cause and fix of an exception that is not ours; what an operating system refuses, users can often mend."""
    from ctxkit.plugins.failures import one_line  # noqa: PLC0415 - start-up stays light

    if isinstance(exc, FileNotFoundError) and _nowhere():
        return UnforeseenError("the current folder is gone.", fix="change to a folder that is there: cd ~")
    if isinstance(exc, OSError) and exc.strerror:
        named = "" if exc.filename is None else f"{shortened(str(exc.filename), _LONGEST)}: "
        mend = "let this user use it" if isinstance(exc, PermissionError) else "see that it is there, and has room"
        fix = f"{mend}, or name another; --debug shows where it happened."
        return UnforeseenError(f"{named}{exc.strerror}.", fix=fix)
    fix = "--debug shows where it happened; if it is a fault of ctxkit, tell its authors."
    return UnforeseenError(one_line(exc), fix=fix)


def _nowhere() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def _let_go_of_output() -> None:
    """Send nowhere what is left to write: whoever read it has gone, and at exit Python flushes once more."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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

"""Commands and groups as ours are: an option that was not given is not converted, and none is given blank.

Newer versions of typer convert with pydantic, and import it for an option that nobody gave. That is half the time
of a command that needs nothing else of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from ctxkit.cli.errors import ClickError


class QuickCommand(TyperCommand):
    """A command that converts only what was given, and takes nothing blank."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, `--help` included."""
        return [_prepared(each) for each in super().get_params(ctx)]


class QuickGroup(TyperGroup):
    """A group that converts only what was given, and takes nothing blank."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, `--help` included."""
        return [_prepared(each) for each in super().get_params(ctx)]


def named(command: Any) -> Any:
    """Return a command, or a group with all below it, whose usage errors tell where they arose, each in its `ctx`."""
    if "parse_args" not in vars(command):
        command.parse_args = functools.partial(_parse_args, command.parse_args)
    for each in getattr(command, "commands", {}).values():
        named(each)
    return command


def _parse_args(parse: Callable[[Any, Any], Any], ctx: Any, args: Any) -> Any:
    try:
        return parse(ctx, args)
    except ClickError as exc:
        # An option without its value is found out by a part that knows of no command.
        exc.ctx = getattr(exc, "ctx", None) or ctx
        raise


def _prepared(parameter: Any) -> Any:
    """Return the parameter, whose `process_value` refuses what is blank and converts no more than was given."""
    if "process_value" not in vars(parameter):
        parameter.process_value = functools.partial(_process_value, parameter, parameter.process_value)
    return parameter


def _process_value(parameter: Any, convert: Callable[[Any, Any], Any], ctx: Any, value: Any) -> Any:
    given = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(each, str) and not each.strip() for each in given):
        raise typer.BadParameter("is blank.", ctx=ctx, param=parameter)
    if parameter.required:
        return convert(ctx, value)
    if value is None and (getattr(parameter, "multiple", False) or parameter.nargs == -1):
        value = ()
    elif value is not None and not (isinstance(value, bool) and getattr(parameter, "is_flag", False)):
        return convert(ctx, value)
    return value if parameter.callback is None else parameter.callback(ctx, parameter, value)

"""Commands and groups that start quickly: an option that was not given is not converted.

Newer versions of typer convert with pydantic, and import it for an option that nobody gave. That is half the time
of a command that needs nothing else of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from typer.core import TyperCommand, TyperGroup


class QuickCommand(TyperCommand):
    """A command that converts only what was given."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, `--help` included."""
        return [_converted_if_given(each) for each in super().get_params(ctx)]


class QuickGroup(TyperGroup):
    """A group that converts only what was given."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, `--help` included."""
        return [_converted_if_given(each) for each in super().get_params(ctx)]


def _converted_if_given(parameter: Any) -> Any:
    """Return the parameter, whose `process_value` lets None and flags pass unless it is a required one."""
    if not parameter.required and "process_value" not in vars(parameter):
        parameter.process_value = functools.partial(_process_value, parameter, parameter.process_value)
    return parameter


def _process_value(parameter: Any, convert: Callable[[Any, Any], Any], ctx: Any, value: Any) -> Any:
    if value is None and (getattr(parameter, "multiple", False) or parameter.nargs == -1):
        value = ()
    elif value is not None and not (isinstance(value, bool) and getattr(parameter, "is_flag", False)):
        return convert(ctx, value)
    return value if parameter.callback is None else parameter.callback(ctx, parameter, value)

"""What is wrong with a command line: what typer found, as cause and fix, with the nearest thing that works.

typer keeps the classes of its errors to itself, so they are told by their names.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ctxkit.cli.errors import UsageError
from ctxkit.cli.output import shortened
from ctxkit.plugins.known import command_install_line

_LONGEST = 60  # characters of what was typed that are repeated
# What the versions of typer say about a value, and what we say after "must be".
_DEMANDS = (
    (r"valid integer", "a whole number"),
    (r"valid (?:float|number)", "a number"),
    (r"(?:greater than or equal to |x>=)(\S+?)\.?$", r"at least \1"),
    (r"(?:less than or equal to |x<=)(\S+?)\.?$", r"at most \1"),
    (r"is not (one of .+?)\.?$", r"\1"),
)


def explained(found: Any, arguments: Sequence[str]) -> UsageError:
    """Return cause and fix of what typer found wrong with these arguments."""
    name, ctx = type(found).__name__, getattr(found, "ctx", None)
    unknown = re.search(r"^No such command '(.*?)'", found.message)
    surplus = re.search(r"unexpected extra argument\S* \((.*)\)", found.message)
    if ctx is None:
        cause, fix = found.format_message(), "`ctxkit --help` lists the commands."
    elif name == "NoSuchOption":
        cause, fix = _no_such_option(found.option_name, ctx)
    elif name == "BadOptionUsage":
        cause, fix = _without_value(found, ctx)
    elif name == "MissingParameter" and found.param is not None:
        cause, fix = f"`{ctx.command_path}` needs {_title(found.param)}.", _as_in(ctx, found.param)
    elif name == "BadParameter" and found.param is not None:
        cause, fix = _bad_value(found, arguments), _as_in(ctx, found.param)
    elif unknown is not None:
        cause, fix = _no_such_command(unknown[1], ctx)
    elif surplus is not None:
        cause, fix = _surplus(surplus[1], ctx)
    elif found.message.startswith("Missing command"):
        cause, fix = f"`{ctx.command_path}` needs a command.", f"{_help(ctx)} lists them."
    else:
        cause, fix = found.format_message(), f"{_help(ctx)} shows how."
    return UsageError(cause, fix=fix)


def is_help(found: Any) -> bool:
    """Whether this is no error but the help of a group that was called without a command."""
    return type(found).__name__ == "NoArgsIsHelpError"


def _no_such_option(option: str, ctx: Any) -> tuple[str, str]:
    own, shared = _options(ctx), _options(ctx.find_root())
    cause = f"`{ctx.command_path}` has no option {_short(option)}."
    close = _closest(option, own)
    if close:
        return cause, f"did you mean {close}? {_help(ctx)} lists them."
    if option in shared:
        _, _, rest = ctx.command_path.partition(" ")
        return cause, f"it stands before the command: `ctxkit {option} ... {rest}`."
    takes_text = any(each.param_type_name == "argument" for each in ctx.command.params)
    dash = "; a text that begins with - comes after --" if takes_text else ""
    return cause, f"{_help(ctx)} lists them{dash}."


def _without_value(found: Any, ctx: Any) -> tuple[str, str]:
    option = found.option_name
    if "does not take a value" in found.message:
        return f"{option} takes no value.", f"write {option} alone."
    param = next((each for each in ctx.command.params if option in each.opts), None)
    return f"{option} needs a value.", f"{_help(ctx)} explains it." if param is None else _as_in(ctx, param)


def _bad_value(found: Any, arguments: Sequence[str]) -> str:
    title, message = _title(found.param), found.message
    if message.startswith("is "):  # said by ourselves
        return f"{title} {message}"
    value = _given(found.param, arguments)
    given = "" if value is None else f" (is {_short(value)})"
    for pattern, words in _DEMANDS:
        match = re.search(pattern, message)
        if match is not None:
            demand = match.expand(words).replace("'", "")
            return f"{title} must be {demand}{given}."
    return f"{title}{given}: {message}"


def _no_such_command(name: str, ctx: Any) -> tuple[str, str]:
    cause = f"there is no command `{ctx.command_path} {_short(name)}`."
    install = None if ctx.parent else command_install_line(name)
    if install is not None:
        return cause, f"{install}, which brings it."
    below = [group for group, each in ctx.command.commands.items() if name in getattr(each, "commands", {})]
    meant = f"{below[0]} {name}" if below else _closest(name, ctx.command.list_commands(ctx))
    return cause, f"{f'did you mean `{ctx.command_path} {meant}`? ' if meant else ''}{_help(ctx)} lists them."


def _surplus(words: str, ctx: Any) -> tuple[str, str]:
    cause = f"`{ctx.command_path}` has no place for {_short(words)}."
    wanted = [each for each in ctx.command.params if each.param_type_name == "argument"]
    if not wanted:
        return cause, f"leave it out; {_help(ctx)} shows what there is."
    return cause, f"leave it out, or put quotes around a text with blanks, {_as_in(ctx, wanted[0])}"


def _as_in(ctx: Any, param: Any) -> str:
    """Return the example of a command's help that has this option, else the first; else what the option looks like."""
    lines = [line.strip() for line in (ctx.command.help or "").splitlines()]
    examples = [line for line in lines if line.startswith("ctxkit ") and not line.endswith("\\")]
    if param.param_type_name == "option":
        examples = [line for line in examples if set(line.split()) & set(param.opts)]
        if not examples:
            return f"write it as {param.opts[0]} {param.metavar or 'VALUE'}; {_help(ctx)} explains it."
    return f"as in `{examples[0]}`." if examples else f"{_help(ctx)} shows how."


def _given(param: Any, arguments: Sequence[str]) -> str | None:
    """Return the value that was typed for an option, None for an argument or where it cannot be told."""
    for option in param.opts if param.param_type_name == "option" else ():
        glued = f"{option}=" if option.startswith("--") else option  # -k3 is -k 3, and -k=3 is -k "=3"
        for before, word in zip(arguments, [*arguments[1:], ""], strict=True):
            if before == option:
                return word
            if before.startswith(glued):
                return before.removeprefix(glued)
    return None


def _title(param: Any) -> str:
    if param.param_type_name == "option":
        return str(param.opts[0])
    return str(param.metavar or param.name.upper()).strip("[].")


def _options(ctx: Any) -> list[str]:
    return [name for each in ctx.command.get_params(ctx) for name in each.opts if name.startswith("-")]


def _closest(word: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), "")


def _help(ctx: Any) -> str:
    return f"`{ctx.command_path} --help`"


def _short(words: str) -> str:
    return shortened(words, _LONGEST)

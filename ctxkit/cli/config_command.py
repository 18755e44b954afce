"""`ctxkit config`: which options hold and where they come from, a file to begin with, and what is wrong with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ctxkit.cli import plain
from ctxkit.cli.output import counted, near, print_json
from ctxkit.cli.settings import Settings, command

if TYPE_CHECKING:
    from ctxkit.config.layers import Finding, Origin
    from ctxkit.interfaces import Kind

FixOption = Annotated[bool, typer.Option("--fix", help="Write the configuration file anew with what can be mended.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Let a warning count as a problem in the exit code.")]
_HIDDEN = "(hidden)"


def add_commands(group: typer.Typer) -> None:
    """Register the commands of `ctxkit config`."""
    command(group, "show")(show)
    command(group, "init")(init)
    command(group, "check")(check)


def show(settings: Settings) -> None:
    """List every option with its value and where that comes from; keys are not shown.

    \b
    Examples:
      ctxkit config show
      CTXKIT_MEMORY__RECENT_K=3 ctxkit config show --set llm.model=gpt-5-mini
      ctxkit config show --json
    """  # noqa: D301 - \b is for the help formatter
    layers, store = settings.layers, _where(settings)
    rows = [(".".join(key), value, layers.origin(key)) for key, value in _values(settings)]
    config_file = None if layers.file is None else layers.file.title
    wrong = layers.checked[1]
    if settings.as_json:
        print_json(
            {
                "file": config_file,
                "store": store,
                "options": {
                    name: {"value": _as_json(value), "origin": _as_dict(origin)} for name, value, origin in rows
                },
                "problems": [finding_as_dict(each) for each in wrong],
            }
        )
        return
    plain.paragraph(f"File: {config_file or 'none'}")
    plain.paragraph(f"Store: {near(store)}\n")
    from ctxkit.config.layers import shown_value  # noqa: PLC0415 - start-up stays light

    for layer in ("argument", "environment", "file", "default"):
        listed = [[name, shown_value(value), str(origin)] for name, value, origin in rows if origin.layer == layer]
        if listed:
            plain.heading({"argument": "Options", "environment": "Environment", "file": "File"}.get(layer, "Defaults"))
            # A default's origin says nothing, and lists are long: the last column is the one that wraps.
            plain.table(
                [row[:2] for row in listed] if layer == "default" else [[row[0], row[2], row[1]] for row in listed]
            )
    if wrong:
        plain.paragraph(f"\n{counted(len(wrong), 'value')} left out; `ctxkit config check` says why.", "yellow")


def _where(settings: Settings) -> str:
    """Return where the store is; where the options of a wrong configuration cannot say, the folder."""
    from ctxkit.errors import CtxkitError  # noqa: PLC0415 - start-up stays light

    try:
        return settings.where
    except CtxkitError:
        return str(settings.store_path)


def _values(settings: Settings) -> list[tuple[tuple[str, ...], Any]]:
    """Return each option of the configuration as far as it is right, keys hidden."""
    from ctxkit.config.layers import SECTIONS  # noqa: PLC0415 - start-up stays light
    from ctxkit.config.secrets import is_shown  # noqa: PLC0415

    config = settings.layers.checked[0]
    found: list[tuple[tuple[str, ...], Any]] = []
    for name in type(config).model_fields:
        section: Any = getattr(config, name)
        if name not in SECTIONS:
            found.append(((name,), section))
            continue
        values = {each: getattr(section, each) for each in type(section).model_fields}
        secret: set[str] = set()
        if hasattr(section, "options"):
            own = section.options()
            secret = _secret_options(settings, cast("Kind", name), section.provider) if own else set()
            values |= own
        for option, value in values.items():
            if value is not None:
                shown = option not in secret and is_shown(option, value)
                found.append(((name, option), value if shown else _HIDDEN))
    return found


def _secret_options(settings: Settings, kind: Kind, provider: str) -> set[str]:
    """Return the options that the component itself keeps secret, none of one that is not there."""
    from ctxkit.errors import PluginError  # noqa: PLC0415 - start-up stays light

    try:
        fields = settings.registry().config_class(kind, provider).model_fields
    except PluginError:
        return set()
    return {name for name, about in fields.items() if "SecretStr" in str(about.annotation)}


def init(
    settings: Settings,
    path: Annotated[Path, typer.Argument(metavar="[FILE]", help="The file to write.")] = Path("ctxkit.toml"),
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a configuration file that explains every option and changes none.

    \b
    Examples:
      ctxkit config init
      ctxkit config init settings/ctxkit.toml --force
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit.config.options import starting_file  # noqa: PLC0415 - start-up stays light
    from ctxkit.config.repairing import unwritable, write  # noqa: PLC0415
    from ctxkit.errors import ConfigError  # noqa: PLC0415

    if path.exists() and not force:
        raise ConfigError(f"{path} exists.", fix="name another file, or replace it with --force.")
    try:
        write(path, starting_file())
    except OSError as exc:
        raise unwritable(path, exc) from None
    if settings.as_json:
        print_json({"file": str(path)})
        return
    plain.paragraph(f"Wrote {near(str(path))}. Take the # away from what you want to change.")


def check(settings: Settings, *, fix: FixOption = False, strict: StrictOption = False) -> None:
    """Name everything that is wrong with the configuration, each with its place and what to do.

    With --fix the file is written anew, comments and all, and what it was is kept beside it. Exit code 0: nothing
    wrong, 1: a problem is left (under --strict also a warning).

    \b
    Examples:
      ctxkit config check
      ctxkit config check --fix
      ctxkit config check --config settings/ctxkit.toml --json
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit.doctor.configuration import findings, mend  # noqa: PLC0415 - start-up stays light

    registry = settings.registry()
    found = findings(settings.layers, registry)
    backup, left = mend(settings.layers, registry, settings.assignments) if fix else (None, found)
    mended = [each for each in found if each.problem not in {other.problem for other in left}]
    if settings.as_json:
        print_json(
            {
                "file": None if settings.layers.file is None else settings.layers.file.title,
                "findings": [finding_as_dict(each) for each in left],
                "mended": [finding_as_dict(each) for each in mended],
                "backup": None if backup is None else str(backup),
            }
        )
    else:
        _print(settings, left, mended, backup)
    if any(strict or not each.is_warning for each in left):
        raise typer.Exit(1)


def _print(settings: Settings, left: list[Finding], mended: list[Finding], backup: Path | None) -> None:
    rows = [["mended", f"{each}"] for each in mended]
    rows += [["warning" if each.is_warning else "problem", f"{each}\nFix: {each.fix}"] for each in left]
    plain.table(rows, ({"mended": "green", "warning": "yellow", "problem": "red"},))
    if backup is not None:
        plain.paragraph(f"What the file was is kept in {near(str(backup))}; keys that stood in it still stand there.")
    file = settings.layers.file
    where = "the environment and the defaults" if file is None else f"{file.title}, the environment and the defaults"
    plain.paragraph(f"{counted(len(left), 'finding') if left else 'Nothing wrong'} in {where}.", dim=True)


def finding_as_dict(finding: Finding) -> dict[str, Any]:
    """Return a finding as JSON values."""
    return {
        "level": "warning" if finding.is_warning else "problem",
        "origin": _as_dict(finding.origin),
        "problem": finding.problem,
        "fix": finding.fix,
    }


def _as_json(value: object) -> Any:
    """Return a value as JSON has it; a date of a file is text there."""
    return json.loads(json.dumps(value, default=str))


def _as_dict(origin: Origin) -> dict[str, Any]:
    return {"layer": origin.layer, "name": origin.name or None, "line": origin.line}

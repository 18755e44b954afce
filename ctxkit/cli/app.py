"""The command `ctxkit`: its global options, its commands, and those that plugins add."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.main

from ctxkit import __version__
from ctxkit.cli import (
    chat_command,
    config_command,
    demo_command,
    doctor_command,
    ingest_command,
    inspect_command,
    memory_commands,
    moving_commands,
    plugin_commands,
    scaffold_command,
    store_commands,
)
from ctxkit.cli.errors import ClickError, reported
from ctxkit.cli.settings import (
    ConfigOption,
    DebugOption,
    JsonOption,
    PluginOption,
    SessionOption,
    SetOption,
    Settings,
    StoreOption,
    command,
)
from ctxkit.cli.start import QuickGroup, named
from ctxkit.cli.usage import explained, is_help
from ctxkit.errors import CtxkitError

if TYPE_CHECKING:
    from ctxkit.plugins import Command


_COMMANDS = "ctxkit.commands"


class Group(QuickGroup):
    """The top level; plugins are asked for commands only when the name is not one of our own, or for the list."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return our commands in the order in which one meets them, then the plugins'."""
        own = list(self.commands)
        try:
            added = _plugin_commands(ctx)
        except CtxkitError:
            # Whatever is wrong with the plugins or the environment, help has to work.
            return own
        return [*own, *(each.name for each in added if each.name not in own)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of that name, None when there is none."""
        if cmd_name in self.commands:
            return self.commands[cmd_name]
        found = (each for each in _plugin_commands(ctx) if each.name == cmd_name)
        return next((named(typer.main.get_command(each.app)) for each in found), None)

    def invoke(self, ctx: Any) -> None:
        """Run the command, with the errors and interruptions of a plugin's told as those of ours are."""
        with reported(debug=ctx.params["debug"], as_json=ctx.params["as_json"]):
            super().invoke(ctx)


def _plugin_commands(ctx: Any) -> list[Command]:
    # The options are read by now, but `root` has not run: a command is looked up before. Help looks each one up, and
    # a broken plugin is to be told of once.
    if _COMMANDS not in ctx.meta:
        ctx.meta[_COMMANDS] = Settings(plugins=tuple(ctx.params.get("plugins") or ())).registry().commands()
    commands: list[Command] = ctx.meta[_COMMANDS]
    return commands


def _new_app(**options: Any) -> typer.Typer:
    # Help is printed as written: rich's markup would eat the brackets and line ends of the examples.
    return typer.Typer(rich_markup_mode=None, no_args_is_help=True, pretty_exceptions_enable=False, **options)


app = _new_app(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with `ctxkit demo`. Each command explains itself with --help.",
)
config_app = _new_app(cls=QuickGroup, help="See which options hold, and what is wrong with them.")
plugins_app = _new_app(cls=QuickGroup, help="See which components are installed, and why one is not.")


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer passes it so
    if value:
        typer.echo(f"ctxkit {__version__}")
        raise typer.Exit


@app.callback()
def root(  # noqa: PLR0913 - one argument for each option that all commands share
    ctx: typer.Context,
    *,
    store: StoreOption = None,
    session: SessionOption = None,
    config_file: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
    plugins: PluginOption = None,
    debug: DebugOption = False,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Memory for LLM applications that cannot be lost."""
    ctx.obj = ctx.ensure_object(Settings).updated(
        store, session, plugins, config_file, assignments, as_json=as_json, debug=debug
    )


command(app, "demo")(demo_command.demo)
command(app, "chat")(chat_command.chat)
command(app, "ingest")(ingest_command.ingest)
command(app, "query")(memory_commands.query)
command(app, "context")(memory_commands.context)
command(app, "inspect")(inspect_command.inspect)
command(app, "stats")(memory_commands.stats)
command(app, "doctor")(doctor_command.doctor)
command(app, "backup")(store_commands.backup)
command(app, "upgrade")(store_commands.upgrade)
command(app, "migrate")(moving_commands.migrate)
command(app, "export")(moving_commands.export)
command(app, "import")(moving_commands.import_)
command(app, "reembed")(moving_commands.reembed)
config_command.add_commands(config_app)
plugin_commands.add_commands(plugins_app)
command(plugins_app, "new")(scaffold_command.new_plugin)


@plugins_app.callback()
def plugins_root() -> None:
    """See which components are installed, and why one is not."""


app.add_typer(config_app, name="config")
app.add_typer(plugins_app, name="plugins")


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character shows a question mark; no text makes a command fail.
            stream.reconfigure(errors="replace")
    root_command = named(typer.main.get_command(app))
    try:
        with reported(debug="--debug" in arguments, as_json="--json" in arguments):
            return _run(root_command, list(arguments))
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except typer.Exit as exc:
        return exc.exit_code


def _run(root_command: Any, arguments: list[str]) -> int:
    try:
        # Its own mode would say errors in its own way.
        code: int | None = root_command.main(arguments, prog_name="ctxkit", standalone_mode=False)
    except ClickError as exc:
        if not is_help(exc):
            raise explained(exc, arguments) from exc
        exc.show()
        code = exc.exit_code
    return code or 0

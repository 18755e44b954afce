"""What every command takes: where the store is, whose session, and how to print.

The options stand before or after the name of the command, whichever a user types; what stands after wins.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctxkit.cli import errors
from ctxkit.cli.start import QuickCommand

if TYPE_CHECKING:
    from ctxkit.config import Config
    from ctxkit.config.layers import Layers
    from ctxkit.errors import CtxkitError
    from ctxkit.manager import ContextManager
    from ctxkit.moving import StorePlace
    from ctxkit.plugins import PluginRegistry

STORE_VARIABLE = "CTXKIT_STORE"
DEFAULT_STORE = ".ctxkit"
# A command on a store, as a fix names it.
_ON_A_STORE = re.compile(
    r"`ctxkit ((?:backup|chat|context|doctor|export|import|ingest|inspect|query|reembed|stats|upgrade)\b[^`]*)`"
)
_PROVIDER_TO_SET = re.compile(r"set (vector_store\.provider) to ([\w:-]+)")
_SAID = frozenset({"--store", "--from", "--to", "--set", "--config", "--help"})

StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="DIR",
        help=f"Folder of the store (or the variable {STORE_VARIABLE}; default: {DEFAULT_STORE}).",
        show_default=False,
    ),
]
SessionOption = Annotated[
    str | None,
    typer.Option("--session", metavar="ID", help="See and write this session only.", show_default=False),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration file (or the variable CTXKIT_CONFIG; default: the nearest ctxkit.toml).",
        show_default=False,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set an option, as in memory.recent_k=3; may be repeated.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]
PluginOption = Annotated[
    list[str] | None,
    typer.Option("-p", metavar="MODULE_OR_FILE", help="Load this plugin too; may be repeated.", show_default=False),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Log everything, and show tracebacks.")]


@dataclass(frozen=True)
class Settings:
    """The options shared by all commands, as far as they were given."""

    store: Path | None = None
    session: str | None = None
    config_file: Path | None = None
    assignments: tuple[str, ...] = ()
    as_json: bool = False
    plugins: tuple[str, ...] = ()
    debug: bool = False

    def updated(
        self,
        store: Path | None,
        session: str | None,
        plugins: list[str] | None,
        config_file: Path | None = None,
        assignments: list[str] | None = None,
        *,
        as_json: bool,
        debug: bool,
    ) -> Settings:
        """Return these settings with what was given later laid over them."""
        return replace(
            self,
            store=store if store is not None else self.store,
            session=session if session is not None else self.session,
            config_file=config_file if config_file is not None else self.config_file,
            assignments=(*self.assignments, *(assignments or ())),
            as_json=as_json or self.as_json,
            plugins=(*self.plugins, *(plugins or ())),
            debug=debug or self.debug,
        )

    @property
    def store_path(self) -> Path:
        """The store's folder, absolute: the option, else the variable, else the file's, else the default."""
        named = Path(self._named_store or DEFAULT_STORE)
        return named.resolve() if ".." in named.parts else named.absolute()

    @property
    def _named_store(self) -> str | Path | None:
        return self.store or os.environ.get(STORE_VARIABLE) or self.layers.store

    @cached_property
    def place(self) -> StorePlace:
        """Where the configured store is; raises ConfigError for a wrong configuration, and PluginError."""
        from ctxkit.doctor.whereabouts import memory_place  # noqa: PLC0415 - start-up stays light

        section, named = self.config().vector_store, self._named_store is not None
        return memory_place(section, self.store_path, self.registry(), named=named)

    @property
    def where(self) -> str:
        """The store as people name it: its folder, else its provider and options; raises like `place`."""
        return str(self.place.folder or self.place.title)

    @cached_property
    def layers(self) -> Layers:
        """Every value of the configuration with where it comes from; raises ConfigError for an unreadable file."""
        from ctxkit.config.layers import read_layers  # noqa: PLC0415 - start-up stays light

        return read_layers(self.config_file, assignments=self.assignments)

    def config(self) -> Config:
        """Return the configuration: options before the environment before the file before the defaults.

        Raises ConfigError that names the place of each wrong value.
        """
        return self.layers.config()

    def registry(self) -> PluginRegistry:
        """Return the installed plugins and those named with -p; raises PluginLoadError when one of the latter fails."""
        from ctxkit.plugins import PluginRegistry  # noqa: PLC0415 - start-up stays light

        # A plugin that prints while it loads must not spoil the output that a program reads.
        with redirect_stdout(sys.stderr):
            registry = PluginRegistry.discover()
            for plugin in self.plugins:
                registry.load_path(plugin)
        return registry

    @contextmanager
    def manager(self, *, create: bool = False) -> Iterator[ContextManager]:
        """Open the store for one command; only `create` makes one that is not there.

        Raises StoreUnavailableError when there is none, or one of another kind, or the path is no folder, and what
        ContextManager raises.
        """
        from ctxkit.errors import StoreUnavailableError  # noqa: PLC0415
        from ctxkit.manager import ContextManager  # noqa: PLC0415

        config, place = self.config(), self.place
        folder = place.folder
        if folder is not None and folder.exists() and not folder.is_dir():
            raise StoreUnavailableError(f"{folder} is a file, not the folder of a store.", fix="give --store a folder.")
        if not create and not self.has_store():
            raise self._no_store()
        path = None if "path" in config.vector_store.options() else folder  # which then is that option
        with ContextManager(config, path=path, session_id=self.session, registry=place.registry) as manager:
            yield manager

    def has_store(self) -> bool:
        """Whether the configured store is there; raises like `place`."""
        from ctxkit.memory.opening import COLLECTION  # noqa: PLC0415 - start-up stays light

        return self.place.described(COLLECTION) is not None

    def repeated(self, *words: str) -> str:
        """Return a command with the shared options that were given, in backquotes, to be typed as it stands."""
        from ctxkit.doctor.subject import Subject  # noqa: PLC0415 - start-up stays light

        store, file = str(self.store or ""), None if self.config_file is None else str(self.config_file)
        return Subject(store, DEFAULT_STORE, file, self.assignments, self.plugins).command(*words)

    @contextmanager
    def advising(self) -> Iterator[None]:
        """Say the fix of an error as one types it: it comes from where nobody knows the command line."""
        from ctxkit.errors import CtxkitError  # noqa: PLC0415 - start-up stays light

        try:
            yield
        except CtxkitError as exc:
            if exc.fix:
                exc.fix = _ON_A_STORE.sub(self._completed, _PROVIDER_TO_SET.sub(r"add --set \1=\2", exc.fix))
            raise

    def _completed(self, found: re.Match[str]) -> str:
        words = shlex.split(found[1])
        return found[0] if _SAID & set(words) else self.repeated(*words)

    def _no_store(self) -> CtxkitError:
        """Return what to say where there is no store; raises ConfigError where there is one of another kind."""
        from ctxkit.errors import StoreUnavailableError  # noqa: PLC0415 - start-up stays light
        from ctxkit.memory.kinds import refuse_another_kind  # noqa: PLC0415
        from ctxkit.memory.opening import COLLECTION  # noqa: PLC0415

        place, folder = self.place, self.place.folder
        if folder is not None:
            refuse_another_kind(place.provider, place.options, folder, COLLECTION, place.registry)
        if folder is not None and folder.is_dir() and any(not each.name.startswith(".") for each in folder.iterdir()):
            return StoreUnavailableError(
                f"there is no store in {folder} of a kind that is installed, but something else.",
                fix="name another folder with --store; for a store of a plugin in a file add -p FILE.",
            )
        return StoreUnavailableError(
            f"there is no store in {self.where}.",
            fix=f"make one with {self.repeated('ingest', 'PATH')}, or name another with --store.",
        )


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register `function(settings, ...)` as a command with the shared options added to its own.

    The docstring is the help text, printed as it stands. Errors and interruptions become messages and exit codes.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function, eval_str=True)
        own = [_option(each.name, each.annotation, each.default) for each in list(signature.parameters.values())[1:]]
        shared = [_option(*each) for each in _SHARED]

        @functools.wraps(function)
        def wrapper(**arguments: Any) -> None:
            ctx: typer.Context = arguments.pop("ctx")
            given = {key: arguments.pop(key) for key, _, _ in _SHARED}
            settings = ctx.ensure_object(Settings).updated(**given)
            with errors.reported(debug=settings.debug, as_json=settings.as_json), settings.advising():
                function(settings, **arguments)

        parameters = [_option("ctx", typer.Context, inspect.Parameter.empty), *own, *shared]
        # typer reads both; neither may show the wrapped function's own.
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {each.name: each.annotation for each in parameters}
        app.command(name, cls=QuickCommand)(wrapper)
        return function

    return register


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_SHARED: tuple[tuple[str, Any, Any], ...] = (
    ("store", StoreOption, None),
    ("session", SessionOption, None),
    ("config_file", ConfigOption, None),
    ("assignments", SetOption, None),
    ("as_json", JsonOption, False),
    ("plugins", PluginOption, None),
    ("debug", DebugOption, False),
)

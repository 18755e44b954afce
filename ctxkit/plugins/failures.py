"""The errors of the registry, each with its cause and its fix."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ctxkit.errors import AmbiguousPluginError, PluginLoadError, PluginNotFoundError
from ctxkit.interfaces import Kind
from ctxkit.plugins.component import KINDS, Component, PluginRecord, Status
from ctxkit.plugins.installed import modules_of, root_of
from ctxkit.plugins.known import install_line, known_names
from ctxkit.plugins.policy import ALLOW, DENY

_LONGEST = 500
_CORE = Path(__file__).parents[1]
_VERBS: Mapping[Status, str] = {
    "loaded": "adds no commands",  # nothing else fails after loading
    "failed": "failed to load",
    "incompatible": "is not compatible with this ctxkit",
    "blocked": "was not loaded",
}


def one_line(cause: BaseException) -> str:
    """Return type and message of an exception in one line of at most 500 characters."""
    if isinstance(cause, SyntaxError):
        text = f"SyntaxError: {cause}"  # the usual form leaves out file and line
    elif _is_ours(cause):
        text = f"{type(cause).__name__}: {cause}"  # where it is defined tells a user nothing
    else:
        text = "".join(traceback.format_exception_only(cause))
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def load_error(plugin: PluginRecord) -> PluginLoadError:
    """Return the error for a plugin that failed or is incompatible, with its own exception as `__cause__`."""
    place = _place(plugin.cause) if plugin.version else ""
    error = PluginLoadError(f"{plugin.title} {_VERBS[plugin.status]}: {plugin.error}{place}.", fix=load_fix(plugin))
    error.__cause__ = plugin.cause
    return error


def _place(cause: BaseException | None) -> str:
    """Return where in a plugin's own code its exception was raised, "" where it was not raised there."""
    frames = traceback.extract_tb(cause.__traceback__) if cause is not None and not _is_ours(cause) else []
    if not frames or isinstance(cause, SyntaxError):
        return ""
    file = frames[-1].filename
    foreign = not file.startswith("<") and not Path(file).is_relative_to(_CORE)
    return f" ({file}, line {frames[-1].lineno})" if foreign else ""


def _is_ours(cause: BaseException) -> bool:
    return type(cause).__module__.partition(".")[0] in {"ctxkit", "pluggy"}


def load_fix(plugin: PluginRecord) -> str:
    """Return what to do about a plugin that does not load."""
    if not plugin.version:
        return _unpackaged_fix(plugin)
    if plugin.status == "incompatible":
        remedy = f"pip install --upgrade ctxkit-core {plugin.distribution}"
    elif isinstance(plugin.cause, ModuleNotFoundError) and plugin.cause.name:
        own = root_of(plugin.value)
        missing = plugin.cause.name
        remedy = f"install the module {missing!r}"
        if missing.partition(".")[0] == own:
            there = modules_of(plugin.distribution)
            remedy = f"pip install --force-reinstall {plugin.distribution}"
            if there and own not in there:
                remedy = f"tell its authors that it has no module {own!r}, but {' and '.join(there)}"
    else:
        remedy = f"pip install --upgrade {plugin.distribution}, or tell its authors"
    return f"{remedy}, or leave it out with {DENY}={plugin.distribution}."


def _unpackaged_fix(plugin: PluginRecord) -> str:
    missing = plugin.cause.name if isinstance(plugin.cause, ModuleNotFoundError) else None
    if not missing:
        return f"correct {plugin.value}."
    if missing.partition(".")[0] == plugin.value.partition(".")[0]:
        return f"install {missing!r}, or name its file, as in folder/{missing.replace('.', '/')}.py."
    return f"install the module {missing!r}, or correct {plugin.value}."


def unavailable(plugin: PluginRecord) -> PluginLoadError | PluginNotFoundError:
    """Return the error for a component of a plugin that is not loaded."""
    if plugin.status == "blocked":
        denied = (plugin.error or "").startswith(DENY)
        return PluginNotFoundError(
            f"{plugin.title} {_VERBS[plugin.status]}: {plugin.error}.",
            fix=f"take it out of {DENY}." if denied else f"add {plugin.distribution} to {ALLOW}, or unset that.",
        )
    return load_error(plugin)


def not_installed(names: Sequence[str], plugins: Iterable[PluginRecord]) -> PluginNotFoundError:
    """Return the error for names in the list of what may load that no installed plugin answers to."""
    there = sorted({name for plugin in plugins for name in (plugin.distribution, plugin.entry_point)})
    close = [match for name in names for match in difflib.get_close_matches(name, there, n=1)]
    guess = f"did you mean {' and '.join(map(repr, close))}? " if close else ""
    return PluginNotFoundError(
        f"{ALLOW} lists {' and '.join(map(repr, names))}, but no installed plugin is called that.",
        fix=f"{guess}`ctxkit plugins list` shows all that are installed.",
    )


def ambiguous(name: str, matches: Iterable[Component]) -> AmbiguousPluginError:
    """Return the error for a bare name that several distributions chose."""
    found = list(matches)
    forms = ", ".join(component.qualified_name for component in found)
    kind, first = found[0].kind, found[0].qualified_name
    return AmbiguousPluginError(
        f"more than one {kind} is called {name!r}: {forms}.",
        fix=f'ask for one of those forms, as in {kind}.provider = "{first}".',
    )


def not_found(kind: Kind, name: str, components: Sequence[Component]) -> PluginNotFoundError:
    """Return the error for a name that nothing provides: what there is, and how to get what was meant."""
    if kind not in KINDS:
        return PluginNotFoundError(f"there is no kind of component {kind!r}.", fix=f"use one of {', '.join(KINDS)}.")
    names = sorted({component.name for component in components})
    message = f"no installed plugin provides the {kind} {name!r}; there is {', '.join(names) or 'none'}."
    bare = name.rpartition(":")[2]
    close = difflib.get_close_matches(bare.lower(), [*names, *known_names(kind)], n=1)
    install = install_line(kind, bare)
    if install:
        fix = install
    elif close and close[0] not in names:
        fix = f"did you mean {close[0]!r}? {install_line(kind, close[0])}"
    elif close:
        fix = f"did you mean {close[0]!r}?"
    else:
        fix = "install the plugin that provides it, or choose one of these; `ctxkit plugins list` shows them all."
    return PluginNotFoundError(message, fix=fix)


def not_found_anywhere(name: str, components: Sequence[Component]) -> PluginNotFoundError:
    """Return the error for a name that no component of any kind has."""
    bare = name.rpartition(":")[2]
    names = sorted({component.name for component in components})
    known = {each: kind for kind in KINDS for each in known_names(kind)}
    close = difflib.get_close_matches(bare.lower(), [*names, *known], n=1)
    fix = "`ctxkit plugins list` shows what there is."
    if close:
        kind = known.get(close[0])
        line = install_line(kind, close[0]) if kind and close[0] not in names else None
        fix = f"did you mean {close[0]!r}? {line or ''}".strip()
        if line and close[0] == bare:
            fix = line
    return PluginNotFoundError(
        f"no installed plugin provides {name!r}; there is {', '.join(names) or 'none'}.", fix=fix
    )


def not_a_component(name: str, plugin: PluginRecord) -> PluginNotFoundError:
    """Return the error for the name of a plugin in the place of one of its components."""
    what = "ask for what it provides: " + ", ".join(plugin.components) if plugin.components else "it provides commands"
    return PluginNotFoundError(f"{name!r} is a plugin, not a component.", fix=f"{what}.")

"""`ctxkit plugins`: the group, and its `list`: which components there are, and what keeps the others away."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ctxkit.cli import plain, plugin_check, plugin_show, plugin_trace
from ctxkit.cli.output import counted, print_json
from ctxkit.cli.settings import Settings, command

if TYPE_CHECKING:
    import typer

    from ctxkit.plugins import PluginRecord, PluginRegistry

_TITLES = {
    "vector_store": "Vector stores",
    "embedder": "Embedders",
    "tokenizer": "Tokenizers",
    "llm": "Language models",
}
_STATES = {
    "ready": "green",
    "loaded": "green",
    "missing": "red",
    "failed": "red",
    "incompatible": "red",
    "ambiguous": "yellow",
    "blocked": "yellow",
}
_FEW = 3  # values of a capability that a line has room for


def add_commands(group: typer.Typer) -> None:
    """Register the commands of `ctxkit plugins`."""
    command(group, "list")(list_plugins)
    command(group, "show")(plugin_show.show)
    command(group, "check")(plugin_check.check)
    command(group, "trace")(plugin_trace.trace)


def list_plugins(settings: Settings) -> None:
    """List the installed components by kind, with what is missing; nothing of theirs is imported.

    \b
    Examples:
      ctxkit plugins list
      ctxkit plugins list --json
      ctxkit -p my_backend.py plugins list
    """  # noqa: D301 - \b is for the help formatter
    registry = settings.registry()
    described = registry.as_dict()
    if settings.as_json:
        print_json(described)
        return
    from ctxkit.plugins import KINDS  # noqa: PLC0415 - start-up stays light

    for kind in KINDS:
        _show_kind(kind, [each for each in described["components"] if each["kind"] == kind])
    _show_plugins(registry)
    _show_troubles(registry)
    states = Counter(plugin.status for plugin in registry.plugins)
    total = counted(len(described["components"]), "component")
    others = "".join(f", {count} {state}" for state, count in sorted(states.items()) if state != "loaded")
    plain.paragraph(f"{total} of {counted(states['loaded'], 'plugin')}{others}", dim=True)


def _show_kind(kind: str, components: list[dict[str, Any]]) -> None:
    plain.heading(_TITLES[kind])
    rows = [_row(each) for each in components]
    plain.table(rows or [["none"]], colours=("cyan", _STATES))
    if kind == "vector_store" and rows:
        # Only its configuration knows, which a listing does not import.
        plain.paragraph("  As they are by default; `ctxkit plugins show NAME` tells what a path adds.", dim=True)
    plain.paragraph("")


def _row(each: dict[str, Any]) -> list[str]:
    """Return name, state and what there is to know of one component."""
    origin = f"{each['distribution']} {each['version']}".rstrip()
    about = [each["summary"], " · ".join(part for part in (origin, _abilities(each["capabilities"])) if part)]
    if each["missing"]:
        missing = ", ".join(each["missing"])
        about.append(f"needs {missing}: {each['install_hint'] or f'pip install {missing}'}")
    if each["ambiguous"]:
        about.append(f"ask for {each['qualified_name']}: another distribution has the same name")
    state = "missing" if each["missing"] else "ambiguous" if each["ambiguous"] else "ready"
    return [each["name"], state, "\n".join(about)]


def _abilities(capabilities: dict[str, Any]) -> str:
    """Return the capabilities that are there, in a few words; numbers and lists of more than three are left out."""
    words = []
    for name, value in capabilities.items():
        title = name.replace("_", " ")
        if value is True:
            words.append(title)
        elif isinstance(value, str):
            words.append(value if name == "concurrency" else f"{title} {value}")
        elif isinstance(value, list) and 0 < len(value) <= _FEW:
            words.append("/".join(str(item) for item in value))
    return ", ".join(words)


def _show_plugins(registry: PluginRegistry) -> None:
    plain.heading("Plugins")
    rows = []
    for plugin in registry.plugins:
        loading = "" if plugin.status == "blocked" else f"{plugin.load_ms:.1f} ms"
        if plugin.heavy:
            loading = f"{loading}, importing {', '.join(plugin.heavy)}, which is heavy"
        rows.append([plugin.distribution, plugin.version, plugin.entry_point, plugin.status, loading])
    plain.table(rows, colours=("cyan", "", "", _STATES))
    plain.paragraph("")


def _show_troubles(registry: PluginRegistry) -> None:
    for plugin in registry.plugins:
        if plugin.status != "loaded":
            _show_trouble(plugin)


def _show_trouble(plugin: PluginRecord) -> None:
    from ctxkit.plugins.failures import unavailable  # noqa: PLC0415 - start-up stays light

    error = unavailable(plugin)
    plain.paragraph(f"{plugin.status}: {error.message}", "red")
    plain.paragraph(f"Fix: {error.fix}")
    plain.paragraph("")

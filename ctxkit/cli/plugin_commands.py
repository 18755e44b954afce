"""`ctxkit plugins list`: which components there are, and what keeps the others away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ctxkit.cli.errors import say
from ctxkit.cli.output import console, counted, harmless, print_json
from ctxkit.cli.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from ctxkit.plugins import PluginRegistry

_TITLES = {
    "vector_store": "Vector stores",
    "embedder": "Embedders",
    "tokenizer": "Tokenizers",
    "llm": "Language models",
}


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

    out = console()
    for kind in KINDS:
        _show_kind(kind, [each for each in described["components"] if each["kind"] == kind], out)
    _show_troubles(registry, out)
    loaded = sum(plugin.status == "loaded" for plugin in registry.plugins)
    total = counted(len(described["components"]), "component")
    out.print(f"{total} of {counted(loaded, 'plugin')}", style="dim")


def _show_kind(kind: str, components: list[dict[str, Any]], out: Console) -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    out.print(_TITLES[kind], style="bold")
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
    table.add_column(style="cyan", overflow="fold", min_width=12)
    table.add_column(no_wrap=True, min_width=7)
    table.add_column(overflow="fold", ratio=1)
    for each in components:
        missing = ", ".join(each["missing"])
        about = Text(harmless(each["summary"]))
        about.append(f"\n{harmless(each['distribution'])} {harmless(each['version'])}".rstrip(), style="dim")
        abilities = _abilities(each["capabilities"])
        if abilities:
            about.append(f" · {abilities}", style="dim")
        if missing:
            about.append(f"\nneeds {missing}: {each['install_hint'] or f'pip install {missing}'}", style="red")
        table.add_row(Text(each["name"]), Text("missing", "red") if missing else Text("ready", "green"), about)
    out.print(table if components else Text("  none", style="dim"))
    out.print()


def _abilities(capabilities: dict[str, Any]) -> str:
    """Return the capabilities that are there, in a few words; numbers and lists of more than three are left out."""
    words = []
    for name, value in capabilities.items():
        title = name.replace("_", " ")
        if value is True:
            words.append(title)
        elif isinstance(value, str):
            words.append(value if name == "concurrency" else f"{title} {value}")
        elif isinstance(value, list) and 0 < len(value) <= 3:  # noqa: PLR2004
            words.append("/".join(str(item) for item in value))
    return ", ".join(words)


def _show_troubles(registry: PluginRegistry, out: Console) -> None:
    from ctxkit.plugins.failures import unavailable  # noqa: PLC0415 - start-up stays light

    for plugin in registry.plugins:
        if plugin.status == "loaded":
            if plugin.error:
                say(f"Warning: {plugin.title} adds no commands: {plugin.error}")
            continue
        error = unavailable(plugin)
        out.print(f"{plugin.status}: {harmless(error.message)}", style="red", soft_wrap=True)
        out.print(f"Fix: {harmless(error.fix or '')}", soft_wrap=True)
        out.print()

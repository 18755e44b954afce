"""Loads one plugin in a process of its own and writes down what happened: `python -m ctxkit.plugins.probe`.

`ctxkit plugins check` runs this, so that a plugin that crashes, prints or imports the world does so elsewhere.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ctxkit.errors import MissingDependencyError, PluginError
from ctxkit.plugins import construction
from ctxkit.plugins.component import Component, PluginRecord
from ctxkit.plugins.discovery import load
from ctxkit.plugins.hooks import COMMANDS
from ctxkit.plugins.installed import load_entry_point, root_of
from ctxkit.plugins.registry import PluginRegistry


def main(arguments: list[str]) -> None:
    """Probe the plugin of a distribution and write the findings as JSON; FOLDER comes first on the path.

    Arguments: RESULT_FILE DISTRIBUTION VERSION ENTRY_POINT VALUE [FOLDER].
    """
    result, name, version, point, value, *folder = arguments
    sys.path[:0] = folder
    # Written again after each step: what ends this process costs only the steps that come after it.
    for found in findings(PluginRecord(name, version, point, value)):
        Path(result).write_text(json.dumps(found), encoding="utf-8")


def findings(plugin: PluginRecord) -> Iterator[dict[str, Any]]:
    """Load the plugin, call its hooks, import each component, and yield before each step what is known by then.

    `trying` is the step that comes next, None at the end. `components` has the error of each, None for a good one.
    """
    typed = is_typed(plugin.value)
    loaded = load(plugin, partial(load_entry_point, plugin.value))
    registry = PluginRegistry([loaded])
    errors: dict[str, str | None] = {}

    def known(trying: str | None) -> dict[str, Any]:
        calls = [call.as_dict() for call in registry.calls]
        record = loaded.record.as_dict()
        return {"record": record, "calls": calls, "typed": typed, "components": errors, "trying": trying}

    yield known(COMMANDS)
    registry.commands()
    for component in loaded.components:
        name = f"{component.kind}:{component.name}"
        errors[name] = None
        yield known(name)
        errors[name] = _component_error(component)
    yield known(None)


def is_typed(value: str) -> bool | None:
    """Whether the package of an entry point carries `py.typed`, None where there is none; imports nothing."""
    root = root_of(value)
    spec = importlib.util.find_spec(root) if root.isidentifier() else None
    if spec is None:
        return None
    return any((Path(place) / "py.typed").is_file() for place in spec.submodule_search_locations or ())


def _component_error(component: Component) -> str | None:
    """Return why the component's classes cannot be used, None when they can."""
    steps: list[Callable[[], object]] = [
        lambda: construction.load_factory(component),
        lambda: construction.load_config_class(component),
        lambda: construction.check_announcement(component),
        lambda: construction.load_models(component),
    ]
    if component.spec.async_factory:
        target = component.spec.async_factory
        steps.append(lambda: construction.load_target(component, target))
    try:
        for step in steps:
            step()
    except MissingDependencyError as exc:
        return str(exc)
    except PluginError as exc:
        return exc.message  # the fix is for users, not for the author
    return None


if __name__ == "__main__":
    main(sys.argv[1:])

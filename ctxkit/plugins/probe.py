"""Loads one plugin in a process of its own and writes down what happened: `python -m ctxkit.plugins.probe`.

`ctxkit plugins check` runs this, so that a plugin that crashes, prints or imports the world does so elsewhere.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from ctxkit.errors import PluginError
from ctxkit.hookspecs import ENTRY_POINT_GROUP
from ctxkit.plugins import construction
from ctxkit.plugins.component import Component, PluginRecord
from ctxkit.plugins.discovery import load
from ctxkit.plugins.registry import PluginRegistry


def main(arguments: list[str]) -> None:
    """Probe the plugin of a distribution and write the findings as JSON; FOLDER comes first on the path.

    Arguments: RESULT_FILE DISTRIBUTION [FOLDER].
    """
    result, name, *folder = arguments
    sys.path[:0] = folder
    found = metadata.distributions(name=name, path=folder) if folder else metadata.distributions(name=name)
    point = next(each for each in next(iter(found)).entry_points if each.group == ENTRY_POINT_GROUP)
    Path(result).write_text(json.dumps(findings(name, point)), encoding="utf-8")


def findings(name: str, point: metadata.EntryPoint) -> dict[str, Any]:
    """Load the plugin, then each of its components, and return what happened as JSON values."""
    typed = is_typed(point.value)
    loaded = load(PluginRecord(name, "unreleased", point.name, point.value), point.load)
    registry = PluginRegistry([loaded])
    errors = {f"{each.kind}:{each.name}": _component_error(each) for each in loaded.components}
    registry.commands()
    return {
        "record": loaded.record.as_dict(),
        "calls": [call.as_dict() for call in registry.calls],
        "typed": typed,
        "components": errors,
    }


def is_typed(value: str) -> bool:
    """Whether the package of an entry point carries `py.typed`; imports nothing."""
    root = value.partition(":")[0].partition(".")[0].strip()
    spec = importlib.util.find_spec(root)
    places = spec.submodule_search_locations if spec is not None else None
    return any((Path(place) / "py.typed").is_file() for place in places or ())


def _component_error(component: Component) -> str | None:
    """Return why the component's classes cannot be used, None when they can."""
    steps: list[Callable[[], object]] = [
        lambda: construction.load_factory(component),
        lambda: construction.load_config_class(component),
    ]
    if component.spec.async_factory:
        target = component.spec.async_factory
        steps.append(lambda: construction.load_target(component, target))
    try:
        for step in steps:
            step()
    except PluginError as exc:
        return str(exc)
    return None


if __name__ == "__main__":
    main(sys.argv[1:])

"""`ctxkit plugins show NAME`: one component, what it can do and what can be set on it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctxkit.cli import plain
from ctxkit.cli.output import print_json
from ctxkit.cli.settings import Settings

if TYPE_CHECKING:
    from ctxkit.interfaces import BackendConfig
    from ctxkit.plugins import Component, PluginRegistry

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="name, distribution:name, or either after kind: (as in llm:openai).")
]
_LIMITS = (
    ("minimum", ">= {}"),
    ("exclusiveMinimum", "> {}"),
    ("maximum", "<= {}"),
    ("exclusiveMaximum", "< {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
    ("multipleOf", "multiples of {}"),
    ("pattern", "matches {}"),
)


def show(settings: Settings, name: NameArgument) -> None:
    """Show one component: where it came from, its capabilities, and each option with default and limits.

    \b
    Examples:
      ctxkit plugins show faiss
      ctxkit plugins show vector_store:faiss --json
      ctxkit plugins show ctxkit-faiss:faiss
    """  # noqa: D301 - \b is for the help formatter
    registry = settings.registry()
    described = describe(registry, registry.find_any(name))
    if settings.as_json:
        print_json(described)
        return
    _print_origin(described)
    _print_capabilities(described["capabilities"], described["capabilities_with_path"])
    plain.paragraph("")
    _print_options(described)


def describe(registry: PluginRegistry, component: Component) -> dict[str, Any]:
    """Return everything known about a component as JSON values; imports its configuration, not the component.

    `schema` is the JSON schema of its configuration, None where that cannot be read: `schema_error` then says why.
    `capabilities_with_path` are those of a configuration that names a folder, None for one that cannot.
    """
    from pydantic.errors import PydanticUserError  # noqa: PLC0415 - start-up stays light
    from pydantic.json_schema import PydanticJsonSchemaWarning  # noqa: PLC0415

    from ctxkit.errors import PluginError  # noqa: PLC0415

    schema, problem, durable = None, None, None
    try:
        model = registry.config_class(component.kind, component.qualified_name)
        with warnings.catch_warnings():
            # A default that JSON cannot hold is left out of the schema; that is nothing for a user to act on.
            warnings.simplefilter("ignore", PydanticJsonSchemaWarning)
            schema = model.model_json_schema()
        durable = _with_path(model)
    except (PluginError, PydanticUserError) as exc:
        problem = str(exc)
    return {
        **registry.describe(component),
        "capabilities_with_path": durable,
        "factory": component.spec.factory,
        "config": component.spec.config,
        "async_factory": component.spec.async_factory,
        "spec_version": component.spec.spec_version,
        "plugin": component.plugin.as_dict(),
        "options": options(schema or {}),
        "schema": schema,
        "schema_error": problem,
    }


def _with_path(model: type[BackendConfig]) -> dict[str, Any] | None:
    """Return what the component can do when its option `path` names a folder; nothing is made there."""
    if "path" not in model.model_fields:
        return None
    try:
        found = model.model_validate({"path": Path("store")}).capabilities()
    except Exception:  # noqa: BLE001 - a plugin's own code; the rest is shown all the same
        return None
    return None if found is None else dict(found.model_dump(mode="json"))


def options(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the options of a JSON schema: name, type, default, limits, description, and whether it is required."""
    required = schema.get("required", ())
    found = []
    for name, entry in schema.get("properties", {}).items():
        entry = _resolved(entry, schema)  # noqa: PLW2901 - the same property, its reference followed
        found.append(
            {
                "name": name,
                "type": _type(entry, schema),
                "required": name in required,
                "default": entry.get("default"),
                "limits": _limits(entry, schema),
                "description": entry.get("description", ""),
            }
        )
    return found


def _resolved(entry: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    name = str(entry.get("$ref", "")).rpartition("/")[2]
    return {**schema.get("$defs", {}).get(name, {}), **entry}


def _type(entry: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    entry = _resolved(entry, schema)
    if "anyOf" in entry:
        return " or ".join(_type(each, schema) for each in entry["anyOf"])
    if "enum" in entry or "const" in entry:
        return " or ".join(json.dumps(each) for each in entry.get("enum", [entry.get("const")]))
    words = str(entry.get("type", "anything"))
    if words == "array":
        return f"list of {_type(entry.get('items', {}), schema)}"
    if entry.get("format"):
        return str(entry["format"])
    return {"null": "none", "object": "mapping"}.get(words, words)


def _limits(entry: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    places = [entry, *(_resolved(each, schema) for each in entry.get("anyOf", ()))]
    return ", ".join(text.format(_short(place[key])) for place in places for key, text in _LIMITS if key in place)


def _short(limit: object) -> object:
    """Return 1 for 1.0: which of the two stands in a schema depends on the version of pydantic."""
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


def _worded(value: object) -> str:
    """Return a JSON value as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    return "none" if value is None else str(value)


def _print_origin(described: Mapping[str, Any]) -> None:
    plugin = described["plugin"]
    plain.heading(f"{described['kind']} {described['name']}")
    plain.paragraph(f"  {described['summary']}")
    rows = [
        ["full name", described["qualified_name"]],
        ["came from", f"{plugin['distribution']} {plugin['version']}".rstrip()],
        ["entry point", f"{plugin['entry_point']} = {plugin['value']}"],
        ["class", described["factory"]],
        ["configuration", described["config"]],
    ]
    if described["missing"]:
        hint = described["install_hint"] or f"pip install {' '.join(described['missing'])}"
        rows.append(["missing", f"{', '.join(described['missing'])}: {hint}"])
    if described["ambiguous"]:
        rows.append(["ambiguous", "another distribution has the same name; use the full name"])
    plain.table(rows)
    plain.paragraph("")


def _print_capabilities(default: Mapping[str, Any], durable: Mapping[str, Any] | None) -> None:
    """Print what it can do by default, then what a path changes."""
    changed = {key: value for key, value in (durable or {}).items() if default.get(key) != value}
    plain.heading("Capabilities, without a path" if changed else "Capabilities")
    plain.table([[key.replace("_", " "), _worded(value)] for key, value in default.items()])
    if changed:
        plain.paragraph("")
        plain.heading("With a path")
        plain.table([[key.replace("_", " "), _worded(value)] for key, value in changed.items()])


def _print_options(described: Mapping[str, Any]) -> None:
    plain.heading("Options")
    if described["schema"] is None:
        plain.paragraph(f"  cannot be read: {described['schema_error']}", "red")
        return
    about = described["schema"].get("description")
    rows = [
        [
            each["name"],
            each["type"],
            "required" if each["required"] else json.dumps(each["default"]),
            each["limits"] or "-",
            each["description"] or "-",
        ]
        for each in described["options"]
    ]
    titles = ("option", "type", "default", "limits", "description")
    plain.table(rows or [["none"]], colours=("cyan",), titles=titles if rows else ())
    if about:
        plain.paragraph(f"\n{about}", dim=True)

"""Tools and their calls, between the form that every adapter takes and that of Anthropic."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ctxkit.interfaces import ToolCall


def tool_of(tool: Any) -> Any:
    """Return a tool as Anthropic writes it, given as OpenAI does or as it is."""
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping):
        return tool
    described = {"description": function["description"]} if "description" in function else {}
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    return {"name": function.get("name", ""), **described, "input_schema": schema}


def tool_call(identity: str, name: str, arguments: Any) -> ToolCall:
    """Return a call whose arguments came as values."""
    return ToolCall(id=identity, name=name, arguments=json.dumps(arguments or {}, ensure_ascii=False))

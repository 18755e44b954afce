"""Between the messages that every adapter takes and those that Anthropic takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ctxkit.interfaces import ToolCall
from ctxkit.providers.messages import text_of

Block = dict[str, Any]


def system_of(messages: list[dict[str, Any]]) -> str | list[Block]:
    """Return what the system says, in its order; as blocks where there are several or one has a mark for the cache."""
    blocks = [block for each in messages if each["role"] == "system" for block in _blocks(each)]
    if len(blocks) == 1 and set(blocks[0]) == {"type", "text"}:
        return str(blocks[0]["text"])
    return blocks


def turns_of(messages: list[dict[str, Any]]) -> list[Block]:
    """Return the messages that are not the system's; results of tools are the user's."""
    turns: list[Block] = []
    for message in messages:
        role = message["role"]
        if role == "system":
            continue
        if role == "tool":
            result = {
                "type": "tool_result",
                "tool_use_id": message.get("tool_call_id", ""),
                "content": message["content"],
            }
            # The results of calls that were made together have to come together.
            if turns and turns[-1]["role"] == "user" and _is_result(turns[-1]["content"]):
                turns[-1]["content"].append(result)
            else:
                turns.append({"role": "user", "content": [result]})
        elif message.get("tool_calls") or "cache_control" in message:
            turns.append({"role": role, "content": _blocks(message)})
        else:
            turns.append({"role": role, "content": message["content"]})
    return turns


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


def _is_result(content: Any) -> bool:
    return isinstance(content, list) and all(block.get("type") == "tool_result" for block in content)


def _blocks(message: dict[str, Any]) -> list[Block]:
    """Return a message as blocks: its text, the calls of an assistant, and a mark for the cache on the last one."""
    content = message["content"]
    blocks: list[Block] = [dict(part) for part in content] if isinstance(content, list) else []
    if not isinstance(content, list) and content:
        blocks = [{"type": "text", "text": text_of(content)}]
    for call in message.get("tool_calls") or ():
        function = call.get("function") or call
        blocks.append(
            {
                "type": "tool_use",
                "id": call.get("id", ""),
                "name": function.get("name", ""),
                "input": _values(function.get("arguments")),
            }
        )
    if blocks and "cache_control" in message:
        blocks[-1]["cache_control"] = message["cache_control"]
    return blocks


def _values(arguments: Any) -> Any:
    """Return the arguments of a call as values; what is not JSON is passed on under a name of its own."""
    if not isinstance(arguments, str):
        return arguments or {}
    try:
        found = json.loads(arguments or "{}")
    except ValueError:
        return {"arguments": arguments}
    return found if isinstance(found, dict) else {"arguments": found}

"""Between the messages that every adapter takes, which are OpenAI's, and those that Anthropic takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ctxkit.interfaces.llm import Message
from ctxkit.providers.messages import text_of

Block = dict[str, Any]


def system_of(messages: Sequence[Message]) -> str | list[Block]:
    """Return what the system says, in its order; as blocks where there are several or one has a mark for the cache."""
    blocks = [block for each in messages if each["role"] == "system" for block in _blocks(each)]
    if len(blocks) == 1 and set(blocks[0]) == {"type", "text"}:
        return str(blocks[0]["text"])
    return blocks


def turns_of(messages: Sequence[Message]) -> list[Block]:
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


def plain_chat(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return messages of either form in OpenAI's: calls beside the content, each result a message of its own."""
    found: list[dict[str, Any]] = []
    for message in messages:
        content = message.get("content")
        blocks = [block for block in content if isinstance(block, Mapping)] if isinstance(content, list) else []
        calls = [_call(block) for block in blocks if block.get("type") == "tool_use"]
        results = [_result(block) for block in blocks if block.get("type") == "tool_result"]
        if not calls and not results:
            found.append(dict(message))
            continue
        found.extend(results)
        said = text_of([block for block in blocks if block.get("type") == "text"])
        if calls:
            found.append({"role": message.get("role"), "content": said, "tool_calls": calls})
        elif said:
            found.append({"role": message.get("role"), "content": said})
    return found


def _call(block: Mapping[str, Any]) -> dict[str, Any]:
    arguments = json.dumps(block.get("input") or {}, ensure_ascii=False)
    function = {"name": block.get("name", ""), "arguments": arguments}
    return {"id": block.get("id", ""), "type": "function", "function": function}


def _result(block: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": block.get("tool_use_id", ""), "content": text_of(block.get("content"))}


def _is_result(content: Any) -> bool:
    return isinstance(content, list) and all(block.get("type") == "tool_result" for block in content)


def _blocks(message: Message) -> list[Block]:
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

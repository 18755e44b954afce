"""POST /v1/responses."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

from ctxkit_conformance.faults.openai_errors import openai_error
from ctxkit_conformance.faults.steps import Problem
from ctxkit_conformance.faults.wire import Answer, Asked, Json, RejectedError, text_of, typed, written


class Responses:
    """OpenAI's newer endpoint."""

    def read(self, body: Json, key: str) -> Asked:
        """Return what a request asks."""
        model, given = typed(body, "model", str), body.get("input")
        if not model:
            raise RejectedError("bad_request", "Missing required parameter: 'model'.")
        if not isinstance(given, (str, list)) or not given:
            raise RejectedError("bad_request", "One of 'input', 'previous_response_id' or 'prompt' must be provided.")
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        turns, system = [], [typed(body, "instructions", str) or ""]
        for place, item in enumerate(items):
            role, text = _turn(item, place)
            if role in {"system", "developer"}:
                system.append(text)
            elif role:
                turns.append((role, text))
        tools = typed(body, "tools", list) or []
        return Asked(
            endpoint="responses",
            key=key,
            model=model,
            system="\n".join(part for part in system if part),
            turns=tuple(turns),
            stream=bool(body.get("stream")),
            max_tokens=typed(body, "max_output_tokens", int),
            temperature=typed(body, "temperature", (int, float)),
            tools=tuple(str(tool.get("name", "")) for tool in tools if isinstance(tool, dict)),
            body=body,
        )

    def whole(self, asked: Asked, answer: Answer) -> Json:
        """Return the object `response`."""
        items = [] if answer.finish == "none" else [_item(answer)]
        return _response(asked, answer, _status(answer), items)

    def stream(self, asked: Asked, answer: Answer) -> tuple[list[Json], list[Json], list[Json]]:
        """Return the events, numbered through."""
        begun = _response(asked, answer, "in_progress", [])
        before: list[Json] = [{"type": f"response.{name}", "response": begun} for name in ("created", "in_progress")]
        pieces: list[Json] = []
        after: list[Json] = []
        if answer.finish != "none":
            item = _item(answer)
            nothing: Json = {"arguments": ""} if answer.tool else {"content": []}
            empty = {**item, "status": "in_progress", **nothing}
            before.append({"type": "response.output_item.added", "output_index": 0, "item": empty})
            opened, pieces, closed = _tool_events(item) if answer.tool else _text_events(item, answer)
            before += opened
            after += [*closed, {"type": "response.output_item.done", "output_index": 0, "item": item}]
        status = _status(answer)
        after.append({"type": f"response.{status}", "response": self.whole(asked, answer)})
        numbers = itertools.count()
        for event in (*before, *pieces, *after):
            event["sequence_number"] = next(numbers)
        return before, pieces, after

    def framed(self, event: Json, *, escaped: bool) -> bytes:
        """Return one event under its name."""
        return f"event: {event['type']}\ndata: {written(event, escaped=escaped)}\n\n".encode()

    def closing(self) -> bytes:
        """Return nothing: the last event ends the stream."""
        return b""

    def error(self, problem: Problem, asked: Asked | None, message: str = "") -> tuple[int, Json]:
        """Return status and body of an error."""
        return openai_error(problem, asked, message)

    def error_event(self, problem: Problem, asked: Asked) -> Json:
        """Return an error as it comes in the middle of a stream."""
        error = openai_error(problem, asked)[1]["error"]
        wanted = {name: error[name] for name in ("code", "message", "param")}
        return {"type": "error", **wanted, "sequence_number": 99}


def _turn(item: Any, place: int) -> tuple[str, str]:
    if not isinstance(item, dict):
        raise RejectedError("bad_request", f"Invalid type for 'input[{place}]': expected an object.")
    if item.get("type", "message") != "message":
        return "", ""  # calls of tools and their results say nothing themselves
    role = item.get("role")
    if role not in {"user", "assistant", "system", "developer"}:
        raise RejectedError("bad_request", f"Invalid value: {role!r} (input[{place}].role).")
    return role, text_of(item.get("content"))


def _status(answer: Answer) -> str:
    return "incomplete" if answer.finish in {"length", "filtered"} else "completed"


def _item(answer: Answer) -> Json:
    if answer.tool:
        return {
            "id": f"fc_{answer.identity}",
            "type": "function_call",
            "status": "completed",
            "arguments": json.dumps(answer.arguments),
            "call_id": f"call_{answer.identity}",
            "name": answer.tool,
        }
    return {
        "id": f"msg_{answer.identity}",
        "type": "message",
        "status": _status(answer),
        "role": "assistant",
        "content": [_part(answer, answer.text)],
    }


def _part(answer: Answer, text: str) -> Json:
    if answer.finish == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _text_events(item: Json, answer: Answer) -> tuple[list[Json], list[Json], list[Json]]:
    kind = "refusal" if answer.finish == "refusal" else "output_text"
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    logs: Json = {} if kind == "refusal" else {"logprobs": []}
    done: Json = {kind if kind == "refusal" else "text": answer.text}
    part = {"type": "response.content_part.added", **place, "part": _part(answer, "")}
    pieces: list[Json] = [
        {"type": f"response.{kind}.delta", **place, **logs, "delta": piece} for piece in answer.pieces
    ]
    return (
        [part],
        pieces,
        [
            {"type": f"response.{kind}.done", **place, **logs, **done},
            {"type": "response.content_part.done", **place, "part": _part(answer, answer.text)},
        ],
    )


def _tool_events(item: Json) -> tuple[list[Json], list[Json], list[Json]]:
    place = {"item_id": item["id"], "output_index": 0}
    name = "response.function_call_arguments"
    delta = {"type": f"{name}.delta", **place, "delta": item["arguments"]}
    done = {"type": f"{name}.done", **place, "name": item["name"], "arguments": item["arguments"]}
    return [], [delta], [done]


def _response(asked: Asked, answer: Answer, status: str, output: list[Json]) -> Json:
    reasons = {"length": "max_output_tokens", "filtered": "content_filter"}
    finished = status != "in_progress"
    usage = {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }
    return {
        "id": f"resp_{answer.identity}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "error": None,
        "incomplete_details": {"reason": reasons[answer.finish]} if status == "incomplete" else None,
        "instructions": asked.body.get("instructions"),
        "max_output_tokens": asked.max_tokens,
        "model": answer.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": asked.body.get("store", True),
        "temperature": asked.temperature if asked.temperature is not None else 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": asked.body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage if finished else None,
        "user": None,
        "metadata": {},
    }

"""What is sent for a request: the right bytes, or the wrong ones, before the connection has its say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ctxkit_conformance.faults.requests import Recorded
from ctxkit_conformance.faults.steps import Step
from ctxkit_conformance.faults.wire import Answer, Asked, Json, RejectedError, Wire, answer_to

_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream; charset=utf-8"
_HTML: Final = "text/html; charset=utf-8"
_PAGE: Final = b"<!DOCTYPE html>\n<html><head><title>%s</title></head><body><h1>%s</h1></body></html>\n"


@dataclass(frozen=True)
class Reply:
    """A status, a type and parts of a body; `text_from` is the place of the part with the first piece of text."""

    status: int
    content_type: str
    parts: list[bytes]
    asked: Asked | None = None
    streamed: bool = False
    text_from: int = 0
    wait: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def parts_until(self, pieces: int) -> int:
        """Return how many parts come before a fault: those of so many pieces of a stream, or half of a whole body."""
        if self.streamed:
            return self.text_from + pieces
        return len(self.parts) // 2 if pieces else 0


class Verbatim(Reply):
    """A reply that is delivered as it is, whatever the step does to an answer: an error, or a list of models."""


def plain(status: int, body: Json, step: Step, asked: Asked | None = None) -> Verbatim:
    """Return a reply of JSON, with the headers of the step."""
    wait = step.retry_after if isinstance(step.retry_after, (int, float)) else None
    headers = {**step.retry_headers(), **step.headers}
    return Verbatim(status, _JSON, [json.dumps(body).encode()], asked, wait=wait, headers=headers)


def completion(request: Recorded, wire: Wire, number: int) -> Reply:
    """Return the reply to a request that asks for a completion, as its step says."""
    step = request.step
    try:
        asked = wire.read(request.body if isinstance(request.body, dict) else {}, request.key)
    except RejectedError as rejected:
        return plain(*wire.error(rejected.problem, None, rejected.message), Step())
    fault = fault_instead(request, asked, wire)
    if fault is not None:
        return fault
    answer = answer_to(asked, step, number)
    return _stream(asked, step, wire, answer) if asked.stream else whole(wire.whole(asked, answer), step, asked)


def fault_instead(request: Recorded, asked: Asked, wire: Wire) -> Reply | None:
    """Return the error, the page or the text that the step sends instead of an answer, None where it answers."""
    step = request.step
    if step.verbatim is not None:
        return Verbatim(step.status, step.content_type, [step.verbatim.encode()], asked, headers=step.headers)
    if step.problem == "bad_gateway":
        return Verbatim(502, _HTML, [_PAGE % (b"502 Bad Gateway", b"502 Bad Gateway")], asked)
    if step.delivery == "page":
        return Verbatim(200, _HTML, [_PAGE % (b"Welcome", b"Please log in to the network")], asked)
    if step.problem is None and (step.delivery != "error_event" or asked.stream):
        return None
    status, error = wire.error(step.problem or "overloaded", asked)
    if step.repeat_key:
        error["error"]["message"] += f" Received API key: {request.key}"
    return plain(status, error, step, asked)


def whole(body: Json, step: Step, asked: Asked) -> Reply:
    """Return a body that is not streamed, in parts; one that is malformed stops in its middle."""
    raw = json.dumps(body, ensure_ascii=step.escaped).encode()
    if step.delivery in {"malformed", "ended"}:
        raw = raw[: len(raw) // 2]
    size = max(len(raw) // 8, 1)
    parts = [raw[place : place + size] for place in range(0, len(raw), size)]
    return Reply(200, _JSON, parts, asked, headers=step.headers)


def _stream(asked: Asked, step: Step, wire: Wire, answer: Answer) -> Reply:
    before, pieces, after = wire.stream(asked, answer)
    kept = step.after or 0
    if step.delivery == "error_event":
        pieces, after = pieces[:kept], [wire.error_event("overloaded", asked)]
    elif step.delivery == "ended":
        pieces, after = pieces[:kept], []
    parts = [wire.framed(event, escaped=step.escaped) for event in (*before, *pieces, *after)]
    if step.delivery == "malformed":
        place = len(before) + kept
        parts[place] = parts[place].replace(b'"', b"", 1)
    if step.delivery not in {"ended", "error_event"} and (closing := wire.closing()):
        parts.append(closing)
    return Reply(200, _EVENTS, parts, asked, streamed=True, text_from=len(before), headers=step.headers)

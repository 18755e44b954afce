"""Runs the fault server by itself: python -m ctxkit_conformance.faults --script "rate_limited retry_after=1, ok"."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from typing import Any

from ctxkit_conformance.faults.requests import Recorded, Scenario
from ctxkit_conformance.faults.server import FaultServer
from ctxkit_conformance.faults.steps import STEPS, Step, steps_from


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted; every request is a line of JSON on the output."""
    parser = argparse.ArgumentParser(prog="python -m ctxkit_conformance.faults", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="Port on 127.0.0.1 (default: a free one).")
    parser.add_argument("--script", default="", help="What happens to one request after the other.")
    parser.add_argument("--then", default="ok", help="What happens to every request after them (default: ok).")
    parser.add_argument("--list", action="store_true", help="List the steps that a script can have.")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(STEPS))  # noqa: T201 - a command prints
        return 0
    try:
        steps, then = steps_from(options.script) if options.script else [], steps_from(options.then)[0]
    except ValueError as exc:
        parser.error(str(exc))
    return _serve(options.port, steps, then)


def _serve(port: int, steps: list[Step], then: Step) -> int:
    with FaultServer(port, tuple(steps), then) as server:
        _tell({"openai": server.default.url("openai"), "anthropic": server.default.url("anthropic")})
        try:
            for number in itertools.count():
                _tell(_next(server.default, number).as_json())
        except KeyboardInterrupt:
            pass
    return 0


def _next(scenario: Scenario, number: int) -> Recorded:
    """Wait for the request of that number to be over."""
    while not scenario.wait_until(lambda requests: len(requests) > number and _finished(requests[number])):
        pass
    return scenario.requests[number]


def _finished(request: Recorded) -> bool:
    return request.over is not None


def _tell(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)  # noqa: T201 - a command prints


if __name__ == "__main__":
    sys.exit(main())

"""A server on this machine that speaks the wire formats of OpenAI and Anthropic, and fails as it is told.

from ctxkit_conformance.faults import FaultServer, step

with FaultServer() as server:
    scenario = server.scenario(step("unavailable"), step("ok"))
    ...  # point a client at scenario.url("openai"), and look at scenario.requests afterwards

`python -m ctxkit_conformance.faults` runs it by itself. It needs the standard library alone.
"""

from __future__ import annotations

from ctxkit_conformance.faults.requests import Recorded, Scenario
from ctxkit_conformance.faults.server import FaultServer, closed_port
from ctxkit_conformance.faults.steps import STEPS, Step, step, steps_from
from ctxkit_conformance.faults.wire import Asked, WireFormat

__all__ = [
    "STEPS",
    "Asked",
    "FaultServer",
    "Recorded",
    "Scenario",
    "Step",
    "WireFormat",
    "closed_port",
    "step",
    "steps_from",
]

"""What the adapters cost: a call through one, and the same call by the vendor's library alone, on loopback.

    python scripts/overhead.py [--calls 400] [openai anthropic]

The calls take turns, with clients that are made alike, so that what differs is the adapter: messages checked, the key
looked up, parameters fitted, the answer read. Needs ctxkit-conformance, whose server answers.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from typing import Any, Final

from ctxkit_conformance.faults import FaultServer, WireFormat

from ctxkit.llm.adapters import create_llm_adapter

SYSTEM: Final = "Answer from what follows.\n" + "The boat is moored at berth 14. " * 100
QUESTION: Final = {"role": "user", "content": "Where is the boat?"}
MESSAGES: Final = [{"role": "system", "content": SYSTEM}, QUESTION]
WIRES: Final[dict[str, WireFormat]] = {"openai": "openai", "anthropic": "anthropic"}
KEY: Final = "sk-measured"


def main() -> None:
    """Measure each adapter that is named, or both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("providers", nargs="*", default=list(WIRES))
    parser.add_argument("--calls", type=int, default=400)
    options = parser.parse_args()
    os.environ["NO_PROXY"] = "127.0.0.1"
    with FaultServer() as server:
        for name in options.providers:
            address = server.default.url(WIRES[name])
            with create_llm_adapter(name, base_url=address, api_key=KEY) as llm:
                _report(name, "sync", *_measured(name, llm, address, options.calls))
                _report(name, "async", *asyncio.run(_ameasured(name, llm, address, options.calls)))


def _asked(name: str, client: Any) -> Any:
    """Ask by the library alone."""
    if name == "openai":
        return client.chat.completions.create(model="gpt-4", messages=MESSAGES)
    return client.messages.create(model="claude-sonnet-5", max_tokens=1_000, system=SYSTEM, messages=[QUESTION])


def _measured(name: str, llm: Any, address: str, calls: int) -> tuple[list[float], list[float]]:
    client = llm.make_client(address, connect=5.0)
    client.api_key = KEY
    _asked(name, client)
    llm.complete(MESSAGES)
    alone: list[float] = []
    through: list[float] = []
    for _ in range(calls):
        moments = [time.perf_counter()]
        _asked(name, client)
        moments.append(time.perf_counter())
        llm.complete(MESSAGES)
        moments.append(time.perf_counter())
        alone.append(moments[1] - moments[0])
        through.append(moments[2] - moments[1])
    client.close()
    return alone, through


async def _ameasured(name: str, llm: Any, address: str, calls: int) -> tuple[list[float], list[float]]:
    client = llm.make_async_client(address, connect=5.0)
    client.api_key = KEY
    await _asked(name, client)
    await llm.acomplete(MESSAGES)
    alone: list[float] = []
    through: list[float] = []
    for _ in range(calls):
        moments = [time.perf_counter()]
        await _asked(name, client)
        moments.append(time.perf_counter())
        await llm.acomplete(MESSAGES)
        moments.append(time.perf_counter())
        alone.append(moments[1] - moments[0])
        through.append(moments[2] - moments[1])
    await client.close()
    return alone, through


def _report(name: str, how: str, alone: list[float], through: list[float]) -> None:
    base, whole = (statistics.median(each) * 1000 for each in (alone, through))
    difference = statistics.median(b - a for a, b in zip(alone, through, strict=True)) * 1000
    print(f"{name:10} {how:6} library {base:.2f} ms, adapter {whole:.2f} ms, overhead {difference:.3f} ms (medians)")


if __name__ == "__main__":
    main()

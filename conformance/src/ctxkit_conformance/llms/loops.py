"""Checks of the asynchronous calls, and of calls that are cancelled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ctxkit_conformance.faults import step
from ctxkit_conformance.llms import clauses
from ctxkit_conformance.llms.base import PATIENCE, WORDS, LLMChecks, Provider, bounded, user
from ctxkit_conformance.marks import covers

_POLL = 0.005


class AsyncChecks(LLMChecks):
    """acomplete, astream and generate."""

    @covers(clauses.ASYNC)
    def test_async_answers_alike(self, provider: Provider) -> None:
        """A failure means that an application behaves otherwise once it is written with async."""
        scenario = provider.scenario(then=step("ok", usage=(12, 34), model="m-2"))
        waited = bounded(lambda: provider.llm(scenario).complete(user(WORDS), max_tokens=3))
        awaited = bounded(lambda: asyncio.run(provider.llm(scenario).acomplete(user(WORDS), max_tokens=3)))
        assert awaited == waited, f"acomplete returned {awaited!r}, complete {waited!r}"

    @pytest.mark.parametrize("how", ["acomplete", "astream", "generate"])
    @covers(clauses.ASYNC)
    def test_loop_is_not_blocked(self, provider: Provider, how: str) -> None:
        """A failure means that one slow answer stops every other request that a web server handles."""
        if provider.offline:
            provider.answers(provider.llm(provider.scenario()), "acomplete")
            return
        scenario = provider.scenario(step("hold"))
        llm = provider.llm(scenario, timeout=PATIENCE)

        async def use() -> None:
            pending = asyncio.ensure_future(_call(llm, how))
            await _until(lambda: bool(scenario.requests) or pending.done())
            scenario.release()  # only a loop that is free comes here before the answer is given up
            await pending

        bounded(lambda: asyncio.run(use()), how)
        assert scenario.requests[0].released, f"nothing else ran in the event loop while {how} waited for the provider"

    @pytest.mark.parametrize("how", ["acomplete", "astream"])
    @covers(clauses.CANCELLATION)
    def test_cancelled_call_ends(self, provider: Provider, how: str) -> None:
        """A failure means that calls nobody waits for go on, cost money, and use up the connections."""
        if provider.offline:
            provider.answers(provider.llm(provider.scenario()), how)
            return
        at_once = provider.declared.native_async
        scenario = provider.scenario(step("hang_midway" if how == "astream" else "hang"))
        # Where it has to end at once, no timeout of its own may close the connection first.
        llm = provider.llm(scenario, timeout=PATIENCE * 4 if at_once else 3.0)
        seen: list[bool] = []

        async def use() -> None:
            pending = asyncio.ensure_future(_call(llm, how))
            await _until(lambda: bool(scenario.requests) or pending.done())
            pending.cancel()
            seen.append(isinstance((await asyncio.gather(pending, return_exceptions=True))[0], asyncio.CancelledError))
            # While the loop still runs: its end would close every connection.
            await _until(lambda: scenario.requests[0].closed is not None)
            seen.append(scenario.requests[0].closed is not None)

        bounded(lambda: asyncio.run(use()), f"a cancelled {how}")
        assert seen[0], f"{how} did not let the cancellation through"
        when = "at once" if at_once else "when its timeout had passed"
        assert seen[1], f"the connection of a cancelled {how} was not closed {when}"
        provider.answers(provider.llm(scenario), how)

    @pytest.mark.parametrize("how", ["acomplete", "astream"])
    @covers(clauses.CANCELLATION)
    def test_usable_after_cancellation(self, provider: Provider, how: str) -> None:
        """A failure means that one impatient user breaks the adapter for all others."""
        if provider.offline:
            provider.answers(provider.llm(provider.scenario()), how)
            return
        scenario = provider.scenario(step("hang"))
        llm = provider.llm(scenario, timeout=1.0)

        async def use() -> Any:
            pending = asyncio.ensure_future(_call(llm, how))
            await _until(lambda: bool(scenario.requests) or pending.done())
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
            return await _call(llm, how)

        text = bounded(lambda: asyncio.run(use()), f"{how} after a cancelled one")
        assert text == WORDS, f"{how} returned {text!r} after a call was cancelled"

    @pytest.mark.parametrize("how", ["acomplete", "astream"])
    @covers(clauses.ASYNC)
    def test_every_event_loop(self, provider: Provider, how: str) -> None:
        """A failure means that the second asyncio.run of a script fails with "Event loop is closed"."""
        llm = provider.llm(provider.scenario())
        for _ in range(3):
            provider.answers(llm, how)

    @pytest.mark.parametrize("how", ["acomplete", "astream"])
    @covers(clauses.ASYNC, clauses.SHARING)
    def test_calls_of_one_loop_are_apart(self, provider: Provider, how: str) -> None:
        """A failure means that users of one web server get each other's answers."""
        llm = provider.llm(provider.scenario(then=step("drip", gap=0.001)))
        questions = [f"question {number}" for number in range(8)]

        async def use() -> list[str]:
            return await asyncio.gather(*(_call(llm, how, question) for question in questions))

        answers = bounded(lambda: asyncio.run(use()), f"eight {how} at once")
        assert all(answers), f"the answers were {answers}"
        assert provider.offline or answers == questions, f"the answers were {answers}"


def _call(llm: Any, how: str, words: str = WORDS) -> Coroutine[Any, Any, str]:
    async def run() -> str:
        if how == "astream":
            return "".join([piece async for piece in llm.astream(user(words))])
        if how == "generate":
            return str(await llm.generate(words))
        return str((await llm.acomplete(user(words))).text)

    return run()


async def _until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds, a while at most; whoever waits looks at it afterwards."""
    deadline = time.monotonic() + PATIENCE / 3
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110 - a thread makes it true
        await asyncio.sleep(_POLL)

"""Checks of answers that come in pieces, and of those that break off."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Sequence

import pytest

from ctxkit.errors import ProviderTimeoutError, ProviderUnavailableError
from ctxkit_conformance.faults import Recorded, Scenario, step
from ctxkit_conformance.llms import clauses
from ctxkit_conformance.llms.base import PATIENCE, WORDS, LLMChecks, Provider, bounded, every_stream, user
from ctxkit_conformance.marks import covers


class StreamChecks(LLMChecks):
    """Pieces, their order, and their end."""

    @every_stream
    @covers(clauses.STREAM)
    def test_pieces_are_the_answer(self, provider: Provider, how: str) -> None:
        """A failure means that a streamed answer is another one, or that streaming is declared and does not happen."""
        whole = provider.ask(provider.llm(provider.scenario()), "complete")
        scenario = provider.scenario()
        pieces = provider.pieces(provider.llm(scenario), how)
        assert "".join(pieces) == whole, f"the pieces make {''.join(pieces)!r}, but complete returned {whole!r}"
        if not provider.declared.streams:
            assert len(pieces) == 1, f"streams is not declared, but {len(pieces)} pieces came"
            return
        assert len(pieces) > 1, "streams is declared, but everything came in one piece"
        if not provider.offline:
            assert scenario.requests[0].asked is not None
            assert scenario.requests[0].asked.stream, "the provider was not asked to stream"

    @every_stream
    @covers(clauses.STREAM)
    def test_pieces_come_as_they_are_made(self, provider: Provider, how: str) -> None:
        """A failure means that the reader waits for the last word before the first one is shown."""
        if provider.offline or not provider.declared.streams:
            provider.answers(provider.llm(provider.scenario()), how)
            return
        scenario = provider.scenario(step("hold_midway", after=2))
        llm = provider.llm(scenario)

        def read() -> str:
            pieces = iter(llm.stream(user(WORDS)))
            first = next(pieces)
            scenario.release()  # the provider says no more until the first piece was seen
            return first + "".join(pieces)

        async def aread() -> str:
            pieces = llm.astream(user(WORDS)).__aiter__()
            found = [await pieces.__anext__()]
            scenario.release()
            found += [piece async for piece in pieces]
            return "".join(found)

        text = bounded(read if how == "stream" else lambda: asyncio.run(aread()), how)
        assert text == WORDS, f"the pieces make {text!r}"
        assert scenario.requests[0].released, "the first piece was held back until the provider had sent the last"

    @every_stream
    @pytest.mark.parametrize("fault", ["reset_midway", "cut", "ended", "error_event", "malformed"])
    @covers(clauses.BROKEN_STREAM)
    def test_broken_stream_is_told(self, provider: Provider, how: str, fault: str) -> None:
        """A failure means that half an answer is stored and acted on as if it were whole."""
        scenario = _breaking(provider, fault)
        pieces: list[str] = []
        error = provider.failure(provider.llm(scenario), how, ProviderUnavailableError, _reader(pieces, scenario))
        text = "".join(pieces)
        if error is not None and provider.declared.streams:
            assert text, "nothing of what came before the fault was given"
            assert WORDS.startswith(text), f"the pieces before the fault make {text!r}"

    @every_stream
    @covers(clauses.BROKEN_STREAM, clauses.TIMEOUT)
    def test_silent_stream_is_a_timeout(self, provider: Provider, how: str) -> None:
        """A failure means that a reader sits before half an answer for ever, or takes it for the whole."""
        llm = provider.llm(provider.scenario(step("hang_midway", after=3)), timeout=0.3)
        provider.failure(llm, how, ProviderTimeoutError)

    @every_stream
    @covers(clauses.BROKEN_STREAM, clauses.RETRIES)
    def test_stream_is_not_begun_again(self, provider: Provider, how: str) -> None:
        """A failure means that the beginning of an answer is shown twice, or paid for twice."""
        scenario = _breaking(provider, "reset_midway")
        pieces: list[str] = []
        llm = provider.llm(scenario, max_retries=2)
        if not provider.offline and not provider.declared.streams:
            provider.answers(llm, how)  # nothing was given yet, so all of it may be asked for again
            return
        if provider.failure(llm, how, ProviderUnavailableError, _reader(pieces, scenario)) is not None:
            asked = len(scenario.requests)
            assert asked == 1, f"the provider was asked {asked} times after {''.join(pieces)!r} had been given"

    @pytest.mark.parametrize("way", ["closed", "left", "closed-async"])
    @covers(clauses.CANCELLATION)
    def test_abandoned_stream_ends_the_call(self, provider: Provider, way: str) -> None:
        """A failure means that a reader who walks away goes on paying, and connections run out."""
        if provider.offline or not provider.declared.streams:
            provider.answers(provider.llm(provider.scenario()), "stream")
            return
        scenario = provider.scenario(step("hang_midway", after=2))
        llm = provider.llm(scenario, timeout=PATIENCE * 4)

        def leave() -> None:
            pieces = iter(llm.stream(user(WORDS)))
            assert next(pieces), "the first piece is empty"
            if way == "closed":
                close = getattr(pieces, "close", None)
                assert close is not None, "what stream returns has no close()"
                close()
            del pieces
            gc.collect()

        async def aleave() -> None:
            pieces = llm.astream(user(WORDS)).__aiter__()
            assert await pieces.__anext__(), "the first piece is empty"
            close = getattr(pieces, "aclose", None)
            assert close is not None, "what astream returns has no aclose()"
            await close()

        bounded(leave if way != "closed-async" else lambda: asyncio.run(aleave()), "leaving the stream")
        assert scenario.wait_until(_closed, PATIENCE), "the connection is still open after the stream was abandoned"


def _breaking(provider: Provider, fault: str) -> Scenario:
    """Return a scenario in which a stream breaks once its first piece was read."""
    scenario = provider.scenario(step(fault, after=3, held=True))
    if not provider.declared.streams:
        scenario.release()
    return scenario


def _reader(pieces: list[str], scenario: Scenario) -> Callable[[str], None]:
    """Return what collects the pieces, and lets the fault happen."""

    def read(piece: str) -> None:
        pieces.append(piece)
        scenario.release()

    return read


def _closed(requests: Sequence[Recorded]) -> bool:
    return bool(requests) and requests[0].closed is not None

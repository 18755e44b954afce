"""Checks of adapters that are shared, several at once, and closed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ctxkit.errors import LLMError
from ctxkit_conformance.faults import step
from ctxkit_conformance.llms import clauses
from ctxkit_conformance.llms.base import LLMChecks, Provider, bounded, every_way, user
from ctxkit_conformance.marks import covers

_THREADS = 8


class SharingChecks(LLMChecks):
    """Threads, instances, and the end."""

    @pytest.mark.parametrize("how", ["complete", "stream"])
    @covers(clauses.SHARING)
    def test_threads_get_their_own_answers(self, provider: Provider, how: str) -> None:
        """A failure means that users of one server get each other's answers, or none."""
        llm = provider.llm(provider.scenario(then=step("drip", gap=0.001)))
        begin = threading.Barrier(_THREADS)

        def ask(number: int) -> list[str]:
            begin.wait()
            words = [f"question {number} {repeat}" for repeat in range(3)]
            if how == "complete":
                return [llm.complete(user(each)).text for each in words]
            return ["".join(llm.stream(user(each))) for each in words]

        def all_at_once() -> list[list[str]]:
            with ThreadPoolExecutor(_THREADS) as pool:
                return list(pool.map(ask, range(_THREADS)))

        found = bounded(all_at_once, f"{_THREADS} threads in {how}")
        wanted = [[f"question {number} {repeat}" for repeat in range(3)] for number in range(_THREADS)]
        assert all(text for texts in found for text in texts), "a thread got no answer"
        assert provider.offline or found == wanted, f"the threads got {found}"

    @covers(clauses.SHARING)
    def test_adapters_share_nothing(self, provider: Provider) -> None:
        """A failure means that a second adapter asks the first one's provider with the first one's key."""
        first, second = provider.scenario(), provider.scenario()
        one = provider.llm(first)
        key = provider.key
        provider.key = f"{key}-other"
        other = provider.llm(second)
        for llm in (one, other, one):
            provider.answers(llm, "complete")
        if not provider.offline:
            keys = [[request.key for request in scenario.requests] for scenario in (first, second)]
            assert [len(each) for each in keys] == [2, 1], "an adapter asked at the other's address"
            assert keys == [[key, key], [f"{key}-other"]], "an adapter asked with the other's key"

    @every_way
    @covers(clauses.NETWORK)
    def test_nobody_else_is_asked(self, provider: Provider, how: str) -> None:
        """A failure means that what users say, or that they say something, reaches somebody whom nobody chose."""
        provider.answers(provider.llm(provider.scenario()), how)
        provider.check_network()
        assert provider.offline or provider.connections, "the adapter answered, but turned to nobody"

    @covers(clauses.CLOSING)
    def test_close_twice(self, provider: Provider) -> None:
        """A failure means that cleaning up after an error fails in its turn."""
        llm = provider.llm(provider.scenario())
        provider.answers(llm, "complete")
        llm.close()
        llm.close()
        unused = provider.llm(provider.scenario())
        unused.close()
        unused.close()

    @every_way
    @covers(clauses.CLOSING, clauses.ERRORS)
    def test_call_after_close(self, provider: Provider, how: str) -> None:
        """A failure means that a call after close is a raw error of some library."""
        llm = provider.llm(provider.scenario())
        provider.answers(llm, how)
        llm.close()
        fix: str | None = "none was needed"
        try:
            provider.answers(llm, how)
        except LLMError as error:
            fix = error.fix
        assert fix, "the error of a call after close names no fix"

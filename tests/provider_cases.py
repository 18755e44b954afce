"""What holds of every adapter that derives from ProviderLLM, whoever the provider is: cases for the plugins' tests.

A test module derives a class `Test...` from `ProviderCases`; its fault server is the fixture `server`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest
from ctxkit_conformance.faults import FaultServer, Recorded, Scenario, WireFormat, step

from ctxkit.errors import LLMError, ProviderTimeoutError, ProviderUnavailableError, RateLimitedError
from ctxkit.interfaces import LLM, Message
from ctxkit.llm.adapters import create_llm_adapter

WORDS: Final = "Where is the boat?"
ASKED: Final[list[Message]] = [{"role": "user", "content": WORDS}]


@pytest.fixture(name="server", scope="module")
def fault_server() -> Iterator[FaultServer]:
    """The provider."""
    with FaultServer() as made:
        yield made


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep keys, addresses and proxies of whoever runs the tests out of them."""
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "ANTHROPIC_"))]:
        monkeypatch.delenv(name)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def gap(first: Recorded, second: Recorded) -> float:
    """Return how many seconds after an answer the next request came."""
    assert first.answered is not None
    return second.received - first.answered


@contextmanager
def address_that_swallows_everything() -> Iterator[str]:
    """Offer an address whose queue is full, so that whoever wants to connect hears nothing at all."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        crowd = [socket.socket() for _ in range(4)]
        try:
            for each in crowd:
                each.settimeout(0)
                each.connect_ex(deaf.getsockname())
            yield f"http://127.0.0.1:{deaf.getsockname()[1]}/v1"
        finally:
            for each in crowd:
                each.close()


@pytest.mark.usefixtures("own_environment")
class ProviderCases:
    """`provider` is the adapter's name and that of its library; `key` looks like one of the provider's."""

    provider: ClassVar[str]
    package: ClassVar[str]
    wire: ClassVar[WireFormat]
    key: ClassVar[str]
    key_variable: ClassVar[str]

    def adapter(self, where: Scenario, **options: Any) -> LLM:
        """Return an adapter that asks this scenario."""
        given = {"base_url": where.url(self.wire), "api_key": self.key, "model": "m", **options}
        return create_llm_adapter(self.provider, **given)

    def test_importing_the_plugin_imports_no_library(self) -> None:
        """Neither the announcement nor making an adapter costs the import of the library; the first call does."""
        program = f"""
import sys
import {self.package}
assert {{"{self.provider}", "numpy", "pydantic"}}.isdisjoint(sys.modules), "the announcement imports too much"
from ctxkit.llm.adapters import create_llm_adapter
create_llm_adapter("{self.provider}", api_key="{self.key}")
assert "{self.provider}" not in sys.modules, "making an adapter imports the library"
"""
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)

    def test_key_is_looked_up_for_each_call(
        self, server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A new key in the file or the environment is used by the adapter that is there, in every way of asking."""
        file = tmp_path / "key"
        file.touch(mode=0o600)
        scenario = server.scenario()
        keys = [f"{self.key}-{number}" for number in ("first", "second", "third")]
        with self.adapter(scenario, api_key=None, key_file=file) as llm:
            for key in keys[:2]:
                file.write_text(key)
                llm.complete(ASKED)
                asyncio.run(llm.acomplete(ASKED))
        with self.adapter(scenario, api_key=None) as llm:
            monkeypatch.setenv(self.key_variable, keys[2])
            llm.complete(ASKED)
        assert [request.key for request in scenario.requests] == [keys[0], keys[0], keys[1], keys[1], keys[2]]

    @pytest.mark.parametrize(
        ("fault", "words"),
        [
            ("rate_limited", "rate limit"),
            ("authentication", "authentication"),
            ("model_not_found", "model not found"),
            ("reset", "connection"),
            ("hang", "timeout"),
        ],
    )
    def test_errors_hold_the_words_that_users_look_for(self, server: FaultServer, fault: str, words: str) -> None:
        """Code that searches str(error) finds what it finds for every provider."""
        patience = 0.3 if fault == "hang" else 30.0
        with (
            self.adapter(server.scenario(step(fault)), max_retries=0, timeout=patience) as llm,
            pytest.raises(LLMError) as caught,
        ):
            llm.complete(ASKED)
        assert words in str(caught.value).lower()

    def test_a_used_up_quota_is_not_asked_again(self, server: FaultServer) -> None:
        """Waiting does not fill an account, and the message says so."""
        scenario = server.scenario(then=step("quota"))
        with (
            self.adapter(scenario, max_retries=3) as llm,
            pytest.raises(RateLimitedError, match=r"rate limit.*quota is used up.*billing"),
        ):
            llm.complete(ASKED)
        assert len(scenario.requests) == 1

    def test_a_wait_that_is_too_long_is_not_begun(self, server: FaultServer) -> None:
        """A library of its own would sleep for as long as a header says; the adapter gives the error instead."""
        scenario = server.scenario(then=step("rate_limited", retry_after=3_600.0))
        with self.adapter(scenario, max_retries=3) as llm, pytest.raises(RateLimitedError) as caught:
            llm.complete(ASKED)
        assert (caught.value.retry_after, len(scenario.requests)) == (3_600.0, 1)

    def test_time_for_retries_is_bounded(self, server: FaultServer) -> None:
        """However many retries are allowed, none begins after retry_for, and a longer wait is not begun."""
        scenario = server.scenario(then=step("unavailable"))
        with (
            self.adapter(scenario, max_retries=20, retry_for=1.0) as llm,
            pytest.raises(ProviderUnavailableError),
        ):
            llm.complete(ASKED)
        assert 2 <= len(scenario.requests) <= 4, "pauses of 0.25, 0.5 and 1 second at least do not fit into one"

    def test_an_address_that_swallows_everything(self) -> None:
        """A network that is cut without a word costs the timeout, in every way of asking, and not for ever."""
        with (
            address_that_swallows_everything() as address,
            create_llm_adapter(self.provider, base_url=address, api_key=self.key, timeout=0.4, max_retries=3) as llm,
        ):
            with pytest.raises(ProviderTimeoutError, match="timeout"):
                llm.complete(ASKED)
            with pytest.raises(ProviderTimeoutError, match="timeout"):
                list(llm.stream(ASKED))
            with pytest.raises(ProviderTimeoutError, match="timeout"):
                asyncio.run(llm.acomplete(ASKED))

"""Messages, parameters, look-ups and clients: what adapters of providers are made of."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from types import MappingProxyType
from typing import Any

import pytest

from ctxkit.errors import LLMError
from ctxkit.providers import Clients, Parameters, Reach, checked_messages

ROLES = ("system", "user", "assistant", "tool")


def test_messages_are_copied_deeply() -> None:
    """What is sent shares nothing with what the caller holds, and is made of plain values."""
    given = (MappingProxyType({"role": "user", "content": ({"type": "text", "text": "a\ud800b"},)}),)
    found = checked_messages(given, ROLES, "acme")
    assert found == [{"role": "user", "content": [{"type": "text", "text": "a\ufffdb"}]}]
    joined = checked_messages([{"role": "user", "content": "\ud83d\udc1f"}], ROLES, "acme")
    assert joined[0]["content"] == "\U0001f41f"


@pytest.mark.parametrize(
    "messages",
    [
        [],
        "hello",
        {"role": "user", "content": "hello"},
        ["hello"],
        [{"role": "nobody", "content": "?"}],
        [{"role": "user"}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": 7}],
    ],
    ids=str,
)
def test_wrong_messages_are_refused(messages: Any) -> None:
    """Whatever no provider would take is told before it is sent, with what to do."""
    with pytest.raises(LLMError) as caught:
        checked_messages(messages, ROLES, "acme")
    assert caught.value.fix


def test_an_assistant_that_calls_tools_may_say_nothing() -> None:
    """Its content is None then, as the provider gave it."""
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    assert checked_messages([message], ROLES, "acme") == [message]


def test_parameters_are_left_out_with_a_note(caplog: pytest.LogCaptureFixture) -> None:
    """What a library does not take is named once, and then no more above DEBUG."""

    def create(*, model: str, top_p: float = 1.0) -> None:
        raise AssertionError(f"{model} is not to be asked with {top_p}")

    parameters = Parameters("Acme")
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            assert parameters.fitted(create, {"model": "m", "top_p": 0.5, "seed": 1}) == {"model": "m", "top_p": 0.5}
    assert [record.message for record in caplog.records] == [
        "Acme: seed is left out: its library does not take it; extra_body={'seed': ...} would send it all the same"
    ]


def test_parameters_under_another_name(caplog: pytest.LogCaptureFixture) -> None:
    """A limit that a model knows by its other name is sent under that; one that it knows by none is left out."""

    def create(**_options: object) -> None:
        raise AssertionError

    parameters = Parameters("Acme", {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"})
    given = {"model": "m", "max_tokens": 5}
    assert parameters.leave_out("max_tokens", parameters.fitted(create, given))
    assert parameters.fitted(create, given) == {"model": "m", "max_completion_tokens": 5}
    assert parameters.leave_out("max_completion_tokens", {"max_completion_tokens": 5})
    assert parameters.fitted(create, given) == {"model": "m"}
    assert not parameters.leave_out("model", given), "a request cannot do without its model"
    assert not parameters.leave_out("top_p", given), "what was not sent cannot be left out"
    assert "max_completion_tokens is sent instead" in caplog.text


def test_a_look_up_that_hangs_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that never answers holds nobody longer than was configured."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    answered = threading.Event()

    def look_up(*_arguments: object, **_options: object) -> list[object]:
        answered.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(TimeoutError, match=r"api\.acme\.example"):
        Reach("https://api.acme.example/v1", 0.2).check()
    answered.set()


def test_the_time_to_connect_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with four addresses gets no longer than a host with one; a number is not looked up."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{n}", 443)) for n in range(4)]
    asked: list[object] = []

    def look_up(*arguments: object, **_options: object) -> object:
        asked.append(arguments)
        return found

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    reach = Reach("https://api.acme.example/v1", 8.0)
    reach.check()
    reach.check()
    assert (reach.connect_timeout, len(asked)) == (1.0, 1)
    literal = Reach("http://127.0.0.1:1/v1", 8.0)
    literal.check()
    assert (literal.connect_timeout, len(asked)) == (4.0, 1)


class Client:
    """Counts how often it was closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        """Count."""
        self.closed += 1


class AsyncClient(Client):
    """The same in an event loop."""

    async def close(self) -> None:  # type: ignore[override]  # as the libraries of vendors have it
        """Count."""
        self.closed += 1


def test_one_client_for_threads_and_one_for_each_loop() -> None:
    """Clients are shared where they may be, and those of a loop are closed when it ends."""
    clients: Clients[Client, AsyncClient] = Clients(Client, AsyncClient)
    assert clients.of_threads() is clients.of_threads()

    async def use() -> AsyncClient:
        first, second = await asyncio.gather(clients.of_this_loop(), clients.of_this_loop())
        assert first is second is await clients.of_this_loop()
        return first

    one, other = asyncio.run(use()), asyncio.run(use())
    assert one is not other
    assert (one.closed, other.closed) == (1, 1)
    held = clients.of_threads()
    clients.close()
    clients.close()
    assert held.closed == 1


def test_closing_from_inside_and_from_elsewhere() -> None:
    """aclose waits for the client of its loop; close from another thread leaves none open either."""
    clients: Clients[Client, AsyncClient] = Clients(Client, AsyncClient)

    async def inside() -> int:
        found = await clients.of_this_loop()
        await clients.aclose()
        return found.closed

    async def elsewhere() -> int:
        found = await clients.of_this_loop()
        await asyncio.to_thread(clients.close)
        for _ in range(100):
            await asyncio.sleep(0)
        return found.closed

    assert asyncio.run(inside()) == 1
    assert asyncio.run(elsewhere()) == 1


def test_forgotten_clients_are_closed() -> None:
    """An adapter that nobody closes leaves no connection open when it is collected."""
    clients: Clients[Client, AsyncClient] = Clients(Client, AsyncClient)
    held = clients.of_threads()
    del clients
    assert held.closed == 1


def test_a_forked_process_has_clients_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes that write to one connection would read each other's answers."""
    clients: Clients[Client, AsyncClient] = Clients(Client, AsyncClient)
    before = clients.of_threads()
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    after = clients.of_threads()
    assert after is not before
    clients.close()
    assert (before.closed, after.closed) == (0, 1)
    monkeypatch.undo()

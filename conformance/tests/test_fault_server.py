"""The fault server: what it answers, what it breaks, and what it writes down, seen by the standard library's client."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any, Final

import pytest
from ctxkit_conformance.faults import STEPS, FaultServer, Scenario, closed_port, requests, step, steps_from
from ctxkit_conformance.faults.server import THREAD_NAME

ASKED: Final = {"model": "m", "messages": [{"role": "user", "content": "one two three"}]}
PATIENCE: Final = 30.0  # seconds for an answer, on a machine that is busy with other things
KEY: Final = {"authorization": "Bearer sk-secret"}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server of its own for each test."""
    with FaultServer() as running:
        yield running


def send(
    scenario: Scenario, body: Any = ASKED, path: str = "/chat/completions", method: str = "POST", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Send one request on a connection of its own; return status, headers and body."""
    connection = http.client.HTTPConnection(scenario.origin.removeprefix("http://"), timeout=PATIENCE)
    try:
        target = scenario.url("openai").removeprefix(scenario.origin) + path
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, target, raw, {**KEY, **headers})
        with connection.getresponse() as found:
            return found.status, {name.lower(): value for name, value in found.getheaders()}, found.read()
    finally:
        connection.close()


def said(body: bytes) -> str:
    """Return the text of a chat completion."""
    return str(json.loads(body)["choices"][0]["message"]["content"])


def test_steps_come_in_their_order(server: FaultServer) -> None:
    """Each request takes the next step; after the last one the answers are ordinary, or what `then` says."""
    scenario = server.scenario(step("internal"), step("rate_limited"), step("ok", text="scripted"))
    assert [send(scenario)[0] for _ in range(2)] == [500, 429]
    assert [said(send(scenario)[2]) for _ in range(2)] == ["scripted", "one two three"]
    always = server.scenario(step("ok"), then=step("overloaded"))
    assert [send(always)[0] for _ in range(3)] == [200, 529, 529]


def test_scenarios_know_nothing_of_each_other(server: FaultServer) -> None:
    """A late request of one check never takes the step of another."""
    first, second = server.scenario(step("internal")), server.scenario(step("unavailable"))
    assert (send(second)[0], send(first)[0], len(first.requests), len(second.requests)) == (503, 500, 1, 1)
    assert not server.default.requests


def test_requests_are_written_down(server: FaultServer) -> None:
    """Everything that was sent can be looked at, and the key does not show where all of it is shown."""
    scenario = server.scenario()
    body = {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, *ASKED["messages"]],
        "max_tokens": 2,
        "temperature": 0.5,
    }
    before = time.monotonic()
    assert said(send(scenario, body)[2]) == "one two"
    (seen,) = scenario.requests
    assert (seen.method, seen.body, seen.key, seen.status) == ("POST", body, "sk-secret", 200)
    assert seen.asked is not None
    assert (seen.asked.system, seen.asked.turns) == ("Be brief.", (("user", "one two three"),))
    assert (seen.asked.max_tokens, seen.asked.temperature, seen.asked.stream) == (2, 0.5, False)
    assert seen.answered is not None
    assert before <= seen.received <= seen.answered
    assert seen.closed is None
    shown = json.dumps(seen.as_json())
    assert "sk-secret" not in shown
    assert "Be brief." in shown


@pytest.mark.parametrize("name", ["hang", "hang_midway", "hold"])
def test_a_client_that_leaves_is_noticed(server: FaultServer, name: str) -> None:
    """What a cancelled call does to its connection can be asserted."""
    scenario = server.scenario(step(name))
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        body = json.dumps(ASKED | {"stream": True}).encode()
        target = scenario.url("openai").removeprefix(scenario.origin)
        head = (
            f"POST {target}/chat/completions HTTP/1.1\r\nauthorization: Bearer k\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        raw.sendall(head.encode() + body)
        assert scenario.wait_until(len)
        assert scenario.requests[0].closed is None
    assert scenario.wait_until(lambda seen: seen[0].closed is not None)
    assert scenario.requests[0].answered is None


def test_a_held_answer_waits_to_be_released(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of events is the test's own; what nobody releases is given up, and that shows."""
    scenario = server.scenario(step("hold"))
    found: list[int] = []
    asking = threading.Thread(target=lambda: found.append(send(scenario)[0]))
    asking.start()
    assert scenario.wait_until(len)
    assert not found
    scenario.release()
    asking.join()
    assert (found, scenario.requests[0].released) == ([200], True)
    monkeypatch.setattr(requests, "_LONGEST_HOLD", 0.05)
    forgotten = server.scenario(step("hold"))
    assert send(forgotten)[0] == 200
    assert not forgotten.requests[0].released


def test_waiting_is_asked_for_in_every_form(server: FaultServer) -> None:
    """Seconds, milliseconds, a date, and what nobody can read."""
    scenario = server.scenario(
        step("rate_limited", retry_after=2.5),
        step("rate_limited", retry_after=0.25, retry_form="milliseconds"),
        step("unavailable", retry_after=30.0, retry_form="date"),
        step("rate_limited", retry_after="soon"),
        step("rate_limited"),
    )
    now = time.time()
    headers = [send(scenario)[1] for _ in range(5)]
    assert (headers[0]["retry-after"], headers[1]["retry-after-ms"], headers[3]["retry-after"]) == (
        "2.5",
        "250",
        "soon",
    )
    assert 30 <= parsedate_to_datetime(headers[2]["retry-after"]).timestamp() - now < 40
    assert "retry-after" not in headers[4]
    assert [seen.wait for seen in scenario.requests] == [2.5, 0.25, 30.0, None, None]


@pytest.mark.parametrize("stream", [False, True])
def test_connections_break(server: FaultServer, *, stream: bool) -> None:
    """A reset is a reset, a cut is an early end, and what is malformed looks whole to HTTP."""
    body = ASKED | {"stream": stream}
    for name in ("reset", "reset_midway"):
        with pytest.raises(ConnectionResetError):
            send(server.scenario(step(name)), body)
    with pytest.raises(http.client.IncompleteRead):
        send(server.scenario(step("cut")), body)
    for name in ("malformed", "ended"):
        status, _, raw = send(server.scenario(step(name)), body)
        assert status == 200
        assert b"[DONE]" not in raw or name == "malformed"
        if not stream:
            with pytest.raises(ValueError, match="line 1"):
                json.loads(raw)
    status, headers, raw = send(server.scenario(step("page")), body)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert raw.startswith(b"<!DOCTYPE html>")


def test_a_held_fault_comes_after_what_was_read(server: FaultServer) -> None:
    """The pieces before a reset surely arrive, because the reset waits for the reader."""
    scenario = server.scenario(step("reset_midway", after=2, held=True))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    target = scenario.url("openai").removeprefix(scenario.origin) + "/chat/completions"
    connection.request("POST", target, json.dumps(ASKED | {"stream": True}), KEY)
    with connection.getresponse() as found:
        seen = b""
        while b" two" not in seen:
            seen += found.read1()
        scenario.release()
        with pytest.raises(ConnectionResetError):
            found.read()
    connection.close()


def test_slow_and_torn_answers_are_whole(server: FaultServer) -> None:
    """A drip and single bytes bring the same stream as one portion does, but for the time it was made."""
    words = "naïve 👩‍👩‍👧 漢字 end"
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": words}]}
    scenario = server.scenario(step("ok"), step("drip", gap=0.001), step("bytes"))
    streams = [re.sub(rb'"(id|created)":[^,]*,', b"", send(scenario, body)[2]) for _ in range(3)]
    assert streams[0] == streams[1] == streams[2]
    events = [line.removeprefix(b"data: ") for line in streams[0].split(b"\n") if line.startswith(b"data: {")]
    assert "".join(json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events) == words


def test_what_the_provider_rejects_is_rejected(server: FaultServer) -> None:
    """A request that would fail at the provider does not pass here, whatever the scenario says."""
    scenario = server.scenario(then=step("ok"))
    assert send(scenario, authorization="")[0] == 401
    assert send(scenario, {"model": "m"})[0] == 400
    assert send(scenario, {"model": "m", "messages": []})[0] == 400
    assert send(scenario, {"model": "m", "messages": [{"role": "nobody", "content": "?"}]})[0] == 400
    assert send(scenario, ASKED | {"temperature": "hot"})[0] == 400
    assert send(scenario, b"{")[0] == 400
    assert send(scenario, ASKED, "/nothing")[0] == 404
    assert send(scenario, {"model": "m", "input": [{"role": "nobody"}]}, "/responses")[0] == 400
    assert send(scenario, {"model": "m", "input": []}, "/embeddings")[0] == 400
    assert send(scenario, {"model": "m", "messages": ASKED["messages"]}, "/messages")[0] == 400
    for body in ({"max_tokens": 0}, {"max_tokens": 5, "messages": []}, {"max_tokens": 5, "messages": [{"role": "x"}]}):
        status, _, raw = send(scenario, {**ASKED, **body}, "/messages")
        assert (status, json.loads(raw)["error"]["type"]) == (400, "invalid_request_error")
    assert all(seen.asked is None for seen in scenario.requests)


def test_what_is_no_http_is_hung_up_on(server: FaultServer) -> None:
    """A client that speaks something else gets no answer, and disturbs nobody."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as raw:
        raw.sendall(b"hello\r\n\r\n")
        assert raw.recv(100) == b""
    assert send(server.scenario())[0] == 200


def test_a_connection_serves_several_requests(server: FaultServer) -> None:
    """Clients keep connections open, ask before they send a body, and send it in chunks."""
    scenario = server.scenario()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    target = scenario.url("openai").removeprefix(scenario.origin) + "/chat/completions"
    for _ in range(2):
        connection.request("POST", target, json.dumps(ASKED), KEY)
        with connection.getresponse() as found:
            assert said(found.read()) == "one two three"
    raw = json.dumps(ASKED).encode()
    chunks = iter([raw[:10], raw[10:]])
    connection.request("POST", target, chunks, {**KEY, "expect": "100-continue"}, encode_chunked=True)
    with connection.getresponse() as found:
        assert said(found.read()) == "one two three"
    connection.close()
    assert len(scenario.requests) == 3


def test_it_stops_whatever_is_going_on() -> None:
    """Closing ends hanging connections and the thread; twice is fine."""
    others = _serving()
    server = FaultServer()
    assert _serving() == others + 1
    scenario = server.scenario(then=step("hang"))
    failed: list[str] = []

    def ask() -> None:
        try:
            send(scenario)
        except (OSError, http.client.HTTPException) as exc:
            failed.append(type(exc).__name__)

    asking = threading.Thread(target=ask)
    asking.start()
    assert scenario.wait_until(len)
    server.close()
    server.close()
    asking.join()
    assert len(failed) == 1
    assert _serving() == others


def _serving() -> int:
    return [thread.name for thread in threading.enumerate()].count(THREAD_NAME)


def test_nobody_listens_at_a_closed_port() -> None:
    """A refused connection is refused at once, and nobody else takes the port meanwhile."""
    with closed_port() as address:
        host, _, port = address.removeprefix("http://").partition(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=PATIENCE)


def test_scripts_are_read_as_they_are_typed() -> None:
    """Names and settings make steps; what is neither is an error that lists what there is."""
    first, second = steps_from("rate_limited retry_after=1.5 retry_form=date, hang_midway after=2")
    assert (first.problem, first.retry_after, first.retry_form) == ("rate_limited", 1.5, "date")
    assert (second.delivery, second.after) == ("hang", 2)
    for script, word in (("nonsense", "rate_limited"), ("ok nonsense=1", "retry_after"), ("ok after", "retry_after")):
        with pytest.raises(ValueError, match=word):
            steps_from(script)


def test_it_runs_by_itself() -> None:
    """As a command it says where it listens, follows its script, and tells of each request without its key."""
    command = [sys.executable, "-m", "ctxkit_conformance.faults"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    listed = subprocess.run([*command, "--list"], capture_output=True, text=True, check=True, env=environment)
    assert listed.stdout.split() == list(STEPS)
    wrong = subprocess.run([*command, "--script", "x"], capture_output=True, text=True, check=False, env=environment)
    assert wrong.returncode == 2
    assert "there is no step 'x'" in wrong.stderr
    running = subprocess.Popen(
        [*command, "--script", "rate_limited retry_after=1", "--then", "ok text=done"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    with running:
        assert running.stdout is not None
        where = json.loads(running.stdout.readline())
        origin = where["openai"].removesuffix("/v1")
        assert where["anthropic"] == origin
        scenario = Scenario("", origin, deque(), step("ok"))
        assert [send(scenario)[0] for _ in range(2)] == [429, 200]
        told = [json.loads(running.stdout.readline()) for _ in range(2)]
        assert [(each["step"], each["status"], each["answered"]) for each in told] == [
            ("rate_limited", 429, True),
            ("ok", 200, True),
        ]
        assert "sk-secret" not in json.dumps(told)
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=PATIENCE) == 0

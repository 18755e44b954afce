"""The short way of requests: connections that are kept, closed by the other side, shared by threads, and left alone."""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from ctxkit_chroma.wire import Wire, is_direct


class Echo(BaseHTTPRequestHandler):
    """Says what came, and notes on how many connections."""

    protocol_version = "HTTP/1.1"
    connections: set[tuple[str, int]]

    def do_POST(self) -> None:
        """Answer; on /close hang up afterwards without a word, on /cookie set one."""
        self.connections.add(self.client_address)
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        content = b"|".join([self.path.encode(), sent, self.headers.get("Cookie", "-").encode()])
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(content)))
        if self.path == "/cookie":
            self.send_header("Set-Cookie", "node=seven")
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = self.path == "/close"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's signature
        """Say nothing."""


@pytest.fixture
def echo() -> Iterator[tuple[str, set[tuple[str, int]]]]:
    """The address of a server, and the connections that it saw."""
    connections: set[tuple[str, int]] = set()
    handler = type("Noting", (Echo,), {"connections": connections})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", connections
        server.shutdown()
        thread.join()


@pytest.fixture
def session() -> Iterator[httpx.Client]:
    """A session whose requests go the short way."""
    with httpx.Client() as made:
        wire = Wire(made, 10.0)
        yield made
        wire.close()


def test_one_connection_is_kept(session: httpx.Client, echo: tuple[str, set[tuple[str, int]]]) -> None:
    """Several requests take one connection; an error of the server's is an answer, and raised as httpx does."""
    address, connections = echo
    assert [session.request("POST", f"{address}/a%20b", content=b"x").text for _ in range(3)] == ["/a%20b|x|-"] * 3
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        session.request("POST", f"{address}/missing", content=b"").raise_for_status()
    assert len(connections) == 1


def test_a_connection_that_was_closed_meanwhile(session: httpx.Client, echo: tuple[str, set[tuple[str, int]]]) -> None:
    """A server that was restarted, or hung up on what was idle, costs no request."""
    address, connections = echo
    session.request("POST", f"{address}/close", content=b"")
    wire = session.request.__self__  # type: ignore[attr-defined]
    assert select.select([wire._idle[0].sock], [], [], 10.0)[0], "the server did not hang up"
    assert session.request("POST", f"{address}/", content=b"y").text == "/|y|-"
    assert len(connections) == 2


def test_threads_share_no_connection(session: httpx.Client, echo: tuple[str, set[tuple[str, int]]]) -> None:
    """Each gets the answer to its own request."""

    def ask(number: int) -> str:
        return session.request("POST", f"{echo[0]}/{number}", content=str(number).encode()).text

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(200))) == [f"/{number}|{number}|-" for number in range(200)]


def test_cookies_are_kept(session: httpx.Client, echo: tuple[str, set[tuple[str, int]]]) -> None:
    """What sends all of a client's requests to one of several servers does not know of a short way."""
    for path, expected in (("/cookie", "-"), ("/", "node=seven"), ("/", "node=seven")):
        assert session.request("POST", f"{echo[0]}{path}", content=b"").text == f"{path}||{expected}"


def test_a_proxy_is_not_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment names one for plain addresses the short way is not taken, except where it says so."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert is_direct("chroma.example")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "localhost")
    assert not is_direct("chroma.example")
    assert is_direct("localhost")

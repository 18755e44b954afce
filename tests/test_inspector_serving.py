"""The served page: who gets an answer, who does not, and what stands in its headers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

import pytest
from inspector_support import QUESTION, talk_inspector

from ctxkit.errors import ConfigError
from ctxkit.inspector import InspectorServer
from ctxkit.inspector.serving import _LONGEST

JSON = {"Content-Type": "application/json"}


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[InspectorServer]:
    """Yield the server of a conversation."""
    with talk_inspector() as inspector, InspectorServer(inspector) as server:
        yield server


def ask(
    server: InspectorServer, method: str, place: str, body: str = "", headers: dict[str, str] | None = None
) -> tuple[HTTPResponse, str]:
    """Send one request, by default to the server's own host, and return the answer with its text."""
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
        connection.request(method, place, body.encode(), headers or {})
        answer = connection.getresponse()
        return answer, answer.read().decode()


def token(server: InspectorServer) -> str:
    """Return the path of the link, which is the token between two slashes."""
    return urlsplit(server.url).path


def test_the_link_shows_a_page_that_asks(server: InspectorServer) -> None:
    """The page may reach its own server and no other, and no proxy or browser keeps it."""
    answer, page = ask(server, "GET", token(server))
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert '{"asks":true,"inspection":null}' in page
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_a_question_is_answered_and_then_shown(server: InspectorServer) -> None:
    """The answer is the inspection; whoever loads the page again sees the last one."""
    answer, text = ask(server, "POST", f"{token(server)}ask", json.dumps({"question": QUESTION}), JSON)
    assert answer.status == 200
    found = json.loads(text)
    assert found["question"] == QUESTION
    assert found["format"] == "ctxkit-inspection"
    second, text = ask(server, "POST", f"{token(server)}ask", json.dumps({"question": "And then?"}), JSON)
    assert second.status == 200
    assert json.loads(text)["previous"]["question"] == QUESTION
    assert "And then?" in ask(server, "GET", token(server))[1]


def test_questions_at_the_same_time_are_answered_one_after_the_other(server: InspectorServer) -> None:
    """Each gets its own answer, and no two are compared with the same one before."""

    def answered(number: int) -> tuple[str, str]:
        body = json.dumps({"question": f"Question number {number}?"})
        found = json.loads(ask(server, "POST", f"{token(server)}ask", body, JSON)[1])
        return found["question"], found["previous"]["question"]

    server.inspector.prepare("Before?")
    with ThreadPoolExecutor(4) as pool:
        pairs = list(pool.map(answered, range(8)))
    assert [question for question, _ in pairs] == [f"Question number {number}?" for number in range(8)]
    assert len({before for _, before in pairs}) == 8


def test_an_error_is_told_with_its_fix(server: InspectorServer) -> None:
    """A question that cannot be asked is no failure of the server."""
    answer, text = ask(server, "POST", f"{token(server)}ask", json.dumps({"question": " "}), JSON)
    assert answer.status == 422
    assert json.loads(text) == {
        "error": "the question is blank.",
        "fix": "ask with at least one visible character.",
    }


@pytest.mark.parametrize("place", ["/", "/ask", "/favicon.ico", "/x/", "/{short}/", "/{token}", "/{token}x/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_the_token_there_is_nothing(server: InspectorServer, method: str, place: str) -> None:
    """Every other path is refused in the same few words, which do not tell what was wrong."""
    own = token(server).strip("/")
    answer, text = ask(server, method, place.format(token=own, short=own[:-1]), '{"question": "x"}', JSON)
    assert (answer.status, text) == (403, "Forbidden\n")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "127.0.0.1.evil:{port}"]
)
def test_another_host_is_refused_even_with_the_token(server: InspectorServer, host: str) -> None:
    """A name of somebody else that resolves to this machine reaches nothing."""
    headers = {"Host": host.format(port=server.port)}
    for method, place in (("GET", ""), ("POST", "ask")):
        answer, text = ask(server, method, f"{token(server)}{place}", '{"question": "x"}', {**headers, **JSON})
        assert (answer.status, text) == (403, "Forbidden\n")
    assert ask(server, "GET", token(server), headers={"Host": f"localhost:{server.port}"})[0].status == 200


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ('{"question": "x"}', {"Content-Type": "text/plain"}),
        ("question=x", {"Content-Type": "application/x-www-form-urlencoded"}),
        ("question", JSON),
        ("[" * 100_000, JSON),
        ('["question"]', JSON),
        ('{"question": 1}', JSON),
        ("{}", JSON),
        ("", {**JSON, "Content-Length": "-1"}),
        ("", {**JSON, "Content-Length": str(_LONGEST + 1)}),
    ],
)
def test_what_is_no_question_is_refused(server: InspectorServer, body: str, headers: dict[str, str]) -> None:
    """Another type, other JSON, no JSON and a length beyond all measure: a refusal, and the server goes on."""
    assert ask(server, "POST", f"{token(server)}ask", body, headers)[0].status == 400
    assert ask(server, "GET", token(server))[0].status == 200


def test_other_methods_and_places_are_refused_alike(server: InspectorServer) -> None:
    """What is not served says so in one line, with the same headers, and grants nothing to other pages."""
    for method in ("PUT", "DELETE", "OPTIONS"):
        answer, text = ask(server, method, token(server))
        assert (answer.status, text) == (501, "Not Implemented\n")
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Access-Control-Allow-Origin"] is None
    assert ask(server, "GET", f"{token(server)}other")[0].status == 404
    assert ask(server, "POST", token(server), "{}", JSON)[0].status == 404


def test_each_server_has_a_token_of_its_own(server: InspectorServer) -> None:
    """The token is long and random."""
    with InspectorServer(server.inspector) as other:
        assert token(other) != token(server)
        assert len(token(other)) > 40
        assert ask(other, "GET", token(server))[0].status == 403


def test_only_this_machine_reaches_it(server: InspectorServer) -> None:
    """The socket is bound to the loopback address alone."""
    assert server._server.server_address[0] == "127.0.0.1"
    assert server.url.startswith(f"http://127.0.0.1:{server.port}/")


def test_a_taken_port_is_an_error(server: InspectorServer) -> None:
    """A port that somebody has, or that there is not, is said with what to do."""
    for port in (server.port, 70_000):
        with pytest.raises(ConfigError, match=f"port {port} cannot be had"):
            InspectorServer(server.inspector, port=port)


def test_closing_gives_the_port_back(server: InspectorServer) -> None:
    """After closing nothing listens, also while somebody keeps a connection open without a word."""
    other = InspectorServer(server.inspector)
    waiting = threading.Thread(target=other.wait)
    waiting.start()
    with socket.create_connection(("127.0.0.1", other.port)):
        other.close()
    waiting.join(10)
    assert not waiting.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", other.port), timeout=5)
    with InspectorServer(server.inspector, port=other.port) as again:
        assert again.port == other.port

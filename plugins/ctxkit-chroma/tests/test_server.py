"""Chroma on a server: credentials and TLS, a server that is down or slow, other clients, filters handed down."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.config import Settings
from ctxkit_chroma.config import ChromaConfig
from ctxkit_chroma.faults import Scene
from ctxkit_chroma.harness import ChromaServer, _close
from ctxkit_chroma.pushdown import pushed
from ctxkit_chroma.rows import Rows
from ctxkit_chroma.store import ChromaStore
from pydantic import SecretStr

from ctxkit.errors import ConfigError, StoreUnavailableError, UnsupportedError
from ctxkit.filters import matches, parse
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import Record, RecordBatch

SPEC = CollectionSpec(name="notes", dimension=3)
ONE = [1.0, 0.0, 0.0]
HUSH = "hush-hush-token"


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def listening(answer: bytes | None) -> Iterator[tuple[int, list[bytes]]]:
    """Listen on loopback, keep what each connection says first, and answer (None: never)."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        done = threading.Event()
        kept: list[socket.socket] = []

        def serve() -> None:
            while not done.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                kept.append(connection)
                heard.append(connection.recv(4096))
                if answer is not None:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(server.getsockname()[1]), heard
        finally:
            done.set()
            thread.join()
            for connection in kept:
                connection.close()


def test_a_server_that_is_down() -> None:
    """An error at once, which says where, what to start and what to check, and tells no secret."""
    config = ChromaConfig(host="127.0.0.1", port=free_port(), token=SecretStr(HUSH))
    for call in (lambda: ChromaStore.open(SPEC, config), lambda: ChromaStore.list_collections(config)):
        with pytest.raises(StoreUnavailableError, match=f"127.0.0.1:{config.port}.*chroma run") as caught:
            call()
        assert HUSH not in str(caught.value)


def test_a_server_that_never_answers() -> None:
    """Chroma's client waits for ever; here a call ends after `timeout`."""
    with listening(None) as (port, _):
        start = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="Timeout"):
            ChromaStore.open(SPEC, ChromaConfig(host="127.0.0.1", port=port, timeout=0.5))
        assert time.monotonic() - start < 30


@pytest.mark.parametrize(
    ("answer", "fix"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}", "HTTP 401.*correct token or headers"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops", "HTTP 502: oops.*a Chroma server answers"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "JSON.*a Chroma server answers there"),
    ],
)
def test_a_fix_for_each_refusal(answer: bytes, fix: str) -> None:
    """Whoever has the wrong token does not start a server, and whoever asked something else for a Chroma learns it."""
    with listening(answer) as (port, _), pytest.raises(StoreUnavailableError, match=fix):
        ChromaStore.open(SPEC, ChromaConfig(host="127.0.0.1", port=port, timeout=5))


def test_an_unknown_database_and_authority(remote: ChromaConfig) -> None:
    """The error names what is not there; a certificate that nobody vouches for says which option would."""
    with pytest.raises(StoreUnavailableError, match=r"\[nowhere\].*correct tenant and database"):
        ChromaStore.open(SPEC, remote.model_copy(update={"database": "nowhere"}))
    with pytest.raises(ConfigError, match=r"there is no file absent\.pem, which ssl_verify names"):
        ChromaStore.open(SPEC, remote.model_copy(update={"ssl": True, "ssl_verify": Path("absent.pem")}))
    assert "ssl_verify" in str(Scene("a server", remote=True).unavailable("certificate verify failed"))


def test_tls_is_spoken() -> None:
    """With ssl the first thing that a server hears is a TLS greeting, and a plain server is a typed error."""
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (port, heard):
        for verify in (True, False):
            with pytest.raises(StoreUnavailableError, match=f"127.0.0.1:{port}"):
                ChromaStore.open(
                    SPEC, ChromaConfig(host="127.0.0.1", port=port, ssl=True, ssl_verify=verify, timeout=5)
                )
    assert [first[:1] for first in heard] == [b"\x16", b"\x16"]


class Proxy(BaseHTTPRequestHandler):
    """Asks for a token, passes the request on to the server, and keeps the headers it saw."""

    target: tuple[str, int]
    seen: list[dict[str, str]]

    def _pass_on(self) -> None:
        type(self).seen.append(dict(self.headers))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {HUSH}":
            content, status = f'{{"error": "bad {self.headers.get("Authorization")}"}}'.encode(), 401
        else:
            import http.client  # noqa: PLC0415

            with closing(http.client.HTTPConnection(*self.target)) as connection:
                connection.request(self.command, self.path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                content, status = answer.read(), answer.status
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815 - the names that http.server calls

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's signature
        """Say nothing."""


@pytest.fixture
def guarded(remote: ChromaConfig) -> Iterator[ChromaConfig]:
    """The server behind a proxy that wants a token."""
    seen: list[dict[str, str]] = []
    handler = type("Guard", (Proxy,), {"target": ("127.0.0.1", remote.port), "seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        yield remote.model_copy(update={"port": proxy.server_address[1]})
        proxy.shutdown()
        thread.join()
    assert seen, "nothing went through the proxy"


def test_token_and_headers_pass_through(guarded: ChromaConfig, caplog: pytest.LogCaptureFixture) -> None:
    """Each request carries them; a wrong one is a typed error without it, and no log has it."""
    caplog.set_level(logging.DEBUG)
    right = guarded.model_copy(update={"token": SecretStr(HUSH), "headers": {"X-Other": SecretStr("hush-other")}})
    with ChromaStore.open(SPEC, right) as store:
        store.upsert([Record("a", "", ONE)])
        assert store.query(ONE, 1)[0].ids == ["a"]
        assert "hush" not in repr(store)
    wrong = guarded.model_copy(update={"token": SecretStr("hush-wrong")})
    with pytest.raises(StoreUnavailableError, match="token") as caught:
        ChromaStore.open(SPEC, wrong)
    causes = f"{caught.value!r} {caught.value} {caught.value.__cause__} {caplog.text}"
    assert "hush" not in causes.replace("***", "")


def test_another_client_is_seen_at_once(remote: ChromaConfig) -> None:
    """Two handles, as two processes have them, see each other's writes; a merged key of the past is none."""
    with ChromaStore.open(SPEC, remote) as one, ChromaStore.open(SPEC, remote) as two:
        one.upsert([Record("a", "first", ONE, {"old": 1})])
        assert two.get(["a"]) == [Record("a", "first", None, {"old": 1})]
        client = chromadb.HttpClient(
            host="127.0.0.1",
            port=remote.port,
            database=remote.database,
            settings=Settings(anonymized_telemetry=False),
        )
        # As when another client's upsert comes between: Chroma merges, and the old key lies there for ever.
        collection = client.get_collection("notes", embedding_function=None)
        collection.upsert(ids=["a"], embeddings=[ONE], metadatas=[{"_ctxkit": '{"new":2}', "new": 2}])
        assert sorted(collection.get()["metadatas"][0]) == ["_ctxkit", "new", "old"]
        _close(client)
        for store in (one, two):
            assert store.get(["a"]) == [Record("a", "first", None, {"new": 2})]
            assert (store.count({"old": 1}), store.count({"old": {"$exists": False}}), store.count({"new": 2})) == (
                0,
                1,
                1,
            )


def test_text_search_is_refused(remote: ChromaConfig) -> None:
    """An index of words here could not follow the server's other clients."""
    with ChromaStore.open(SPEC, remote) as store, pytest.raises(UnsupportedError, match="Fix:"):
        store.text_query("word", 3)


def test_every_pushed_filter_keeps_what_matches(remote: ChromaConfig) -> None:
    """What Chroma is asked for holds every record that the reference evaluator passes, for each operator and type."""
    values: list[Any] = [0, 1, -1, 2**53, 2**53 + 1, 0.0, 0.5, -0.5, 1.5, 1e300, -1e300, True, False, "", "b", "é"]
    values += [["b"], [1], [0.5], 2**63 - 1, -(2**63)]
    records = [Record(f"r{i}", "", [1.0, 1.0, i], {"x": value}) for i, value in enumerate(values)]
    operands = [value for value in values if not isinstance(value, list)]
    with ChromaStore.open(SPEC, remote) as store:
        store.upsert([*records, Record("none", "", ONE)])
        for operator in ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$contains"):
            for operand in operands[:: 1 if operator in {"$gt", "$lt"} else 3]:
                where = {"x": {operator: operand}}
                expected = {r.id for r in records if matches(parse(where), dict(r.metadata))}
                expected |= {"none"} if operator == "$ne" else set()
                assert {record.id for record in store.scan(where)} == expected, where


def test_numbers_that_a_server_misreads(remote: ChromaConfig) -> None:
    """A server takes some digits for the number beside: 91.00000000000001 for 91. No filter shows it."""
    exact = [1.0, 91.0, 0.3, 1e-9, 1e300, *(2.0**bits + 1 for bits in (31, 48, 49, 52)), 2.0**53 - 1, 2.0**53, 2.0**60]
    around = [near for number in exact for near in (np.nextafter(number, -1), number, np.nextafter(number, 2 * number))]
    whole = [int(number) for number in around if number == int(number) and number < 2**63]
    numbers = [sign * each for each in (*map(float, around), *whole) for sign in (1, -1)]
    records = [Record(f"r{i}", "", ONE, {"x": number}) for i, number in enumerate(numbers)]
    with ChromaStore.open(SPEC, remote) as store:
        store.upsert(records)
        ours = store._table.rows.collection
        for operator in ("$eq", "$gt", "$gte", "$lt", "$lte", "$in"):
            for number in numbers:
                where = parse({"x": {operator: [number, "a"] if operator == "$in" else number}})
                down = pushed(where)
                expected = {record.id for record in records if matches(where, dict(record.metadata))}
                assert down.where is not None
                assert expected <= set(ours.get(where=down.where, include=[])["ids"]), (where, down)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"x": {"$lt": 1.5}}, {"x": {"$lte": 1.5 + 1.5 / 2**46}}),
        ({"x": {"$gt": 1.5}}, {"x": {"$gte": 1.5 - 1.5 / 2**46}}),
        ({"x": {"$gt": 1}}, {"x": {"$gt": 1}}),
        ({"x": {"$gt": 2**53}}, {"x": {"$gte": 2**53 - 2**7}}),
        ({"x": 0.1}, {"x": {"$eq": 0.1}}),
        ({"x": 2.0**53}, {"x": {"$eq": 2**53}}),
        ({"x": 2**60}, {"$and": [{"x": {"$gte": 2**60 - 2**14}}, {"x": {"$lte": 2**60 + 2**14}}]}),
        ({"x": {"$ne": 1}}, None),
        ({"x": {"$lt": 1.7e308}}, None),
        ({"x": 1, "y": "z"}, {"$and": [{"x": {"$eq": 1}}, {"y": {"$eq": "z"}}]}),
        ({"$or": [{"x": 1}, {"y": {"$exists": True}}]}, None),
        ({"x": {"$in": [1, 2, "a"]}}, {"$or": [{"x": {"$in": [1, 2]}}, {"x": {"$in": ["a"]}}]}),
        ({"$and": [{"x": {"$ne": 1}}, {"y": 2}]}, {"y": {"$eq": 2}}),
        ({"#x": 1}, None),
    ],
)
def test_what_chroma_is_asked_for(where: dict[str, Any], expected: dict[str, Any] | None) -> None:
    """Positive tests are handed down, loosened where Chroma compares in another way; the rest is evaluated here."""
    assert pushed(parse(where)).where == expected
    assert not pushed(parse(where)).nothing
    assert pushed(parse({"x": {"$in": []}})).nothing


def test_the_law_of_k_on_a_server(remote: ChromaConfig) -> None:
    """Also where the filter can not be handed down, and keeps out all that is near."""
    vectors = np.random.default_rng(5).normal(size=(600, 3)).astype(np.float32)
    vectors[:500] = vectors[:500] * 0.01 + np.array(ONE, dtype=np.float32)
    with ChromaStore.open(SPEC, remote) as store:
        store.upsert(RecordBatch([f"r{i}" for i in range(600)], vectors, None, [{"n": i} for i in range(600)]))
        for where, passing in (
            ({"n": {"$nin": list(range(500))}}, 100),
            ({"n": {"$gte": 597}}, 3),
            ({"n": {"$not": {"$lt": 599}}}, 1),
            (None, 600),
        ):
            for k in (1, 10, 700):
                assert len(store.query(ONE, k, where=where)[0]) == min(k, passing)


def test_a_server_that_was_restarted() -> None:
    """A handle goes on after its server was killed and started again; until then its calls are typed errors."""
    server = ChromaServer()
    try:
        with ChromaStore.open(SPEC, ChromaConfig(host="127.0.0.1", port=server.port)) as store:
            store.upsert([Record("a", "text", ONE, {"n": 1})])
            server.halt()
            for call in (lambda: store.query(ONE, 1), lambda: store.delete(["a"]), store.stats):
                with pytest.raises(StoreUnavailableError, match="start the server"):
                    call()
            server.kill()
            assert store.get(["a"], include_vectors=True) == [
                Record("a", "text", np.array(ONE, dtype=np.float32), {"n": 1})
            ]
    finally:
        server.stop()


def test_fields_that_two_clients_add_at_once(remote: ChromaConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are declared: whoever adds one reads again what is there, while nobody else may add."""
    with ChromaStore.open(SPEC, remote) as store:
        store.upsert([Record("a", "", ONE, {"x": 1})])
    described = Rows.describe
    asked = {name: SPEC.model_copy(update={"fields": {name: "int"}}) for name in ("x", "y")}
    other = threading.Thread(target=lambda: ChromaStore.open(asked["y"], remote).close())

    def between(rows: Rows, metadata: dict[str, str]) -> None:
        if other.ident is None:
            other.start()
            time.sleep(0.3)  # it has read the old description by now, and waits
        described(rows, metadata)

    monkeypatch.setattr(Rows, "describe", between)
    with ChromaStore.open(asked["x"], remote):
        other.join()
    assert sorted(ChromaStore.describe_collection(remote, "notes").fields) == ["x", "y"]

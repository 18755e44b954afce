"""TLS is libpq's, and its options arrive there: the tests' server has none, so a relay before it does."""

from __future__ import annotations

import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ctxkit_pgvector.config import PgvectorConfig
from ctxkit_pgvector.server import PostgresServer
from ctxkit_pgvector.store import PgvectorStore
from typing_extensions import Self

from ctxkit.errors import StoreUnavailableError
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import Record

SPEC = CollectionSpec(name="notes", dimension=3)
SSL_REQUEST = (8).to_bytes(4, "big") + (80_877_103).to_bytes(4, "big")


class TlsRelay:
    """Answers PostgreSQL's request for TLS, and hands on to a server what comes out of it.

    https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
    """

    def __init__(self, certificate: Path, key: Path, port: int) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._serve)]
        self.port = int(self._listener.getsockname()[1])
        self.secured = 0

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_details: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._relay, args=(client,)))
                self._threads[-1].start()

    def _relay(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self._target)) as server:
            if client.recv(len(SSL_REQUEST)) != SSL_REQUEST:
                return
            client.sendall(b"S")
            with self._context.wrap_socket(client, server_side=True) as secure:
                self.secured += 1
                while True:
                    readable = [secure] if secure.pending() else select.select([secure, server], [], [])[0]
                    for each in readable:
                        if not (data := each.recv(65_536)):
                            return
                        (server if each is secure else secure).sendall(data)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Return a certificate for localhost, signed by itself, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    subprocess.run([*command, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return certificate, key


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server without TLS."""
    started = PostgresServer()
    yield started
    started.stop()


def test_the_server_has_to_be_who_it_says(server: PostgresServer, tmp_path: Path) -> None:
    """verify-full lets in by the right authority and name only, and each refusal says which of them is wrong."""
    (tmp_path / "other").mkdir()
    certificate, key = make_certificate(tmp_path)
    unknown, _ = make_certificate(tmp_path / "other")
    given = {"sslmode": "verify-full", "host": "localhost", "hostaddr": "127.0.0.1", "gssencmode": "disable"}

    def at(port: int, authority: Path, **other: str) -> PgvectorConfig:
        parts: dict[str, Any] = {**given, "port": port, "sslrootcert": str(authority), **other}
        return PgvectorConfig.model_validate({"conninfo": psycopg.conninfo.make_conninfo(server.conninfo, **parts)})

    with TlsRelay(certificate, key, server.port) as relay:
        with PgvectorStore.open(SPEC, at(relay.port, certificate)) as store:
            store.upsert([Record("a", "", [1, 0, 0])])
            assert store.count() == 1
        assert relay.secured >= 2, "opening and calling went another way"
        for wrong, fix in (
            (at(relay.port, unknown), "sslrootcert"),
            (at(relay.port, certificate, host="db.example"), "correct host"),
            (at(relay.port, tmp_path / "none"), "sslrootcert"),
            (at(server.port, certificate), "sslmode"),
        ):
            with pytest.raises(StoreUnavailableError) as caught:
                PgvectorStore.open(SPEC, wrong)
            assert fix in str(caught.value.fix), str(caught.value)

"""A server that is killed, cut off, full, slow, exhausted or replaced: typed errors, bounded waits, nothing lost."""

from __future__ import annotations

import logging
import random
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ctxkit_pgvector.config import PgvectorConfig
from ctxkit_pgvector.server import PostgresServer
from ctxkit_pgvector.store import PgvectorStore
from psycopg import sql
from typing_extensions import Self

from ctxkit.errors import StoreClosedError, StoreError, StoreFullError, StoreLockedError, StoreUnavailableError
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import Record, RecordBatch

SPEC = CollectionSpec(name="notes", dimension=3)
ONE = [1.0, 0.0, 0.0]
HUSH = "hush-hush-password"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that may be killed and filled."""
    started = PostgresServer()
    yield started
    started.stop()


@pytest.fixture
def own(server: PostgresServer) -> PgvectorConfig:
    """A configuration with a schema of its own on that server."""
    return PgvectorConfig.model_validate({"conninfo": server.conninfo, "schema_name": f"test_{uuid.uuid4().hex}"})


def with_address(config: PgvectorConfig, **parts: str | int) -> PgvectorConfig:
    """Return the configuration with other parts of the address."""
    given = psycopg.conninfo.make_conninfo(config.conninfo.get_secret_value(), **parts)
    return PgvectorConfig.model_validate({**config.model_dump(), "conninfo": given})


@contextmanager
def beside(config: PgvectorConfig) -> Iterator[psycopg.Connection[Any]]:
    """Give a connection beside the store."""
    with psycopg.connect(config.conninfo.get_secret_value(), autocommit=True) as connection:
        yield connection


@contextmanager
def locked(store: PgvectorStore, config: PgvectorConfig) -> Iterator[psycopg.Connection[Any]]:
    """Lock the collection's table, so that every call on it has to wait."""
    table = sql.Identifier(config.schema_name, store.stats().details["table"])
    with beside(config) as connection, connection.transaction():
        connection.execute(sql.SQL("LOCK TABLE {}").format(table))
        yield connection


def batch_of(name: str, size: int = 5) -> list[Record]:
    """Return records that belong together."""
    return [Record(f"{name}.{i}", f"text {name}", ONE) for i in range(size)]


@pytest.mark.slow
def test_killed_and_restarted_under_load(own: PgvectorConfig, server: PostgresServer) -> None:
    """What was acknowledged is there, batches are whole, and the handle goes on without being opened again."""
    acknowledged: list[str] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def write(me: int, store: PgvectorStore) -> None:
        number = 0
        while not done.is_set():
            number += 1
            try:
                store.upsert(batch_of(f"{me}-{number}"))
            except StoreUnavailableError:
                continue
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test fails by it
                errors.append(error)
                return
            acknowledged.append(f"{me}-{number}")

    with PgvectorStore.open(SPEC, own) as store:
        threads = [threading.Thread(target=write, args=(me, store)) for me in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            before = len(acknowledged)
            deadline = time.monotonic() + 30
            while len(acknowledged) < before + 20 and time.monotonic() < deadline:
                time.sleep(0.01)
            server.kill()
        done.set()
        for thread in threads:
            thread.join()
        assert errors == []
        found = [record.id for record in store.scan()]
        assert len(found) == len(set(found))
        assert {f"{name}.{i}" for name in acknowledged for i in range(5)} <= set(found)
        assert len(found) % 5 == 0, "a batch was torn"
        assert len(acknowledged) >= 100


def test_a_restart_between_two_calls(own: PgvectorConfig, server: PostgresServer) -> None:
    """Connections of a server that was restarted are dead: calls and writes are made on new ones, unasked."""
    with PgvectorStore.open(SPEC, own) as store:
        store.upsert(batch_of("a"))
        server.kill()
        store.upsert(batch_of("b"))
        server.kill()
        assert store.count() == 10


def test_a_connection_cut_inside_a_batch(own: PgvectorConfig) -> None:
    """Nothing of the batch was committed, so it is written again, and stands there once."""
    with PgvectorStore.open(SPEC, own) as store:
        store.upsert(batch_of("a", 1))
        threads = []
        with locked(store, own), beside(own) as admin:
            for name, size in (("few", 3), ("many", 300)):
                threads.append(threading.Thread(target=store.upsert, args=(batch_of(name, size),)))
                threads[-1].start()
            ended = 0
            while ended < 2:
                ended += len(
                    admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'relation'"
                    ).fetchall()
                )
        for thread in threads:
            thread.join()
        assert store.count() == 304


class Relay:
    """Relays connections to a port; armed, it hands the word on to the server and cuts before the answer."""

    def __init__(self, port: int, word: bytes) -> None:
        self.armed = threading.Event()
        self._target = port
        self._word = word
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._begin(self._serve)
        return self

    def __exit__(self, *_details: object) -> None:
        self._cut(self._listener)
        for each in self._sockets:
            self._cut(each)
        for thread in self._threads:
            thread.join()
        for each in (self._listener, *self._sockets):
            each.close()

    def _begin(self, work: Callable[..., None], *given: object) -> None:
        self._threads.append(threading.Thread(target=work, args=given))
        self._threads[-1].start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [client, server]
                mute = threading.Event()
                self._begin(self._asked, client, server, mute)
                self._begin(self._answered, server, client, mute)

    def _asked(self, client: socket.socket, server: socket.socket, mute: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65_536):
                if self.armed.is_set() and self._word in data:
                    self.armed.clear()
                    mute.set()
                server.sendall(data)
        self._cut(server)

    def _answered(self, server: socket.socket, client: socket.socket, mute: threading.Event) -> None:
        with suppress(OSError):
            while (data := server.recv(65_536)) and not mute.is_set():
                client.sendall(data)
        self._cut(client)

    def _cut(self, each: socket.socket) -> None:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def test_a_connection_cut_while_committing(own: PgvectorConfig, server: PostgresServer) -> None:
    """Nobody can know whether the batch is there: the error says so, and writing it again changes nothing."""
    with (
        Relay(server.port, b"COMMIT") as relay,
        PgvectorStore.open(SPEC, with_address(own, port=relay.port)) as store,
    ):
        store.upsert(batch_of("a"))
        relay.armed.set()
        with pytest.raises(StoreUnavailableError, match=r"committed.*write the batch again"):
            store.upsert(batch_of("b"))
        assert store.count() == 10
        store.upsert(batch_of("b"))
        assert store.count() == 10


def test_an_exhausted_pool(own: PgvectorConfig) -> None:
    """A call waits for a connection no longer than `pool_timeout`, and says what to raise."""
    small = own.model_copy(update={"pool_size": 1, "pool_timeout": 0.5})
    with PgvectorStore.open(SPEC, small) as store:
        with locked(store, own):
            waiting = threading.Thread(target=store.count)
            waiting.start()
            start = time.monotonic()
            with beside(own) as admin:
                while not admin.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'relation'").fetchall():
                    time.sleep(0.01)
            with pytest.raises(StoreUnavailableError, match="pool_size"):
                store.upsert(batch_of("a"))
            assert time.monotonic() - start < 20
        waiting.join()
        assert store.count() == 0


def test_a_slow_statement_and_a_long_lock(own: PgvectorConfig) -> None:
    """Each of the two limits ends the call with an error that names it; the handle works on."""
    for limits, kind, word in (
        ({"statement_timeout": 0.2}, StoreUnavailableError, "statement_timeout"),
        ({"lock_timeout": 0.2}, StoreLockedError, "lock_timeout"),
    ):
        with PgvectorStore.open(SPEC, own.model_copy(update=limits)) as store:
            with locked(store, own):
                for call in (store.count, lambda: store.upsert(batch_of("a"))):
                    with pytest.raises(kind, match=word):
                        call()
            store.upsert(batch_of("a"))
            assert store.count() == 5


def test_a_full_disk(own: PgvectorConfig, server: PostgresServer) -> None:
    """A write for which there is no room is refused whole, reads go on, and with room writing goes on."""
    chance = random.Random(0)  # noqa: S311 - what no compression makes smaller
    large = [Record(f"b{i}", chance.randbytes(20_000).hex(), ONE) for i in range(120)]
    with PgvectorStore.open(SPEC, own) as store:
        store.upsert(batch_of("a"))
        with server.full():
            with pytest.raises(StoreFullError, match="make room"):
                store.upsert(large)
            assert store.count() == 5
            assert len(store.query(ONE, 9)[0]) == 5
        store.upsert(large)
        assert store.count() == 125


def test_a_limit_on_temporary_files(own: PgvectorConfig) -> None:
    """What needs more temporary room than the server allows is a typed error, too."""
    with PgvectorStore.open(SPEC, own) as store, beside(own) as admin:
        store.upsert(RecordBatch([f"{i:05d}" for i in range(3000)], [ONE] * 3000, ["x" * 300] * 3000))
        admin.execute("ALTER ROLE postgres SET work_mem = '64kB'; ALTER ROLE postgres SET temp_file_limit = '1kB'")
        try:
            with PgvectorStore.open(SPEC, own) as other, pytest.raises(StoreFullError, match="temp_file_limit"):
                list(other.scan(order_by="unknown"))
        finally:
            admin.execute("ALTER ROLE postgres RESET work_mem; ALTER ROLE postgres RESET temp_file_limit")


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_server_that_is_down(own: PgvectorConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error at once, which says where and what to do, and tells no password."""
    monkeypatch.setenv("PGPASSWORD", HUSH)
    away = with_address(own, port=free_port())
    for call in (lambda: PgvectorStore.open(SPEC, away), lambda: PgvectorStore.list_collections(away)):
        with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1:\d+.*start the server") as caught:
            call()
        assert HUSH not in f"{caught.value} {caught.value.__cause__}"


def test_a_server_that_stays_down(own: PgvectorConfig, server: PostgresServer) -> None:
    """An open handle tries for `pool_timeout`, then there is an error; when the server is back, it works on."""
    with PgvectorStore.open(SPEC, own.model_copy(update={"pool_timeout": 1.0})) as store:
        store.upsert(batch_of("a"))
        server.halt()
        try:
            start = time.monotonic()
            for call in (store.count, lambda: store.upsert(batch_of("b"))):
                with pytest.raises(StoreUnavailableError):
                    call()
            assert time.monotonic() - start < 30
        finally:
            server.start()
        store.upsert(batch_of("b"))
        assert store.count() == 10


def test_a_server_that_speaks_no_tls(own: PgvectorConfig) -> None:
    """Who asks for TLS gets no connection without it."""
    with pytest.raises(StoreUnavailableError, match=r"(?i)ssl.*switch TLS on"):
        PgvectorStore.open(SPEC, with_address(own, sslmode="require"))


def test_a_server_that_takes_no_writes(own: PgvectorConfig) -> None:
    """A replica can be read; a write on it names the way to the server that takes it."""
    PgvectorStore.open(SPEC, own).close()
    replica = with_address(own, options="-c default_transaction_read_only=on")
    with PgvectorStore.open(SPEC, replica) as store:
        assert (store.count(), store.query(ONE, 1)[0].ids, list(store.scan())) == (0, [], [])
        with pytest.raises(StoreUnavailableError, match="target_session_attrs=read-write"):
            store.upsert(batch_of("a"))


def test_several_hosts(own: PgvectorConfig, server: PostgresServer) -> None:
    """The first address is dead, and the second is used."""
    both = with_address(own, host="127.0.0.1,127.0.0.1", port=f"{free_port()},{server.port}")
    with PgvectorStore.open(SPEC, both) as store:
        store.upsert(batch_of("a"))
        assert store.count() == 5


@pytest.fixture
def guarded_role(own: PgvectorConfig, server: PostgresServer) -> Iterator[PgvectorConfig]:
    """A role that needs a password."""
    rules = server.data / "pg_hba.conf"
    before = rules.read_text("utf-8")
    rules.write_text(f"host all guarded 127.0.0.1/32 scram-sha-256\n{before}", "utf-8")
    with beside(own) as admin:
        admin.execute(f"CREATE ROLE guarded SUPERUSER LOGIN PASSWORD '{HUSH}'")
        admin.execute("SELECT pg_reload_conf()")
        yield with_address(own, user="guarded")
        rules.write_text(before, "utf-8")
        admin.execute("SELECT pg_reload_conf()")
        admin.execute("ALTER ROLE guarded NOLOGIN")


def test_passwords(
    guarded_role: PgvectorConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """One from the environment or a service file lets in; a wrong one is in no error, no log and no representation."""
    caplog.set_level(logging.DEBUG)
    wrong = f"wrong-{HUSH}"
    deadline = time.monotonic() + 10
    monkeypatch.setenv("PGPASSWORD", wrong)
    while True:
        with pytest.raises(StoreError, match="password") as caught:
            PgvectorStore.open(SPEC, guarded_role)
        if "authentication failed" in str(caught.value) or time.monotonic() > deadline:
            break
    assert "PGPASSWORD" in str(caught.value.fix)
    shown = [str(caught.value), repr(caught.value), str(caught.value.__cause__)]
    monkeypatch.setenv("PGPASSWORD", HUSH)
    with PgvectorStore.open(SPEC, guarded_role) as store:
        store.upsert(batch_of("a"))
        shown += [repr(store), str(store.stats())]
        monkeypatch.setenv("PGPASSWORD", wrong)
        with beside(with_address(guarded_role, password=HUSH)) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ctxkit'")
    monkeypatch.delenv("PGPASSWORD")
    services = tmp_path / "services.conf"
    parts = psycopg.conninfo.conninfo_to_dict(guarded_role.conninfo.get_secret_value(), password=HUSH)
    services.write_text("[app]\n" + "".join(f"{name}={value}\n" for name, value in parts.items()), "utf-8")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    by_service = PgvectorConfig.model_validate({**guarded_role.model_dump(), "conninfo": "service=app"})
    with PgvectorStore.open(SPEC, by_service) as store:
        assert store.count() == 5
        shown += [repr(store), repr(by_service)]
    assert HUSH not in " ".join([*shown, caplog.text])


@pytest.mark.slow
def test_a_failover(own: PgvectorConfig, server: PostgresServer) -> None:
    """The primary dies and a standby takes over: an open handle goes on there with everything acknowledged."""
    with beside(own) as admin:
        admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        admin.execute("ALTER SYSTEM SET synchronous_commit = 'remote_apply'")  # what is acknowledged can be read there
        rules = server.data / "pg_hba.conf"
        rules.write_text(f"{rules.read_text('utf-8')}\nhost replication all 127.0.0.1/32 trust\n", "utf-8")
        admin.execute("SELECT pg_reload_conf()")
        primary = PostgresServer(copy_of=server)
    try:
        both = with_address(
            own, host="127.0.0.1,127.0.0.1", port=f"{server.port},{primary.port}", target_session_attrs="read-write"
        )
        with PgvectorStore.open(SPEC, both) as store:
            for number in range(20):
                store.upsert(batch_of(f"before{number}"))
            with PgvectorStore.open(SPEC, with_address(own, port=primary.port)) as standby:
                assert (standby.count(), standby.version(), (store.version() or 0) % 2**42) == (100, None, 20)
                with pytest.raises(StoreUnavailableError, match="target_session_attrs"):
                    standby.upsert(batch_of("wrong"))
            server.halt()
            primary.promote()
            with beside(with_address(own, port=primary.port)) as admin:
                admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
                admin.execute("SELECT pg_reload_conf()")
            for number in range(20):
                store.upsert(batch_of(f"after{number}"))
            assert store.count() == 200
            assert "PostgreSQL at" in repr(store)
    finally:
        primary.stop()
        (server.data / "postgresql.auto.conf").write_text("", "utf-8")
        server.start()


@pytest.mark.slow
def test_the_server_of_the_tests_ends_with_them() -> None:
    """Killed tests leave neither a process nor a folder behind."""
    code = (
        "import time; from ctxkit_pgvector.server import PostgresServer\n"
        "server = PostgresServer(); print(server.data, *server.processes, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        data, *processes = started.stdout.readline().split()
        assert processes
        started.kill()
    deadline = time.monotonic() + 30
    left = [Path(data).parent, *(Path("/proc", process) for process in processes)]
    while any(path.exists() for path in left) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [path for path in left if path.exists()] == []


def test_closing_while_others_call(own: PgvectorConfig) -> None:
    """A handle that is closed under its callers gives answers or StoreClosedError, and nothing else."""
    store = PgvectorStore.open(SPEC, own)
    store.upsert(batch_of("a"))
    wrong: list[BaseException] = []

    def call(what: Callable[[], object]) -> None:
        while True:
            try:
                what()
            except StoreClosedError:
                return
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test fails by it
                wrong.append(error)
                return

    calls = (store.count, lambda: store.upsert(batch_of("b")), lambda: list(store.scan()))
    threads = [threading.Thread(target=call, args=(what,)) for what in calls]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    store.close()
    for thread in threads:
        thread.join()
    assert wrong == []

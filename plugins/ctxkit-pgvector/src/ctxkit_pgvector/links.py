"""The connections of one synchronous handle: a pool for calls, another for scans, and what is tried again."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

import psycopg
from psycopg_pool import ConnectionPool

from ctxkit_pgvector.config import PgvectorConfig
from ctxkit_pgvector.faults import RAISED, TRY_AGAIN, Scene, guarded, is_lost
from ctxkit_pgvector.plan import Plan, drive
from ctxkit_pgvector.session import arguments, pool_options, settings

ResultT = TypeVar("ResultT")
_TRIES: Final = 20
_PAUSE: Final = 0.05  # seconds at most before what was in another's way is tried again
_POLL: Final = 0.02  # seconds between two looks at a lock
_INHERITED: Final[list[object]] = []  # pools of a parent process: its connections are not ours to close


class Patience:
    """Whether, and how soon, a call that failed may be made again: only where nothing of it can have been done."""

    def __init__(self, config: PgvectorConfig) -> None:
        self._deadline = time.monotonic() + config.pool_timeout
        self._tries = 0
        self.committing = False

    @property
    def left(self) -> float:
        """How many seconds are left to get a connection."""
        return max(self._deadline - time.monotonic(), 0.1)

    def pause(self, error: BaseException, scene: Scene) -> float:
        """Return how many seconds to wait before the next attempt, or raise what the failure means."""
        self._tries += 1
        if self.committing and is_lost(error):
            fix = "write the batch again, which changes nothing where it is there, or read what is there."
            raise scene.unavailable(f"the connection broke while the write was being committed: {error}", fix)
        if isinstance(error, TRY_AGAIN) and self._tries < _TRIES:
            return random.uniform(0, _PAUSE)  # noqa: S311 - to be out of step, not to be secret
        if is_lost(error) and time.monotonic() < self._deadline:
            return 0.01
        raise error


def connect_once(config: PgvectorConfig, scene: Scene, plan: Plan[ResultT], path: str | None = None) -> ResultT:
    """Follow a plan on a connection of its own: in a transaction, or, with the path given, statement by statement."""
    with guarded(scene), psycopg.connect(**arguments(config)) as connection:
        if path is None:
            connection.execute(*settings(config))
            with connection.transaction():
                return drive(connection, plan)
        connection.execute(*settings(config, path, patient=True))
        return drive(connection, plan)


class Links:
    """The connections of one handle. A forked process makes its own."""

    def __init__(self, config: PgvectorConfig, scene: Scene, path: str) -> None:
        self._config = config
        self.scene = scene
        self.path = path
        self._closed = False
        self._renew()

    def _renew(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._pools: dict[str, ConnectionPool[Any]] = {}

    def _renew_after_fork(self) -> None:
        if self._process != os.getpid():
            _INHERITED.append(self._pools)
            self._renew()

    def check(self) -> None:
        """Raise where the handle was closed."""
        if self._closed:
            raise self.scene.closed()

    def read(self, plan: Callable[[], Plan[ResultT]]) -> ResultT:
        """Follow a plan that changes nothing."""
        return self._run(plan, writing=False)

    def write(self, plan: Callable[[], Plan[ResultT]]) -> ResultT:
        """Follow a plan in a transaction."""
        return self._run(plan, writing=True)

    def _run(self, plan: Callable[[], Plan[ResultT]], *, writing: bool) -> ResultT:
        self.check()
        patience = Patience(self._config)
        while True:
            try:
                return self._once(plan, patience, writing=writing)
            except RAISED as error:
                with guarded(self.scene):
                    time.sleep(patience.pause(error, self.scene))

    def _once(self, plan: Callable[[], Plan[ResultT]], patience: Patience, *, writing: bool) -> ResultT:
        patience.committing = False
        pool = self._pool("calls")
        connection = pool.getconn(patience.left)
        try:
            if not writing:
                return drive(connection, plan())
            with connection.transaction():
                result = drive(connection, plan())
                patience.committing = True
            return result
        finally:
            pool.putconn(connection)

    @contextmanager
    def scanning(self) -> Iterator[psycopg.Connection[Any]]:
        """Give a connection that may be kept for long, apart from those of the calls, in a transaction."""
        self.check()
        with self._pool("scans").connection() as connection, connection.transaction():
            yield connection

    @contextmanager
    def lease(self, name: str, patience: float) -> Iterator[bool]:
        """Hold an advisory lock, which PostgreSQL takes back when the connection ends; gives False when it is late.

        https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
        """
        self.check()
        deadline = time.monotonic() + patience
        with guarded(self.scene), psycopg.connect(**arguments(self._config)) as connection:
            while not (taken := self._taken(connection, name)) and time.monotonic() < deadline:
                time.sleep(_POLL)
            try:
                yield taken
            finally:
                # The server takes a moment to see that a connection has ended; who asks next shall not wait for it.
                with suppress(psycopg.Error):
                    connection.execute("SELECT pg_advisory_unlock_all()")

    def _taken(self, connection: psycopg.Connection[Any], name: str) -> bool:
        statement = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
        row = connection.execute(statement, (f"{self._config.schema_name}.{self.scene.collection} {name}",)).fetchone()
        return bool(row and row[0])

    def _pool(self, kind: str) -> ConnectionPool[Any]:
        self._renew_after_fork()
        with self._lock:
            self.check()
            if kind not in self._pools:
                self._pools[kind] = self._made()
            return self._pools[kind]

    def _made(self) -> ConnectionPool[Any]:
        statement, values = settings(self._config, self.path)

        def configure(connection: psycopg.Connection[Any]) -> None:
            connection.execute(statement, values)

        return ConnectionPool(configure=configure, open=True, **pool_options(self._config))

    def close(self) -> None:
        """End the connections; those in use end as soon as they are given back."""
        self._renew_after_fork()
        with self._lock:
            self._closed = True
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()

"""The connections of one asynchronous handle, which belong to the loop in which it was opened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool

from ctxkit_pgvector.config import PgvectorConfig
from ctxkit_pgvector.faults import RAISED, Scene, guarded
from ctxkit_pgvector.links import Patience
from ctxkit_pgvector.plan import Plan, drive_async
from ctxkit_pgvector.session import arguments, pool_options, settings

ResultT = TypeVar("ResultT")


async def connect_once(config: PgvectorConfig, scene: Scene, plan: Plan[ResultT], path: str | None = None) -> ResultT:
    """Follow a plan on a connection of its own: in a transaction, or, with the path given, statement by statement."""
    with guarded(scene):
        async with await psycopg.AsyncConnection.connect(**arguments(config)) as connection:
            if path is None:
                await connection.execute(*settings(config))
                async with connection.transaction():
                    return await drive_async(connection, plan)
            await connection.execute(*settings(config, path, patient=True))
            return await drive_async(connection, plan)


class AsyncLinks:
    """The connections of one handle; `close` waits for the calls under way."""

    def __init__(self, config: PgvectorConfig, scene: Scene, path: str) -> None:
        self._config = config
        self.scene = scene
        self.path = path
        self._pools: dict[str, AsyncConnectionPool[Any]] = {}
        self._closed = False
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def check(self) -> None:
        """Raise where the handle was closed."""
        if self._closed:
            raise self.scene.closed()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Count a call as under way, and give its errors their types."""
        self.check()
        self._running += 1
        self._idle.clear()
        try:
            with guarded(self.scene):
                yield
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def run(self, plan: Callable[[], Plan[ResultT]], *, writing: bool = False) -> ResultT:
        """Follow a plan, one that writes in a transaction."""
        async with self.working():
            patience = Patience(self._config)
            while True:
                patience.committing = False
                try:
                    async with (await self._pool("calls")).connection(patience.left) as connection:
                        if not writing:
                            return await drive_async(connection, plan())
                        async with connection.transaction():
                            result = await drive_async(connection, plan())
                            patience.committing = True
                        return result
                except RAISED as error:
                    await asyncio.sleep(patience.pause(error, self.scene))

    @asynccontextmanager
    async def scanning(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """Give a connection that may be kept for long, apart from those of the calls, in a transaction."""
        self.check()
        async with (await self._pool("scans")).connection() as connection, connection.transaction():
            yield connection

    async def _pool(self, kind: str) -> AsyncConnectionPool[Any]:
        if kind not in self._pools:
            self._pools[kind] = self._made()
        pool = self._pools[kind]
        await pool.open()  # does nothing where it is open
        return pool

    def _made(self) -> AsyncConnectionPool[Any]:
        statement, values = settings(self._config, self.path)

        async def configure(connection: psycopg.AsyncConnection[Any]) -> None:
            await connection.execute(statement, values)

        return AsyncConnectionPool(configure=configure, open=False, **pool_options(self._config))

    async def close(self) -> None:
        """Refuse further calls, wait for those under way, then end the connections."""
        self._closed = True
        await self._idle.wait()
        while self._pools:
            _, pool = self._pools.popitem()
            await pool.close()

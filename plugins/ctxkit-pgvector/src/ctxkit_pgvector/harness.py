"""How the conformance suite reaches into PostgreSQL, and the configurations worth a run of their own."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import psycopg
from psycopg import sql

from ctxkit.interfaces import BackendConfig, Harness
from ctxkit.records import Record
from ctxkit_pgvector.codec import loaded, read, unpacked
from ctxkit_pgvector.config import PgvectorConfig
from ctxkit_pgvector.server import PostgresServer

ELSEWHERE: Final = "CTXKIT_TEST_POSTGRES"


class PgvectorHarness(Harness):
    """A server on loopback, started for the run, or the one that CTXKIT_TEST_POSTGRES or `conninfo` names.

    Two checks share nothing because each has a schema of its own. Where the suite kills, it kills the server too; that,
    and a full disk, only on a server that it has started.
    """

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "": {},
        "HNSW": {"exact_below": 0},
        "exact": {"index": "none"},
    }

    def __init__(self, config_class: type[BackendConfig], options: Mapping[str, Any]) -> None:
        super().__init__(config_class, options)
        self._server: PostgresServer | None = None

    def fresh(self, folder: Path) -> PgvectorConfig:  # noqa: ARG002 - a server keeps nothing in a folder
        """Return a configuration with a schema of its own."""
        return PgvectorConfig.model_validate(
            {"conninfo": self._conninfo(), **self.options, "schema_name": f"check_{uuid.uuid4().hex}"}
        )

    def _conninfo(self) -> str:
        given = self.options.get("conninfo") or os.environ.get(ELSEWHERE)
        if given:
            return str(given)
        if self._server is None:
            self._server = PostgresServer()
        return self._server.conninfo

    def raw(self, config: BackendConfig, collection: str) -> Mapping[str, Record]:
        """Return the records as psycopg alone reads them."""
        assert isinstance(config, PgvectorConfig)  # noqa: S101 - the harness is the store's own
        schema = sql.Identifier(config.schema_name)
        with psycopg.connect(config.conninfo.get_secret_value()) as connection:
            found = connection.execute(
                sql.SQL("SELECT number FROM {}.collections WHERE name = %s").format(schema), (collection,)
            ).fetchone()
            rows = connection.execute(
                sql.SQL(
                    "SELECT id, text, metadata::text, embedding::real[], exact, vector_dims(embedding) FROM {}.{}"
                ).format(schema, sql.Identifier(f"records_{found and found[0]}")),
                binary=True,
            ).fetchall()
        return {
            read(row[0]): Record(
                read(row[0]), read(row[1]), unpacked([row[4]], row[5])[0] if row[4] else row[3], loaded([row[2]])[0]
            )
            for row in rows
        }

    def kill(self) -> None:
        """Kill the server and start it again on what is left."""
        self._own_server("kill").kill()

    @contextmanager
    def full_disk(self, config: BackendConfig) -> Iterator[None]:
        """Let no file grow beyond a limit, for every session of the server."""
        with self._own_server("full_disk", config).full():
            yield

    def _own_server(self, name: str, *arguments: object) -> PostgresServer:
        if self._server is None:
            self._lacking(name, *arguments)
        return self._server

    def newer_format(self, config: BackendConfig, collection: str) -> None:
        """Raise the version of the collection."""
        assert isinstance(config, PgvectorConfig)  # noqa: S101 - as above
        with psycopg.connect(config.conninfo.get_secret_value()) as connection:
            connection.execute(
                sql.SQL("UPDATE {}.collections SET format = format + 1 WHERE name = %s").format(
                    sql.Identifier(config.schema_name)
                ),
                (collection,),
            )

    def close(self) -> None:
        """Stop the server."""
        if self._server is not None:
            self._server.stop()
            self._server = None

"""One connection: where it goes, what is set on it, and how it is made."""

from __future__ import annotations

import math
import os
from typing import Any, Final

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Dumper
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo, Format

from ctxkit.errors import ConfigError
from ctxkit_pgvector.config import PgvectorConfig
from ctxkit_pgvector.faults import BACKEND, Scene

# How soon a silent network is noticed: https://www.postgresql.org/docs/current/libpq-connect.html
_ALIVE: Final = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
_SETTINGS: Final = (
    "SELECT set_config('search_path', %s, false), set_config('statement_timeout', %s, false),"
    " set_config('lock_timeout', %s, false), set_config('jit', 'off', false),"
    " set_config('default_transaction_isolation', 'read committed', false),"
    # What is acknowledged has to be on disk, whatever the role's default is.
    " set_config('synchronous_commit',"
    " CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END,"
    " false),"
    " set_config('hnsw.iterative_scan', 'relaxed_order', false), set_config('hnsw.ef_search', %s, false),"
    " set_config('hnsw.max_scan_tuples', %s, false),"
    # Once a large value was freed, the allocator of glibc keeps what searches free, where it gave it back to the system
    # after each and asked for it again: 7 % of a search's time. https://man7.org/linux/man-pages/man3/mallopt.3.html
    " octet_length(repeat('x', 4194304))"
)
# Options that libpq itself shows nobody, and the variables that stand for them: passwords and keys.
_SECRET: Final = {
    option.keyword.decode(): (option.envvar or b"").decode()
    for option in Conninfo.get_defaults()
    if option.dispchar == b"*"
}
_PATH: Final = 'pg_catalog, "$user", public'  # until it is known where pgvector is


class PackedVector(bytes):
    """A vector in pgvector's binary form, as a parameter."""

    __slots__ = ()


class _VectorDumper(Dumper):
    """Hands a vector over as it is; the cast in the statement names its type."""

    format = Format.BINARY

    def dump(self, obj: Any) -> Buffer:
        """Return the bytes."""
        return bytes(obj)


def _adapters() -> AdaptersMap:
    made = AdaptersMap(psycopg.adapters)
    made.register_dumper(PackedVector, _VectorDumper)
    return made


_ADAPTERS: Final = _adapters()


def scene_of(config: PgvectorConfig, collection: str | None = None) -> Scene:
    """Return where errors happen: the server's address without what is secret."""
    given = _given(config)
    secrets = {str(given.get(name, "")) for name in _SECRET} | {os.environ.get(name, "") for name in _SECRET.values()}
    service = given.get("service") or os.environ.get("PGSERVICE")
    host = given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST") or "the local socket"
    port = given.get("port") or os.environ.get("PGPORT") or "5432"
    where = f"PostgreSQL by the service {service}" if service else f"PostgreSQL at {host}:{port}"
    return Scene(f"{where}, schema {config.schema_name!r}", collection, tuple(secrets - {""}))


def arguments(config: PgvectorConfig) -> dict[str, Any]:
    """Return what to connect with."""
    usual = {**_ALIVE, "application_name": "ctxkit", "connect_timeout": max(2, math.ceil(config.pool_timeout))}
    made = {name: value for name, value in {**usual, **_given(config)}.items() if value is not None}
    return {
        **made,
        "client_encoding": "UTF8",
        "autocommit": True,
        "context": _ADAPTERS,
        "prepare_threshold": 5 if config.prepare else None,
    }


def pool_options(config: PgvectorConfig) -> dict[str, Any]:
    """Return how a pool of connections behaves: it holds none that nobody has needed, and gives up when calls do."""
    return {
        "kwargs": arguments(config),
        "min_size": 0,
        "max_size": config.pool_size,
        "timeout": config.pool_timeout,
        "reconnect_timeout": config.pool_timeout,
        "num_workers": 1,
    }


def _given(config: PgvectorConfig) -> dict[str, Any]:
    """Return the parts of the configured address; what is wrong with it is told without showing it."""
    try:
        return dict(conninfo_to_dict(config.conninfo.get_secret_value()))
    except psycopg.ProgrammingError:
        pass
    raise ConfigError(
        "conninfo is no connection string of libpq.",
        fix="write 'host=... dbname=...' with quotes around values that have spaces, or postgresql://host/dbname.",
        backend=BACKEND,
    )


def settings(config: PgvectorConfig, path: str = _PATH, *, patient: bool = False) -> tuple[str, tuple[str, ...]]:
    """Return the statement that prepares a session, and its values; a patient one may take its time."""
    time = "0" if patient else _milliseconds(config.statement_timeout)
    return _SETTINGS, (
        path,
        time,
        _milliseconds(config.lock_timeout),
        str(config.ef_search),
        str(config.max_scan_tuples),
    )


def _milliseconds(seconds: float) -> str:
    return str(math.ceil(1000 * seconds))

"""What a user can set on the PostgreSQL store."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, SecretStr

from ctxkit.interfaces import BackendConfig, Capabilities
from ctxkit_pgvector.capabilities import Index, pgvector_capabilities

_LONGEST = 63  # bytes of a name, which PostgreSQL would cut


def _schema(name: str) -> str:
    """Return a schema's name if PostgreSQL takes it as it is."""
    if len(name.encode()) > _LONGEST:
        msg = f"a name has at most {_LONGEST} bytes in UTF-8"
        raise ValueError(msg)
    if "\0" in name or name == "$user" or name.startswith("pg_"):
        raise ValueError("PostgreSQL gives names with NUL, '$user' and names that begin with 'pg_' to no schema")
    return name


class PgvectorConfig(BackendConfig):
    """Where the server is, how long to wait for it, and how vectors are found.

    `conninfo` is what libpq understands: `host=db dbname=app`, `service=app`, or an address `postgresql://...`, with
    several hosts and `target_session_attrs` for a failover. It is never shown, as it may hold a password; one from
    PGPASSWORD, a password file or a service file is better. What it leaves out libpq takes from the environment.
    Each collection is a table in the schema `schema_name`.

    `pool_size` is how many connections a handle uses at once, with as many again for scans; `pool_timeout` seconds a
    call waits for one, which is also how long it tries to reach a server that is gone. A statement that runs for
    `statement_timeout` seconds, or waits `lock_timeout` for a lock, is given up; 0 is no limit. `prepare` False is for
    a connection pooler that hands each transaction to another connection.

    `index` "hnsw" finds the nearest by a graph of `m` links a vector, made with `ef_construction` candidates and
    searched with `ef_search`, and exactly in collections of less than `exact_below` records; "none" always exactly.
    Where a filter leaves the graph too few within `max_scan_tuples` visited vectors, the search is made exactly.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    conninfo: SecretStr = SecretStr("")
    schema_name: Annotated[str, AfterValidator(_schema)] = Field(default="ctxkit", min_length=1)
    pool_size: int = Field(default=8, ge=1, le=1000)
    pool_timeout: float = Field(default=15.0, gt=0, le=86_400, allow_inf_nan=False)
    statement_timeout: float = Field(default=60.0, ge=0, le=86_400, allow_inf_nan=False)
    lock_timeout: float = Field(default=15.0, ge=0, le=86_400, allow_inf_nan=False)
    prepare: bool = True
    index: Index = "hnsw"
    m: int = Field(default=16, ge=2, le=100)
    ef_construction: int = Field(default=64, ge=4, le=1000)
    ef_search: int = Field(default=64, ge=1, le=1000)
    max_scan_tuples: int = Field(default=20_000, ge=1, le=2_000_000_000)
    exact_below: int = Field(default=5000, ge=0, le=10_000_000)

    def capabilities(self) -> Capabilities:
        """Return what a store can do under this configuration: a graph is not exact."""
        return pgvector_capabilities(self.index)

"""What a user can set on the Chroma store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr, field_validator, model_validator
from typing_extensions import Self

from ctxkit.interfaces import BackendConfig, Capabilities
from ctxkit_chroma.capabilities import Mode, chroma_capabilities

_TENANT: Final = "default_tenant"  # Chroma's own names
_DATABASE: Final = "default_database"


class ChromaConfig(BackendConfig):
    """Where Chroma is, and how its graph is made.

    `path` a directory: Chroma embedded in this process. `host`: a server of `chroma run`, with `port`, `ssl`,
    `ssl_verify` (False, or the file of a certificate authority), `headers`, `token` (sent as `Authorization: Bearer`),
    `tenant`, `database`, and `timeout` seconds for each answer. Neither: in memory, for as long as the handle.

    `m`, `ef_construction`, `ef_search` shape a new collection's HNSW graph; `sync_threshold` is after how many writes
    it goes to disk. `lock_timeout` is how many seconds an opener waits for another process to close the directory.
    """

    path: Path | None = None
    host: str | None = Field(default=None, min_length=1)
    port: int = Field(default=8000, ge=1, le=65_535)
    ssl: bool = False
    ssl_verify: bool | Path = True
    headers: Mapping[str, SecretStr] = Field(default_factory=dict)
    token: SecretStr | None = None
    tenant: str = Field(default=_TENANT, min_length=1)
    database: str = Field(default=_DATABASE, min_length=1)
    timeout: float = Field(default=30.0, gt=0, le=86_400, allow_inf_nan=False)
    lock_timeout: float = Field(default=0.0, ge=0, le=86_400, allow_inf_nan=False)
    m: int = Field(default=16, ge=2, le=512)
    ef_construction: int = Field(default=100, ge=1, le=10_000)
    ef_search: int = Field(default=100, ge=1, le=100_000)
    sync_threshold: int = Field(default=1000, ge=2, le=10_000_000)

    @field_validator("host")
    @classmethod
    def _plain_host(cls, host: str | None) -> str | None:
        if host is not None and (set("/@?#") & set(host) or not host.isprintable()):
            raise ValueError("a host is a name or an address; the rest belongs in port, ssl, token and headers")
        return host

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.path is not None and self.host is not None:
            raise ValueError("path and host name two places; set one of them")
        if self.host is None and (self.token is not None or self.headers):
            raise ValueError("token and headers are for a server; set host, or leave them out")
        if self.host is None and (self.tenant, self.database) != (_TENANT, _DATABASE):
            raise ValueError("tenant and database are a server's; set host, or leave them out")
        if self.token is not None and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("token and headers both set Authorization; set one of them")
        return self

    @property
    def mode(self) -> Mode:
        """Which of its three ways Chroma is used."""
        if self.host is not None:
            return "server"
        return "memory" if self.path is None else "embedded"

    def secret_headers(self) -> dict[str, str]:
        """Return what is sent with each request, in clear text: for the client alone."""
        sent = {name: value.get_secret_value() for name, value in self.headers.items()}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token.get_secret_value()}"
        return sent

    def capabilities(self) -> Capabilities:
        """Return what a store can do under this configuration."""
        return chroma_capabilities(self.mode)

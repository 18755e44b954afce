"""Starting and stopping Chroma, in one of its three modes.

Chroma's own constructors share one system per process and path, whoever asks for it; closing ours would stop theirs.
So each site has a system of its own. Telemetry is off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import chromadb
from chromadb.api import ServerAPI
from chromadb.api.models.Collection import Collection
from chromadb.config import Settings, System
from chromadb.errors import NotFoundError

from ctxkit.errors import ConfigError
from ctxkit_chroma.config import ChromaConfig
from ctxkit_chroma.wire import Wire, is_direct

VERSION: Final[str] = chromadb.__version__
_EMBEDDED: Final = "chromadb.api.rust.RustBindingsAPI"
_REMOTE: Final = "chromadb.api.fastapi.FastAPI"
_LISTS_SINCE: Final = (1, 5)
_PAGE: Final = 1000


class Client:
    """One running Chroma, or a connection to one. Its methods raise what Chroma raises."""

    def __init__(self, config: ChromaConfig) -> None:
        self._config = config
        if isinstance(config.ssl_verify, Path) and not config.ssl_verify.is_file():
            raise ConfigError(
                f"there is no file {config.ssl_verify}, which ssl_verify names.",
                fix="name the file of a certificate authority, or leave ssl_verify out.",
                backend="chroma",
            )
        self._system = System(_settings(config))
        self._api: Any = self._system.instance(ServerAPI)
        self._place = {"tenant": config.tenant, "database": config.database}
        self.version = VERSION
        self.max_batch: int | None = None
        self._wire: Wire | None = None
        if config.host is not None:
            session = self._api._session  # noqa: SLF001 - there are no settings for it
            session.timeout = config.timeout
            if not config.ssl and is_direct(config.host):
                self._wire = Wire(session, config.timeout)
        self._system.start()
        try:
            if config.mode == "server":
                self._greet()
        except BaseException:
            self.stop()
            raise
        self.has_lists = _numbers(VERSION) >= _LISTS_SINCE and config.mode != "server"

    def _greet(self) -> None:
        """Ask the server what it is, which fails here and now when it is not there."""
        self.version = str(self._api.get_version())
        self.max_batch = int(self._api.get_max_batch_size())

    def create(
        self, name: str, space: str, metadata: dict[str, str] | None, config: ChromaConfig | None = None
    ) -> Collection:
        """Make a collection, with the graph of a configuration that may be another than the client's."""
        config = config or self._config
        graph = {
            "space": space,
            "max_neighbors": config.m,
            "ef_construction": config.ef_construction,
            "ef_search": config.ef_search,
            "sync_threshold": config.sync_threshold,
        }
        model = self._api.create_collection(name=name, configuration={"hnsw": graph}, metadata=metadata, **self._place)
        return self._collection(model)

    def find(self, name: str) -> Collection | None:
        """Return a collection by its name at Chroma, None where there is none."""
        try:
            model = self._api.get_collection(name=name, **self._place)
        except NotFoundError as error:
            if "collection" in str(error).lower():
                return None
            raise
        return self._collection(model)

    def everything(self) -> list[Collection]:
        """Return all collections."""
        found: list[Collection] = []
        while True:
            page = self._api.list_collections(limit=_PAGE, offset=len(found), **self._place)
            found += [self._collection(model) for model in page]
            if len(page) < _PAGE:
                return found

    def drop(self, name: str) -> None:
        """Delete a collection by its name at Chroma."""
        self._api.delete_collection(name=name, **self._place)

    def stop(self) -> None:
        """Release everything that was started."""
        self._system.stop()
        if self._config.mode == "server":
            self._api._session.close()  # noqa: SLF001 - Chroma leaves it open
        if self._wire is not None:
            self._wire.close()

    def _collection(self, model: Any) -> Collection:
        # No embedding function: an upsert without vectors would download a model.
        return Collection(client=self._api, model=model, embedding_function=None)


def _settings(config: ChromaConfig) -> Settings:
    # Chroma would read a file .env in the current directory.
    common: dict[str, Any] = {"_env_file": None, "anonymized_telemetry": False, "allow_reset": False}
    if config.host is not None:
        verify = str(config.ssl_verify) if not isinstance(config.ssl_verify, bool) else config.ssl_verify
        host = f"[{config.host}]" if ":" in config.host else config.host
        return Settings(
            chroma_api_impl=_REMOTE,
            # The whole address, or else Chroma takes a host whose name begins with http for one.
            chroma_server_host=f"{'https' if config.ssl else 'http'}://{host}:{config.port}",
            chroma_server_http_port=config.port,
            chroma_server_ssl_enabled=config.ssl,
            chroma_server_ssl_verify=verify,
            chroma_server_headers=config.secret_headers(),
            **common,
        )
    if config.path is None:
        return Settings(chroma_api_impl=_EMBEDDED, is_persistent=False, **common)
    return Settings(
        chroma_api_impl=_EMBEDDED, is_persistent=True, persist_directory=str(config.path.absolute()), **common
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())

"""How the conformance suite reaches into Chroma, and the configurations worth a run of their own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from ctxkit.interfaces import BackendConfig, DirectoryHarness
from ctxkit.records import Record
from ctxkit_chroma.config import ChromaConfig
from ctxkit_chroma.site import FORMAT, OWN

_PATIENCE: Final = 60.0
_POLL_SECONDS: Final = 0.05


class ChromaHarness(DirectoryHarness):
    """Embedded; in memory; and a real server on loopback, which the harness starts and stops.

    On the server two checks share nothing because each has a database of its own. Where the suite kills, it kills the
    server too.
    """

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "": {},
        "in memory": {"path": None},
        "server": {"host": "127.0.0.1"},
    }

    def __init__(self, config_class: type[BackendConfig], options: Mapping[str, Any]) -> None:
        super().__init__(config_class, options)
        self._server: ChromaServer | None = None

    def fresh(self, folder: Path) -> BackendConfig:
        """Return a configuration with this directory, without any, or with a database of its own on the server."""
        if "host" not in self.options:
            return super().fresh(folder)
        if self._server is None:
            self._server = ChromaServer()
        database = f"check-{uuid.uuid4().hex}"
        self._server.make_database(database)
        return self.config_class.model_validate({**self.options, "port": self._server.port, "database": database})

    def raw(self, config: BackendConfig, collection: str) -> Mapping[str, Record]:
        """Return the records as Chroma's own client reads them, and nothing of this package."""
        client = _raw_client(config)
        try:
            found = client.get_collection(collection, embedding_function=None) if len(collection) > 2 else None  # noqa: PLR2004
            answer = (found or _by_description(client, collection)).get(
                include=["metadatas", "documents", "embeddings"]
            )
        finally:
            _close(client)
        return {
            record_id: _record(record_id, text, metadata, vector)
            for record_id, text, metadata, vector in zip(
                answer["ids"], answer["documents"], answer["metadatas"], answer["embeddings"], strict=True
            )
        }

    def kill(self) -> None:
        """Kill the server and start it again on what is left."""
        if self._server is None:
            super().kill()
        else:
            self._server.kill()

    def newer_format(self, config: BackendConfig, collection: str) -> None:  # noqa: ARG002 - one for all collections
        """Raise the version of the directory."""
        file = self._folder(config) / OWN / FORMAT
        content = json.loads(file.read_text(encoding="utf-8"))
        content["format"] += 1
        file.write_text(json.dumps(content), encoding="utf-8")

    def close(self) -> None:
        """Stop the server."""
        if self._server is not None:
            self._server.stop()
            self._server = None


class ChromaServer:
    """A `chroma run` on loopback, with its data in a folder of its own."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ctxkit-chroma-")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process = self._started()

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    def make_database(self, name: str) -> None:
        """Make a database."""
        import httpx  # noqa: PLC0415 - comes with chromadb

        address = f"http://127.0.0.1:{self.port}/api/v2/tenants/default_tenant/databases"
        httpx.post(address, json={"name": name}, timeout=_PATIENCE).raise_for_status()

    def halt(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()

    def kill(self) -> None:
        """Kill the process and start another on the same data."""
        self.halt()
        self._process = self._started()

    def stop(self) -> None:
        """End the process and delete its data."""
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def _started(self) -> subprocess.Popen[bytes]:
        log = Path(self._folder.name) / "log.txt"
        command = [_chroma(), "run", "--path", f"{self._folder.name}/data", "--host", "127.0.0.1"]
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - the program that the installed chromadb brings
                [*command, "--port", str(self.port)], stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            if _answers(self.port):
                return process
            time.sleep(_POLL_SECONDS)
        process.kill()
        process.wait()
        raise RuntimeError(f"chroma run did not start:\n{log.read_text('utf-8', 'replace')[-2000:]}")


def _answers(port: int) -> bool:
    import httpx  # noqa: PLC0415 - comes with chromadb

    try:
        return httpx.get(f"http://127.0.0.1:{port}/api/v2/heartbeat", timeout=1.0).is_success
    except httpx.HTTPError:
        return False


def _chroma() -> str:
    """Return the command that chromadb installs beside this interpreter."""
    for folder in (sysconfig.get_path("scripts"), str(Path(sys.executable).parent)):
        if (Path(folder) / "chroma").exists():
            return str(Path(folder) / "chroma")
    return "chroma"


def _raw_client(config: BackendConfig) -> Any:
    import chromadb  # noqa: PLC0415 - heavy, and only for the suite
    from chromadb.config import Settings  # noqa: PLC0415

    assert isinstance(config, ChromaConfig)  # noqa: S101 - the harness is Chroma's own
    settings = Settings(anonymized_telemetry=False)
    if config.host is not None:
        return chromadb.HttpClient(host=config.host, port=config.port, database=config.database, settings=settings)
    if config.path is None:
        raise NotImplementedError("a collection in memory is nowhere but in its handle")
    return chromadb.PersistentClient(path=str(config.path), settings=settings)


def _by_description(client: Any, name: str) -> Any:
    for found in client.list_collections():
        content = json.loads((found.metadata or {}).get("ctxkit", "{}"))
        if content.get("spec", {}).get("name") == name:
            return found
    raise LookupError(f"Chroma has no collection that says it is {name!r}")


def _close(client: Any) -> None:
    """Stop what the client started; older ones have no method for it, and none closes its connections."""
    from chromadb.api.shared_system_client import SharedSystemClient  # noqa: PLC0415 - as above

    servers = [each._server for each in (client, client._admin_client)]  # noqa: SLF001
    if hasattr(client, "close"):
        client.close()
    system = SharedSystemClient._identifier_to_system.pop(client._identifier, None)  # noqa: SLF001
    if system is not None:
        system.stop()
    for server in servers:
        if hasattr(server, "_session"):
            server._session.close()  # noqa: SLF001


def _record(record_id: str, text: str, metadata: Mapping[str, Any], vector: Sequence[float]) -> Record:
    import base64  # noqa: PLC0415

    content = json.loads(metadata["_ctxkit"])
    if isinstance(content, list):
        exact = np.frombuffer(base64.b64decode(content[1]), dtype="<f4").astype(np.float32)
        return Record(record_id, text, exact, content[0])
    return Record(record_id, text, np.asarray(vector, dtype=np.float32), content)

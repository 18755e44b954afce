"""Models by name: fetched once from a hub on loopback, found again without it, refused with the reason."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ctxkit_sentence_transformers.harness import packaged_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAMES = ("acme/model", "sentence-transformers/all-MiniLM-L6-v2")
NOT_WANTED = {"README.md": b"# read me", "pytorch_model.bin": b"pickled", "onnx/model.onnx": b"onnx"}
# Asks for fingerprints by name in a process of its own, because the hub's client reads its address when it is imported.
ASK = """
import json, sys
from ctxkit.errors import EmbedderError
from ctxkit_sentence_transformers.config import SentenceTransformersConfig
from ctxkit_sentence_transformers.embedder import SentenceTransformersEmbedder
for options in json.loads(sys.argv[1]):
    with SentenceTransformersEmbedder(SentenceTransformersConfig(**options)) as embedder:
        try:
            print(json.dumps([embedder.dimension, embedder.fingerprint]), flush=True)
        except EmbedderError as error:
            print(json.dumps([error.message, error.fix]), flush=True)
assert "torch" not in sys.modules
"""

# Lists the usual models as the core does, in a process of its own for the same reason.
LIST = """
import json, sys
from ctxkit.llm.embeddings import EmbeddingProvider
from ctxkit.plugins import PluginRegistry
import ctxkit_sentence_transformers
registry = PluginRegistry()
registry.register(ctxkit_sentence_transformers)
with EmbeddingProvider("paraphrase-MiniLM-L3-v2", registry=registry) as provider:
    print(json.dumps([provider.provider, provider.get_model_info(), provider.list_available_models()]))
assert not {"torch", "transformers", "sentence_transformers"} & set(sys.modules)
"""


class Hub(ThreadingHTTPServer):
    """Speaks as much of the hub's interface as a download needs; `asked` are the paths of what was fetched."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Hub

    def do_GET(self) -> None:
        """Answer with what the repository holds."""
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        if "/private/" in path:
            self._answer(401, {"error": "no"}, {"X-Error-Code": "GatedRepo"})
        elif not any(f"/{name}" in path for name in NAMES):
            self._answer(404, {"error": "no such thing"}, {"X-Error-Code": "RepoNotFound"})
        elif "/tree/" in path:
            listed = self.server.files.items()
            self._answer(
                200, [{"type": "file", "path": name, "size": len(data), "oid": _oid(data)} for name, data in listed]
            )
        elif path.startswith("/api/"):
            siblings = [{"rfilename": name} for name in self.server.files]
            self._answer(200, {"id": "acme/model", "sha": COMMIT, "siblings": siblings})
        else:
            data = self.server.files[path.split(COMMIT + "/")[1]]
            self._send(200, data, {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": COMMIT})

    def do_HEAD(self) -> None:
        """Answer as to GET, without a body."""
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


def _oid(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _files() -> dict[str, bytes]:
    """Return a model's files, with a few bytes for weights, beside files that nobody should fetch."""
    folder = packaged_model()
    assert folder is not None
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.suffix in {".json", ".txt"}
    }
    return {**found, "model.safetensors": b"weights", **NOT_WANTED}


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub with one model."""
    with Hub(_files()) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        yield server
        server.shutdown()
        serving.join()


def environment(address: str, home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a process that knows this hub only, and keeps its models in `home`."""
    blocked = {
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HF_TOKEN",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    }
    given = {name: value for name, value in os.environ.items() if name not in blocked}
    settings = {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_ETAG_TIMEOUT": "5", "HF_HUB_DISABLE_XET": "1"}
    return {**given, **settings, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **more}


def ask(address: str, home: Path, *options: dict[str, Any], **more: str) -> list[list[Any]]:
    """Return length and fingerprint, or message and fix, for each configuration, asked in a fresh process."""
    return said([ASK, json.dumps(options)], environment(address, home, **more))


def said(arguments: list[str], environ: dict[str, str]) -> list[Any]:
    """Run Python code in a process of its own and return what each line says."""
    done = subprocess.run(
        [sys.executable, "-c", *arguments], env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_name_is_fetched_once_and_then_needs_no_network(hub: Hub, tmp_path: Path) -> None:
    """Only what the backend reads is downloaded; the second start asks nobody; a copy elsewhere is the same model."""
    ((length, fingerprint),) = ask(hub.address, tmp_path / "hf", {"model": "acme/model"})
    assert length == 384
    fetched = {path.split(COMMIT + "/")[1] for path in hub.asked if "/resolve/" in path}
    assert fetched == hub.files.keys() - NOT_WANTED.keys()
    hub.asked.clear()
    copy = tmp_path / "copy"
    snapshot = next((tmp_path / "hf" / "hub").glob("models--acme--model/snapshots/*"))
    shutil.copytree(snapshot, copy)
    (copy / "README.md").write_text("another text")
    again = ask(
        hub.address,
        tmp_path / "hf",
        {"model": "acme/model"},
        {"model": "acme/model", "offline": True},
        {"model": str(copy)},
        {"model": "acme/model", "query_prompt": "query: "},
    )
    assert [answer[1] for answer in again[:3]] == [fingerprint] * 3
    assert again[3][1] != fingerprint
    assert not hub.asked


def test_what_is_only_half_there_is_fetched_again(hub: Hub, tmp_path: Path) -> None:
    """A download that was interrupted counts as none."""
    (first,) = ask(hub.address, tmp_path, {"model": "acme/model"})
    next((tmp_path / "hub").rglob("snapshots/*/model.safetensors")).unlink()
    (offline,) = ask(hub.address, tmp_path, {"model": "acme/model"}, HF_HUB_OFFLINE="1")
    assert "(network)" in offline[0]
    assert "offline" in offline[0]
    assert ask(hub.address, tmp_path, {"model": "acme/model"}) == [first]


def test_the_reason_is_said(hub: Hub, tmp_path: Path) -> None:
    """A wrong name, a private model, no network and a disk that cannot be written are four different errors."""
    locked = tmp_path / "file"
    locked.write_text("not a folder")
    unknown, private, path, disk = ask(
        hub.address,
        tmp_path / "hf",
        {"model": "nobody/nothing"},
        {"model": "private/model"},
        {"model": "./nowhere"},
        {"model": "acme/model", "cache_folder": str(locked / "in")},
    )
    for message, fix in (unknown, private, path):
        assert message.startswith("Failed to load embedding model"), message
        assert "(name)" in message
        assert "HF_TOKEN" in fix
        assert "'static'" in fix
    assert "(disk)" in disk[0], disk
    assert "'static'" in disk[1]
    closed = "http://127.0.0.1:1"  # nothing listens there
    (nobody,) = ask(closed, tmp_path / "hf", {"model": "acme/model"})
    assert "(network)" in nobody[0], nobody
    assert "'static'" in nobody[1]


def test_the_usual_models_are_listed_with_what_is_here(hub: Hub, tmp_path: Path) -> None:
    """Size, length, speed and quality of each, and whether it needs a download; found without torch or network."""
    environ = environment(hub.address, tmp_path)
    ((provider, info, before),) = said([LIST], environ)
    assert provider == "sentence-transformers"
    assert (info["size_mb"], info["dimension"], info["on_this_machine"]) == (61, 384, False)
    expected = {
        "paraphrase-MiniLM-L3-v2": 384,
        "all-MiniLM-L6-v2": 384,
        "all-MiniLM-L12-v2": 384,
        "all-mpnet-base-v2": 768,
    }
    assert expected.items() <= {name: model["dimension"] for name, model in before.items()}.items()
    assert not any(model["on_this_machine"] for model in before.values())
    assert before["all-mpnet-base-v2"]["quality"] == "excellent"
    assert before["paraphrase-MiniLM-L3-v2"]["speed"] == "very fast"
    assert not hub.asked
    ask(hub.address, tmp_path, {"model": "all-MiniLM-L6-v2"})
    ((_, _, after),) = said([LIST], environ)
    assert [name for name, model in after.items() if model["on_this_machine"]] == ["all-MiniLM-L6-v2"]

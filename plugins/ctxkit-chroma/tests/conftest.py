"""A server for the tests that need one, and the three ways in."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ctxkit_chroma.config import ChromaConfig
from ctxkit_chroma.harness import ChromaServer


@pytest.fixture(scope="session")
def server() -> Iterator[ChromaServer]:
    """A `chroma run` on a free loopback port, one for each process that runs tests."""
    started = ChromaServer()
    yield started
    started.stop()


@pytest.fixture
def remote(server: ChromaServer) -> ChromaConfig:
    """A configuration with a database of its own on the server."""
    database = f"test-{uuid.uuid4().hex}"
    server.make_database(database)
    return ChromaConfig(host="127.0.0.1", port=server.port, database=database)


@pytest.fixture(params=["embedded", "memory", "server"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> ChromaConfig:
    """Each way in, with nothing stored yet."""
    made: dict[str, Callable[[], ChromaConfig]] = {
        "embedded": lambda: ChromaConfig(path=tmp_path / "data"),
        "memory": ChromaConfig,
        "server": lambda: request.getfixturevalue("remote"),
    }
    return made[request.param]()

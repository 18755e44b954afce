"""The announcement, the configuration and what they promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ctxkit_chroma
import pytest
from ctxkit_chroma.config import ChromaConfig
from ctxkit_chroma.store import ChromaStore
from pydantic import SecretStr, ValidationError

from ctxkit.defaults.exact import ExactConfig
from ctxkit.errors import ConfigError
from ctxkit.interfaces import BackendSpec, CollectionSpec


def test_announcement_imports_no_chromadb() -> None:
    """chromadb takes seconds to import: neither listing plugins nor making a configuration does it."""
    code = "import sys, ctxkit_chroma.config as c; c.ChromaConfig(); print('chromadb' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
    spec = ctxkit_chroma.ctxkit_vector_stores()[0]
    assert isinstance(spec, BackendSpec)
    assert (spec.name, spec.requires, spec.capabilities) == ("chroma", ("chromadb",), ChromaConfig().capabilities())


def test_missing_chromadb_names_the_install_line() -> None:
    """Without chromadb, making the store raises MissingDependencyError with what to install."""
    code = (
        "import sys; sys.modules['chromadb'] = None\n"
        "from ctxkit.errors import MissingDependencyError\n"
        "try:\n    import ctxkit_chroma.store\n"
        "except MissingDependencyError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install ctxkit-chroma" in run.stdout


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "data", "host": "localhost"},
        {"token": "x"},
        {"path": "data", "database": "other"},
        {"tenant": "other"},
        {"headers": {"X": "y"}},
        {"host": "localhost", "token": "x", "headers": {"authorization": "y"}},
        {"host": "http://localhost"},
        {"host": "user@localhost"},
        {"host": ""},
        {"port": 0},
        {"timeout": 0},
        {"m": 1},
        {"no_such_option": 1},
    ],
)
def test_impossible_options_are_refused(wrong: dict[str, object]) -> None:
    """Two places, credentials without a server, credentials in the host, and numbers without meaning."""
    with pytest.raises(ValidationError):
        ChromaConfig.model_validate(wrong)


def test_another_stores_configuration_is_refused() -> None:
    """A configuration of another backend is an error that names ours."""
    for call in (
        lambda: ChromaStore.open(CollectionSpec(dimension=2), ExactConfig()),
        lambda: ChromaStore.list_collections(ExactConfig()),
    ):
        with pytest.raises(ConfigError, match="ChromaConfig"):
            call()


def test_credentials_are_never_shown() -> None:
    """Neither the representation nor the JSON of a configuration holds a token or a header's value."""
    config = ChromaConfig(host="localhost", token=SecretStr("hush-1"), headers={"X-Key": SecretStr("hush-2")})
    for shown in (repr(config), str(config), config.model_dump_json()):
        assert "hush" not in shown
    assert config.secret_headers() == {"Authorization": "Bearer hush-1", "X-Key": "hush-2"}


def test_what_is_declared_depends_on_the_way_in() -> None:
    """A directory persists, a server has many writers, and memory is neither."""
    declared = {
        name: (found.persistent, found.concurrency, found.text_search)
        for name, config in {
            "embedded": ChromaConfig(path=Path("data")),
            "memory": ChromaConfig(),
            "server": ChromaConfig(host="localhost"),
        }.items()
        for found in [config.capabilities()]
    }
    assert declared == {
        "embedded": (True, "single-process", "bm25"),
        "memory": (False, "single-process", "bm25"),
        "server": (True, "multi-writer", None),
    }

"""Making managers: paths, providers, configurations, and what is wrong with them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from components import config, registry
from manager_support import REGISTRY, manager

from ctxkit import Config, ContextManager, EmbedderConfig, MemoryConfig, VectorStoreConfig
from ctxkit.errors import (
    ConfigError,
    PluginNotFoundError,
    StoreUnavailableError,
)


def test_an_unwritable_path_says_so(tmp_path: Path) -> None:
    """A file where the folder should be is the fault that binds a superuser too."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailableError, match="file"):
        manager(tmp_path / "file")


def test_a_path_in_the_place_of_the_configuration_says_where_it_belongs(tmp_path: Path) -> None:
    """The first argument is the configuration; what is neither is told so."""
    for wrong, fix in ((str(tmp_path), f"write path={str(tmp_path)!r}"), (tmp_path, "write path="), (5, "pass Config")):
        with pytest.raises(ConfigError, match=f"config is .*, not Config.*{fix}"):
            ContextManager(wrong)  # type: ignore[arg-type]


def test_an_unknown_provider_lists_what_there_is(tmp_path: Path) -> None:
    """The names that work, and the line that installs the one that was meant."""
    for section, names in (
        (Config(vector_store=VectorStoreConfig(provider="fais")), "exact"),
        (Config(embedder=EmbedderConfig(provider="statik")), "words"),
    ):
        with pytest.raises(PluginNotFoundError, match=names):
            manager(tmp_path / "store", settings=section)


def test_a_dimension_that_contradicts_the_embedder_is_an_error(tmp_path: Path) -> None:
    """Only a number that the user set can contradict; the default gives way."""
    settings = config()
    settings.vector_store.dimension = 100
    with pytest.raises(ConfigError, match="dimension"):
        manager(tmp_path / "store", settings=settings)


def test_providers_that_are_not_installed_fall_back(caplog: pytest.LogCaptureFixture) -> None:
    """With the core alone everything works, by words, and the statistics say what is missing."""
    core_only = registry()
    caplog.set_level(logging.INFO, "ctxkit")
    with ContextManager(registry=core_only) as cm:
        cm.observe("The cat is called Ink.", "Nice name.")
        assert cm.query_memory("What is the cat called?")
        stats = cm.get_stats()
    assert (stats["vector_store"], stats["embedder"]) == ("exact", "none")
    assert len(stats["fallbacks"]) == 2
    assert [record.levelname for record in caplog.records if "not installed" in record.message] == ["INFO", "INFO"]


def test_conflicts_in_the_configuration_warn(caplog: pytest.LogCaptureFixture) -> None:
    """They never raise."""
    settings = config()
    settings.memory = MemoryConfig(stm_capacity=500, chunk_size=900)
    with manager(settings=settings) as cm:
        assert "chunk_size (900)" in caplog.text
        assert cm.path is None


def test_closing_twice_and_repr(tmp_path: Path) -> None:
    """A handle says where it points and can be closed from two places."""
    cm = manager(tmp_path / "store", session_id="s")
    assert str(tmp_path / "store") in repr(cm)
    assert "session_id='s'" in repr(cm)
    cm.close()
    cm.close()


@pytest.mark.parametrize(
    ("settings", "level"),
    [({}, "WARNING"), ({"log_level": "ERROR"}, "WARNING"), ({"debug": True}, "DEBUG")]
    + [({"debug": True, "log_level": level}, level) for level in ("DEBUG", "INFO", "ERROR")],
)
def test_debugging_sets_the_level_of_our_logger(settings: dict[str, Any], level: str) -> None:
    """And of no other; without it, whoever sets logging up has the say."""
    ours, root = logging.getLogger("ctxkit"), logging.getLogger()
    before, root_before = ours.level, root.level
    ours.setLevel("WARNING")
    try:
        with ContextManager(Config(**settings), registry=REGISTRY):
            assert logging.getLevelName(ours.level) == level
            assert root.level == root_before
    finally:
        ours.setLevel(before)


def test_a_tokenizer_that_is_missing_leaves_no_store_open(tmp_path: Path) -> None:
    """It is found out after the store was opened; nothing of that stays behind."""
    settings = config()
    settings.tokenizer.provider = "no-such-tokenizer"
    with pytest.raises(PluginNotFoundError, match="no-such-tokenizer"):
        manager(tmp_path / "store", settings=settings)
    with manager(tmp_path / "store") as cm:
        cm.add_memory("The boat is at berth 14.")

"""Damage inside a database: rows, vectors, descriptions and words that are not those that were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from local_collections import SPEC, check_all, directory, filled, sql

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import (
    StoreCorruptError,
)
from ctxkit.records import Record


@pytest.fixture
def config(tmp_path: Path) -> ExactConfig:
    """A fresh directory."""
    return ExactConfig(path=tmp_path / "data")


@pytest.mark.parametrize("column", ["id", "text", "metadata", "checksum"])
def test_a_damaged_row_is_named_and_the_rest_is_whole(config: ExactConfig, column: str) -> None:
    """A row that does not match its checksum is never returned; others are; writing it anew heals the store."""
    records = filled(config)
    value: object = 123456 if column == "checksum" else "r7x" if column == "id" else '{"i": 99}'
    statement = {
        "id": "UPDATE records SET id = ? WHERE id = 'r7'",
        "text": "UPDATE records SET text = ? WHERE id = 'r7'",
        "metadata": "UPDATE records SET metadata = ? WHERE id = 'r7'",
        "checksum": "UPDATE records SET checksum = ? WHERE id = 'r7'",
    }[column]
    sql(config, statement, value)
    shown = "r7x" if column == "id" else "r7"
    with ExactStore.open(SPEC, config) as store:
        assert store.get(["r1", "r2"], include_vectors=True) == [records["r1"], records["r2"]]
        for call in (
            lambda: store.get(["r7"]),
            lambda: store.query(np.ones(8), 3),
            lambda: store.text_query("many", 3),
            lambda: store.count({"i": 1}),
            store.scan,
            lambda: store.delete(where={"i": 7}),
        ):
            with pytest.raises(StoreCorruptError, match=shown):
                call()
        health = store.health()
        assert not health.ok
        assert any(shown in problem for problem in health.problems)
        if column == "id":
            assert store.delete([shown]) == 1
        store.upsert([records["r7"]])
        check_all(store, records)
        assert store.health().ok
    with ExactStore.open(SPEC, config) as store:
        check_all(store, records)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE vectors SET vector = zeroblob(32)",
        "DELETE FROM vectors",
        "UPDATE vectors SET checksum = 5",
        "UPDATE vectors SET vector = zeroblob(4)",
    ],
)
def test_damaged_vectors(config: ExactConfig, damage: str) -> None:
    """A vector that changed is noticed at open and when it is read; a handle that has it goes on searching rightly."""
    records = filled(config, 20)
    with ExactStore.open(SPEC, config) as opened:
        sql(config, damage + " WHERE label = 3")
        (found,) = opened.query(np.asarray(records["r2"].vector), 1)
        assert [(hit.id, round(hit.score, 9)) for hit in found] == [("r2", 1.0)]
        with pytest.raises(StoreCorruptError, match="r2"):
            opened.get(["r2"], include_vectors=True)
        with ExactStore.open(SPEC, config) as store:
            with pytest.raises(StoreCorruptError, match="r2"):
                store.get(["r2"])
            assert store.get(["r1"]) == [Record("r1", records["r1"].text, None, records["r1"].metadata)]
            assert store.delete(["r2"]) == 1
            assert store.health().ok
            assert store.stats().vectors == store.count() == 18


def test_rows_damaged_under_an_open_handle(config: ExactConfig) -> None:
    """A handle that loaded good rows still notices what happens to them afterwards."""
    filled(config, 20)
    with ExactStore.open(SPEC, config) as store:
        sql(config, "UPDATE records SET text = 'changed' WHERE id = 'r3'")
        sql(config, "DELETE FROM records WHERE id = 'r4'")
        for call in (
            lambda: store.get(["r3"]),
            lambda: list(store.scan()),
            lambda: store.get(["r4"]),
            lambda: store.delete(["r4"]),
        ):
            with pytest.raises(StoreCorruptError):
                call()
        assert len(store.health().problems) >= 1


def test_lost_rows(config: ExactConfig) -> None:
    """Rows that vanish are missed, though every remaining row is sound."""
    records = filled(config, 20)
    sql(config, "DELETE FROM records WHERE id = 'r3'")
    sql(config, "DELETE FROM vectors WHERE label = 4")
    with ExactStore.open(SPEC, config) as store:
        assert store.get(["r1"], include_vectors=True) == [records["r1"]]
        for call in (store.count, lambda: store.get(["r3"]), lambda: store.query(np.ones(8), 1)):
            with pytest.raises(StoreCorruptError, match="missing"):
                call()
        assert not store.health().ok


def test_damaged_text_index_is_made_anew(config: ExactConfig, caplog: pytest.LogCaptureFixture) -> None:
    """The text index is rebuilt from the records when its tables are not those of the last close."""
    records = filled(config)
    sql(config, "DELETE FROM words_docsize WHERE id = 3")
    with ExactStore.open(SPEC, config) as store:
        check_all(store, records)
        assert store.health().ok
    assert "made anew" in caplog.text
    with ExactStore.open(SPEC, config) as store:
        store.upsert([Record("later", "many", np.ones(8), {"i": 1000})])
        sql(config, "DELETE FROM words_docsize WHERE id = 4")
        assert any("optimize" in problem for problem in store.health().problems)
        store.optimize()
        assert store.health().ok
        store.delete(["later"])
        check_all(store, records)


@pytest.mark.parametrize("statement", ["DELETE FROM state", "DELETE FROM meta"])
def test_damaged_description(config: ExactConfig, statement: str) -> None:
    """The tables that describe the collection are guarded too."""
    filled(config, 3)
    sql(config, statement)
    with pytest.raises(StoreCorruptError):
        ExactStore.open(SPEC, config)


def test_health_of_a_broken_file(config: ExactConfig) -> None:
    """health names what SQLite itself finds wrong with the file, without raising."""
    filled(config, 2000)
    with ExactStore.open(SPEC, config) as store:
        store.flush()
        database = directory(config) / "store.db"
        with database.open("r+b") as file:
            file.seek(20 * 4096)
            file.write(b"\xff" * 4096 * 20)
        health = store.health()
        assert not health.ok
        assert all("restore" in problem or "optimize" in problem or "again" in problem for problem in health.problems)


def test_text_index_that_names_strangers(config: ExactConfig) -> None:
    """A text index with rows that no record has is an error with the remedy, and the remedy works."""
    filled(config, 5)
    with ExactStore.open(SPEC, config) as store:
        sql(config, "INSERT INTO words(rowid, text) VALUES(99, 'many')")
        with pytest.raises(StoreCorruptError, match="optimize"):
            store.text_query("many", 3)
        store.optimize()
        assert len(store.text_query("many", 9)) == 5


def test_words_that_changed_under_an_open_handle(config: ExactConfig) -> None:
    """health compares the text index with its checksum of the last close, though every record is in it."""
    records = filled(config)
    with ExactStore.open(SPEC, config) as store:
        assert store.health().ok
        sql(config, "UPDATE words_docsize SET sz = x'7f' WHERE id = 3")
        problems = store.health().problems
        assert len(problems) == 1
        assert "text index" in problems[0]
        assert "optimize" in problems[0]
        store.optimize()
        assert store.health().ok
        check_all(store, records)


def test_an_index_that_lost_a_vector(config: ExactConfig) -> None:
    """health counts the vectors in memory against the database, and opening again is the remedy it names."""
    records = filled(config)
    with ExactStore.open(SPEC, config) as store:
        assert store._handle._view is not None
        store._handle._view.index.remove(np.array([0]))
        problems = store.health().problems
        assert len(problems) == 1
        assert "open the store again" in problems[0]
    with ExactStore.open(SPEC, config) as store:
        assert store.health().ok
        check_all(store, records)

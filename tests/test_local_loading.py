"""Loading a collection beside those who write to it or drop it: nobody waits, and nothing that they do is missed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_collections import SPEC, directory, filled, sql

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import InvalidRecordError
from ctxkit.local import catalog, segment
from ctxkit.local.view import View
from ctxkit.records import Record

WITH_FIELD = SPEC.model_copy(update={"fields": {"i": "int"}})


@pytest.fixture
def config(tmp_path: Path) -> ExactConfig:
    """A filled collection, where nobody waits for a lock."""
    config = ExactConfig(path=tmp_path / "data", busy_timeout=0, exact_below=0, index_build="inline")
    filled(config)
    return config


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[object, str, Callable[[], object]], None]:
    """Has something done once, when a function of the engine is called for the next time and has not yet begun."""

    def have(owner: object, name: str, done: Callable[[], object]) -> None:
        function, waiting = getattr(owner, name), [done]

        def preceded(*given: Any, **more: Any) -> Any:
            if waiting:
                waiting.pop()()
            return function(*given, **more)

        monkeypatch.setattr(owner, name, preceded)

    return have


def test_writers_go_on_while_a_collection_is_opened(config: ExactConfig, meanwhile: Callable[..., None]) -> None:
    """Opening only reads, however long it takes, and what was written meanwhile is found at once."""
    with ExactStore.open(SPEC, config) as writer:
        meanwhile(View, "load", lambda: writer.upsert([Record("new", "", np.ones(8))]))
        with ExactStore.open(SPEC, config) as opened:
            assert opened.get(["new"])[0] is not None
            assert opened.query(np.ones(8), 1)[0].ids == ["new"]


def test_writers_go_on_while_a_collection_is_loaded_anew(config: ExactConfig, meanwhile: Callable[..., None]) -> None:
    """A handle that has to load everything before it writes holds up nobody until it writes."""
    with ExactStore.open(SPEC, config) as behind, ExactStore.open(WITH_FIELD, config) as writer:
        meanwhile(View, "load", lambda: writer.upsert([Record("new")]))
        assert behind.delete(["r1", "new"]) == 2
        assert writer.get(["r1", "r2", "new"])[::2] == [None, None]


@pytest.mark.parametrize("other", [{"i": "int"}, {"s": "str"}])
def test_two_who_declare_fields(config: ExactConfig, meanwhile: Callable[..., None], other: dict[str, str]) -> None:
    """Whoever comes second takes over what the first has declared, the same field or another, and both hold to it."""
    first: list[ExactStore] = []
    spec = SPEC.model_copy(update={"fields": other})
    meanwhile(View, "load", lambda: first.append(ExactStore.open(spec, config)))
    with ExactStore.open(WITH_FIELD, config) as second, first[0]:
        for store in (second, first[0]):
            assert store.count({"i": {"$lt": 10}}) == 9
            assert store.spec.fields == {**other, "i": "int"}
            with pytest.raises(InvalidRecordError):
                store.upsert([Record("wrong", "", None, {"i": "text"})])


def test_a_value_that_contradicts_a_field_may_come_meanwhile(
    config: ExactConfig, meanwhile: Callable[..., None]
) -> None:
    """A field is declared only if every value fits that is there by then."""
    with ExactStore.open(SPEC, config) as writer:
        meanwhile(View, "load", lambda: writer.upsert([Record("wrong", "", None, {"i": "text"})]))
        with pytest.raises(InvalidRecordError, match="wrong"):
            ExactStore.open(WITH_FIELD, config)
        assert writer.spec == SPEC


def test_a_segment_made_meanwhile_is_kept(config: ExactConfig, meanwhile: Callable[..., None]) -> None:
    """A segment that is newer than what an opener sees of the database may be true, and stays."""
    with ExactStore.open(SPEC, config) as writer:

        def make() -> None:
            writer.upsert([Record("new", "", np.ones(8))])
            writer.optimize()

        meanwhile(catalog, "check_same", make)
        with ExactStore.open(SPEC, config) as opened:
            made = writer.stats().details["segment"]
            assert made == segment.names(directory(config) / segment.FOLDER)[-1]
            assert opened.query(np.ones(8), 1)[0].ids == ["new"]


@pytest.mark.parametrize("again", [False, True])
def test_a_collection_dropped_meanwhile_gets_no_segment(
    config: ExactConfig,
    meanwhile: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    again: bool,  # noqa: FBT001 - parameters of a test
) -> None:
    """Nobody is warned of what a drop brings with it, and a new collection of that name has only its own segments."""

    def drop() -> None:
        ExactStore.drop_collection(config, "c")
        if again:
            filled(config)

    with ExactStore.open(SPEC, config) as store:
        meanwhile(segment, "building", drop)
        store.upsert([Record(f"new{i}", "", np.ones(8)) for i in range(40)])
    assert ExactStore.list_collections(config) == ["c"] * again
    with ExactStore.open(SPEC, config) as store:
        assert store.count() == 59 * again
    assert caplog.text == ""


def test_a_text_index_that_is_damaged_is_mended(
    config: ExactConfig, meanwhile: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """Also where somebody has written, after whose write nobody could tell any more that it was damaged."""
    with ExactStore.open(SPEC, config) as writer:
        sql(config, "UPDATE state SET text_seq = seq, text_digest = 1")
        sql(config, "DELETE FROM words_docsize WHERE id = 1")
        meanwhile(View, "load", lambda: writer.upsert([Record("new", "text")]))
        with ExactStore.open(SPEC, config) as opened:
            assert "text index was damaged" in caplog.text
            assert opened.health().ok
            assert opened.text_query("number0", 5).ids == ["r0"]

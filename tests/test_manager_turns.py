"""Turns as they are observed, stored, shown and let go, on the exact store."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from components import config
from manager_support import manager

from ctxkit import ContextManager
from ctxkit.errors import (
    InvalidRecordError,
)
from ctxkit.interfaces import VectorStore
from ctxkit.records import Record


@pytest.fixture
def cm(tmp_path: Path) -> Iterator[ContextManager]:
    """A durable manager with the default limits."""
    with manager(tmp_path / "store") as made:
        yield made


def test_each_of_500_turns_past_capacity_is_found(tmp_path: Path) -> None:
    """Nothing that was observed is lost, however far past the capacity."""
    settings = config(stm_capacity=200, chunk_size=100)
    with manager(tmp_path / "store", settings=settings) as cm:
        for number in range(500):
            cm.observe(f"Parcel number {number} went to shelf {number * 7919 % 1009}.", "Noted.")
        assert cm.get_stats()["short_term_memory"]["current_tokens"] <= 200
    with manager(tmp_path / "store", settings=settings) as cm:
        for number in range(500):
            fact = f"Parcel number {number} went to shelf {number * 7919 % 1009}."
            assert any(fact in text for text, _ in cm.query_memory(f"Where did parcel number {number} go?", k=3))


def test_overflow_leaves_a_summary_with_links_to_its_turns(tmp_path: Path) -> None:
    """What leaves the view is summarised, and the summary names the turns it stands for."""
    with manager(tmp_path / "store", settings=config(stm_capacity=120, chunk_size=60)) as cm:
        ids = [cm.observe(f"The boiler on floor {i} was serviced by Ruth.", "Thanks, logged.") for i in range(20)]
        in_view = [turn.id for turn in cm.short_term_memory.turns]
        summaries = [entry for entry in cm.long_term_memory.entries if entry.kind == "summary"]
        where = {"_ctx_kind": "summary"}
        lineage = [turn for record in cm._vault.store.scan(where) for turn in record.metadata["_ctx_lineage"]]
        assert sorted(lineage + in_view) == sorted(ids)
        assert summaries
        assert all("boiler" in entry.text for entry in summaries)
        assert "## Earlier in this conversation" in cm.build_context("And now?")


def test_the_view_continues_after_reopening(tmp_path: Path) -> None:
    """A manager opened again on the same path and session shows the same turns."""
    settings = config(stm_capacity=120, chunk_size=60)
    with manager(tmp_path / "store", settings=settings, session_id="s") as cm:
        for i in range(20):
            cm.observe(f"Step {i} of the recipe is done.", "Good.")
        before = cm.short_term_memory.turns
    with manager(tmp_path / "store", settings=settings, session_id="s") as cm:
        assert cm.short_term_memory.turns == before
        cm.observe("The last step is done.", "Well done.")
        assert cm.short_term_memory.turns[-1].position == 20


def test_a_longer_turn_than_the_capacity_stays_while_it_is_the_newest(tmp_path: Path) -> None:
    """The last thing said is never missing from the prompt."""
    with manager(tmp_path / "store", settings=config(stm_capacity=50, chunk_size=20)) as cm:
        cm.observe("word " * 200, "ok")
        assert len(cm.short_term_memory.turns) == 1
        cm.observe("short", "ok")
        assert [turn.user_input for turn in cm.short_term_memory.turns] == ["short"]


def test_offloading_by_hand_takes_a_chunk_and_never_the_newest_turn(cm: ContextManager) -> None:
    """The well-known call to make room works below the capacity too."""
    cm._summarize_and_offload()
    cm.observe("one", "two")
    cm._summarize_and_offload()
    assert len(cm.short_term_memory.turns) == 1
    cm.observe("three", "four")
    cm._summarize_and_offload()
    assert [turn.user_input for turn in cm.short_term_memory.turns] == ["three"]


def test_turn_ids_make_observe_repeatable(cm: ContextManager) -> None:
    """A message delivered twice is one turn; other words under the same id are a mistake."""
    first = cm.observe("hello", "hi", turn_id="m1")
    assert cm.observe("hello", "hi", turn_id="m1") == first
    assert len(cm.short_term_memory.turns) == 1
    with pytest.raises(InvalidRecordError, match="m1"):
        cm.observe("goodbye", "bye", turn_id="m1")
    assert cm.observe("goodbye", "bye", turn_id="m2") != first


def test_timestamps_are_seconds_or_aware_datetimes(cm: ContextManager) -> None:
    """A naive datetime means another moment on each machine, so it is refused."""
    moment = datetime(2026, 3, 2, 9, 30, tzinfo=timezone.utc)
    cm.observe("a", "b", timestamp=moment)
    cm.observe("c", "d", timestamp=moment.timestamp() + 1)
    assert [turn.timestamp for turn in cm.short_term_memory.turns] == [moment.timestamp(), moment.timestamp() + 1]
    with pytest.raises(InvalidRecordError, match="time zone"):
        cm.observe("a", "b", timestamp=datetime(2026, 3, 2))  # noqa: DTZ001 - the point of the test
    with pytest.raises(InvalidRecordError, match="timestamp"):
        cm.observe("a", "b", timestamp=float("nan"))


@pytest.mark.parametrize(("user", "assistant"), [("", ""), (" \n", "\t")])
def test_a_blank_turn_is_refused(cm: ContextManager, user: str, assistant: str) -> None:
    """There is nothing to remember, and an application that does this has a bug."""
    with pytest.raises(InvalidRecordError, match="blank"):
        cm.observe(user, assistant)
    assert cm.get_stats()["store"]["records"] == 0


def test_one_blank_side_is_fine(cm: ContextManager) -> None:
    """Assistants greet first; tools answer with nothing."""
    cm.observe("", "Welcome back!")
    cm.observe("ping", "")
    assert [(turn.user_input, turn.assistant_response) for turn in cm.short_term_memory.turns] == [
        ("", "Welcome back!"),
        ("ping", ""),
    ]


def test_nul_and_lone_surrogates_are_stored(tmp_path: Path) -> None:
    """Broken decoders upstream must not cost a turn; a surrogate becomes U+FFFD, a split pair its character."""
    with manager(tmp_path / "store") as cm:
        cm.observe("nul \0 here \udc80 and \ud83e\udd16", "ok")
        cm.add_memory("memory \ud800 too", {"note": "\udfff"})
    with manager(tmp_path / "store") as cm:
        assert cm.short_term_memory.turns[0].user_input == "nul \0 here \ufffd and 🤖"
        assert "nul" in cm.build_context("what is \udc80 here?")
        assert any("memory \ufffd too" in text for text, _ in cm.query_memory("memory"))


def test_five_megabytes_in_one_turn(tmp_path: Path) -> None:
    """A pasted log is stored whole, searched by its parts, and never breaks the budget."""
    lines = [f"line {i}: service {i % 97} answered in {i % 501} ms" for i in range(120_000)]
    lines[70_000] = "line 70000: the turbine hall caught a kingfisher"
    log = "\n".join(lines)
    assert len(log) > 4_500_000
    patient = config(embed_timeout=300.0)  # embedding all of it takes seconds, on a busy machine more
    with manager(tmp_path / "store", settings=patient) as cm:
        cm.observe(log, "That is a long log.")
        assert cm.short_term_memory.turns[0].user_input == log
        cm.observe("next", "ok")
        result = cm.build("Which line mentions the kingfisher in the turbine hall?")
        assert result.tokens <= 12000
        assert "caught a kingfisher" in result.text
        assert cm._summarizing.finish(300.0)
    with manager(tmp_path / "store", settings=patient) as cm:
        assert any("caught a kingfisher" in text for text, _ in cm.query_memory("kingfisher turbine hall", k=5))
        assert len(cm.long_term_memory.entries) + len(cm.short_term_memory.turns) == 3  # two turns and a summary


def test_positions_are_looked_up_where_others_may_have_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two handles on one store never give the same one twice; alone, a turn costs no look at those before it."""
    with manager(tmp_path) as one, manager(tmp_path) as two:
        for number in range(3):
            one.observe(f"one says {number}", "ok")
            two.observe(f"two says {number}", "ok")
            gone = two.observe(f"two says {number} and more", "ok")
            two.delete_memory(gone)
            two.add_memory("A memory without a thread.")
        store = two._vault.store
        scans: list[Any] = []
        scan = type(store).scan

        def counted(self: VectorStore, *args: Any, **options: Any) -> Iterator[Record]:
            scans.append(args)
            return scan(self, *args, **options)

        monkeypatch.setattr(type(store), "scan", counted)
        for number in range(3, 6):
            two.observe(f"two says {number}", "ok")
        assert len(scans) <= 1
        turns = store.scan({"_ctx_kind": "turn"}, order_by="_ctx_order")
        places = [int(record.metadata["_ctx_seq"]) for record in turns]
        assert places == sorted(set(places))
        assert len(places) == 9


def test_threads_observe_at_once(cm: ContextManager) -> None:
    """A web server's threads share one manager: every turn is there once, in one order."""

    def talk(name: int) -> None:
        for i in range(20):
            cm.observe(f"thread {name} says {i}", "ok")

    threads = [threading.Thread(target=talk, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    turns = cm.short_term_memory.turns
    assert len({turn.user_input for turn in turns}) == 80
    assert [turn.position for turn in turns] == list(range(80))


def _observe_elsewhere(path: Path, count: int) -> None:
    with manager(path, session_id="shared") as cm:
        for i in range(count):
            cm.observe(f"from the other process {i}", "ok")


def test_two_processes_share_a_session(tmp_path: Path) -> None:
    """What one process observes, the other's open manager shows and finds."""
    path = tmp_path / "store"
    with manager(path, session_id="shared") as cm:
        cm.observe("from this process", "ok")
        other = multiprocessing.get_context("spawn").Process(target=_observe_elsewhere, args=(path, 3))
        other.start()
        other.join(60)
        assert other.exitcode == 0
        assert len(cm.query_memory("from the other process", k=9)) == 4
        assert "from the other process 2" in cm.build_context("What was said?")
        cm.observe("and from this one again", "ok")
        assert [turn.position for turn in cm.short_term_memory.turns] == [0, 1, 2, 3, 4]

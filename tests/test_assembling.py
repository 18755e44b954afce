"""Contexts that are built again: what is remembered, for how long, and how much of a prompt stays the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from components import Faults, FaultyEmbedder, config
from manager_support import manager

from ctxkit import ContextManager
from ctxkit.cache.recent import Recent
from ctxkit.context.standing import Standing, standing_of
from ctxkit.errors import StoreClosedError
from ctxkit.memory import Vault
from ctxkit.memory.views import View
from ctxkit.retrieval import Candidate

QUESTION = "Where is the boat?"


class Searches:
    """How often the memory was searched."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        search = Vault.search

        def counted(vault: Vault, *args: Any, **kwargs: Any) -> list[Candidate]:
            self.count += 1
            return search(vault, *args, **kwargs)

        monkeypatch.setattr(Vault, "search", counted)


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> Searches:
    """Count them from here on."""
    return Searches(monkeypatch)


@pytest.fixture
def faults() -> Faults:
    """Fresh faults, whose calls are counted."""
    FaultyEmbedder.faults = Faults()
    return FaultyEmbedder.faults


@pytest.fixture
def cm(tmp_path: Path, faults: Faults) -> Iterator[ContextManager]:
    """A durable manager whose embedder counts calls."""
    with manager(tmp_path / "store", settings=config(embedder="faulty")) as made:
        made.add_memory("The boat is at berth 14.")
        made.observe("Hello!", "Hi.")
        faults.calls = 0
        yield made


def test_the_same_question_is_searched_once(cm: ContextManager, searches: Searches) -> None:
    """Nothing was written between, so nothing can have changed."""
    first = cm.build(QUESTION)
    second = cm.build(QUESTION)
    assert searches.count == 1
    assert (second.text, second.ledger, second.messages) == (first.text, first.ledger, first.messages)
    second.messages[-1]["content"] = "changed by the caller"
    second.parts.clear()
    assert cm.build(QUESTION).messages == cm.build(QUESTION).messages == first.messages
    assert cm.build(QUESTION).parts == first.parts
    cm.debug_context_building(QUESTION)
    assert searches.count == 1
    cm.build("Where is the key?")
    assert searches.count == 2


def test_every_kind_of_write_is_seen(cm: ContextManager, tmp_path: Path) -> None:
    """Also one of another handle, which another process would have."""
    assert "berth 14" in cm.build_context(QUESTION)
    memory = cm.add_memory("The boat moved to berth 9.")
    assert "berth 9" in cm.build_context(QUESTION)
    cm.delete_memory(memory)
    assert "berth 9" not in cm.build_context(QUESTION)
    with manager(tmp_path / "store", settings=config(embedder="faulty")) as other:
        other.observe("The boat sank.", "Oh.")
        assert "sank" in cm.build_context(QUESTION)
        other.clear_memory()
        assert cm.build_context(QUESTION) == f"## Question\n{QUESTION}"
        assert len(cm._assembler._built) == 1  # what was deleted is not kept in memory either


def test_what_no_question_changes_is_looked_up_once(cm: ContextManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recent turns and summaries, until something is written, another session is shown, or more turns are asked for."""
    looked: list[int] = []
    filters: list[Any] = []
    search = Vault.search

    def counted(vault: Vault, view: View, recent: int) -> Standing:
        looked.append(recent)
        return standing_of(vault, view, recent)

    def noted(vault: Vault, text: str, where: Any, **options: Any) -> list[Candidate]:
        filters.append(where)
        return search(vault, text, where, **options)

    monkeypatch.setattr("ctxkit.context.assembling.standing_of", counted)
    monkeypatch.setattr(Vault, "search", noted)
    for number in range(3):
        assert "Hello!" in cm.build_context(f"Where is boat {number}?")
    assert len(looked) == 1
    assert filters[0] == filters[1] == filters[2]  # the store has found out once what passes it
    cm.observe("Good morning!", "Hello again.")
    assert "Good morning!" in cm.build_context(QUESTION)
    assert len(looked) == 2
    cm.config.memory.recent_k = 1
    assert "Hello!" not in cm.build("Where is the key?").sections["recent"]
    cm.set_session("elsewhere")
    assert "Good morning!" not in cm.build_context(QUESTION)
    assert len(looked) == 4
    cm.set_session(None)
    assert "Good morning!" in cm.build_context(QUESTION)
    cm.clear_memory()
    assert cm._assembler._standing is None


def test_whatever_else_a_context_depends_on_counts_too(cm: ContextManager, searches: Searches) -> None:
    """The scope, the configuration, the budget and the moment."""
    whole = cm.build(QUESTION)
    assert cm.build(QUESTION, budget=whole.tokens - 1).tokens < whole.tokens
    cm.set_session("elsewhere")
    assert "berth" not in cm.build_context(QUESTION)
    cm.set_session(None)
    cm.config.memory.prompt_token_budget = 20
    assert cm.build(QUESTION).budget == 20
    searches.count = 0
    cm.build(QUESTION, now=1.0)
    cm.build(QUESTION, now=2.0)
    cm.build(QUESTION, now=2.0)
    assert searches.count == 2


def test_what_time_alone_changes_is_not_remembered(cm: ContextManager, searches: Searches) -> None:
    """Recency is another at each moment."""
    cm.config.memory.recency_weight = 1.0
    cm.build(QUESTION)
    cm.build(QUESTION)
    assert searches.count == 2


def test_what_a_failing_embedder_left_is_not_remembered(cm: ContextManager, faults: Faults) -> None:
    """The next search may find more, with no write between."""
    faults.mode = "raise"
    assert all(row.dense is None for row in cm.build(QUESTION).ledger)
    faults.mode = "ok"
    assert any(row.dense is not None for row in cm.build(QUESTION).ledger)


def test_a_question_is_embedded_once(cm: ContextManager, faults: Faults) -> None:
    """Whatever was written between; until something is deleted, which it might quote."""
    memory = cm.add_memory("The boat moved to berth 9.")
    faults.calls = 0
    cm.query_memory(QUESTION)
    cm.add_memory("The key hangs by the door.")
    calls = faults.calls
    cm.build_context(QUESTION)
    cm.query_memory(QUESTION)
    assert faults.calls == calls == 2
    cm.delete_memory(memory)
    cm.build_context(QUESTION)
    assert faults.calls == 3


def test_a_closed_manager_remembers_nothing(cm: ContextManager) -> None:
    """The context that was built before is no reason to answer."""
    cm.build(QUESTION)
    cm.close()
    with pytest.raises(StoreClosedError):
        cm.build(QUESTION)


def test_the_unchanged_beginning_is_counted(cm: ContextManager) -> None:
    """All of it for the same text; never more than what is really the same."""
    count, bound = cm._tokenizer.count, cm._tokenizer.concatenation_bound
    for number in range(30):
        cm.add_memory(f"The buoy {number} lies to the north of berth {number}.")
    first = cm.build(QUESTION)
    assert first.stable_prefix_tokens == 0
    assert cm.build(QUESTION).stable_prefix_tokens == first.tokens
    second = cm.build(f"{QUESTION} Still there?")
    same = os.path.commonprefix([first.text, second.text])  # noqa: RUF071 - of texts, not of paths
    assert 0 < second.stable_prefix_tokens <= count(same)
    assert second.stable_prefix_tokens >= count(same.rpartition("\n")[0]) - bound - 1
    assert second.as_dict()["stable_prefix_tokens"] == second.stable_prefix_tokens


def test_what_was_deleted_is_kept_nowhere(cm: ContextManager) -> None:
    """Not in the contexts that were built, either, nor in what the next one is compared with."""
    memory = cm.add_memory("The kingfisher nests in the crane.")
    for delete in (lambda: cm.delete_memory(memory), lambda: cm.erase(where={"topic": "bird"}), cm.clear_memory):
        cm.add_memory("The kingfisher nests here.", {"topic": "bird"})
        assert "kingfisher" in cm.build_context(QUESTION)
        delete()
        assert len(cm._assembler._built) == 0
        assert cm._assembler._previous == ""
    assert "kingfisher" not in cm.build_context(QUESTION)


def test_a_higher_summary_is_shown_in_place_of_those_it_stands_for(tmp_path: Path) -> None:
    """Newest first, each turn stood for once; what has no summary above it yet is shown as it is."""
    settings = config(stm_capacity=60, chunk_size=20, summaries="inline", summary_fanout=3)
    with manager(tmp_path, settings=settings) as cm:
        for number in range(20):
            cm.observe(f"Buoy {number} is red.", "Noted.")
        shown = [row.id for row in cm.build(QUESTION).ledger if row.part == "summary"]
        stored = {record.id: record.metadata for record in cm._vault.store.scan({"_ctx_kind": "summary"})}
        levels = [str(stored[name]["_ctx_level"]) for name in shown]
        assert levels == sorted(levels, key=("chunk", "session", "topic").index)
        assert len(set(levels)) > 1
        assert not {member for name in shown for member in stored[name]["_ctx_lineage"]} & set(shown)


def test_what_was_used_last_is_kept() -> None:
    """The oldest gives way, and being asked for makes young."""
    recent: Recent[str, int] = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert (recent.get("a"), recent.get("b"), recent.get("c"), len(recent)) == (1, None, 3, 2)
    recent.put("a", 4)
    assert (recent.get("a"), len(recent)) == (4, 2)


def test_contexts_are_remembered_in_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never stops asks ever new questions."""
    monkeypatch.setattr("ctxkit.context.assembling._REMEMBERED", 8)
    with manager(tmp_path) as cm:
        for number in range(12):
            cm.build(f"Where is the boat {number}?")
        assert len(cm._assembler._built) == 8

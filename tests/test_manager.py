"""The context manager as an application uses it, on the exact store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from components import config
from manager_support import manager

from ctxkit import ContextManager
from ctxkit.errors import (
    BudgetTooSmallError,
    ConfigError,
    IngestError,
    InvalidQueryError,
    InvalidRecordError,
)


@pytest.fixture
def cm(tmp_path: Path) -> Iterator[ContextManager]:
    """A durable manager with the default limits."""
    with manager(tmp_path / "store") as made:
        yield made


def test_a_turn_is_in_view_found_and_in_the_context(cm: ContextManager) -> None:
    """The main line: observe, then build."""
    cm.observe("My locker code is 4417.", "I will remember it.")
    assert [turn.user_input for turn in cm.short_term_memory.turns] == ["My locker code is 4417."]
    assert cm.short_term_memory.turns[0].assistant_response == "I will remember it."
    assert "4417" in cm.query_memory("What is my locker code?", k=1)[0][0]
    context = cm.build_context("What is my locker code?")
    assert context.count("4417") == 1  # among the recent turns, and not again among the memories
    assert context.endswith("What is my locker code?")


def test_the_newest_turn_is_cut_when_it_alone_is_too_long(cm: ContextManager) -> None:
    """It is shown as far as half of the budget goes, marked as cut, and accounted for."""
    cm.observe("start " + "filler " * 3000, "the end")
    result = cm.build("go on", budget=300)
    assert result.tokens <= 300
    assert "User: start filler" in result.text
    assert "[...]" in result.text
    assert result.ledger[0].reason == "the newest turn, cut to fit"


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_a_blank_memory_and_a_blank_query_are_refused(cm: ContextManager, text: str) -> None:
    """Neither can be found, neither can find."""
    with pytest.raises(InvalidRecordError, match="blank"):
        cm.add_memory(text)
    with pytest.raises(InvalidRecordError, match="blank"):
        cm.ingest_text(text)
    with pytest.raises(InvalidQueryError, match="blank"):
        cm.query_memory(text)


def test_a_blank_question_still_gets_the_recent_turns(cm: ContextManager) -> None:
    """A chat that sends only an attachment needs its context all the same."""
    cm.observe("hello", "hi")
    assert "hello" in cm.build_context("  ")


@pytest.mark.parametrize("k", [0, -1, True, 1.5, "5"])
def test_a_wrong_k_is_refused(cm: ContextManager, k: Any) -> None:
    """The error says what a k is."""
    with pytest.raises(InvalidQueryError, match="k >= 1"):
        cm.query_memory("text", k=k)


@pytest.mark.parametrize("budget", [0, -5, True, 2.5])
def test_a_wrong_budget_is_refused(cm: ContextManager, budget: Any) -> None:
    """The error says what a budget is."""
    with pytest.raises(ConfigError, match="budget"):
        cm.build("question", budget=budget)
    with pytest.raises(ConfigError, match="budget"):
        cm.build_context("question", budget=budget)


def test_a_question_longer_than_the_budget_is_an_error(cm: ContextManager) -> None:
    """A question is never cut in silence."""
    with pytest.raises(BudgetTooSmallError, match="the budget is 10"):
        cm.build("why " * 50, budget=10)


def test_text_that_is_no_text_is_refused(cm: ContextManager) -> None:
    """None instead of an answer is a common slip."""
    with pytest.raises(InvalidRecordError, match="NoneType"):
        cm.observe("hello", None)  # type: ignore[arg-type]


def test_metadata_of_the_user_is_checked(cm: ContextManager) -> None:
    """Our own keys and values that no store keeps are refused before anything is written."""
    with pytest.raises(InvalidRecordError, match="reserved"):
        cm.add_memory("text", {"_ctx_kind": "turn"})
    with pytest.raises(InvalidRecordError, match="mapping"):
        cm.add_memory("text", ["a"])  # type: ignore[arg-type]
    with pytest.raises(InvalidRecordError, match="tags"):
        cm.add_memory("text", {"tags": []})
    with pytest.raises(InvalidRecordError, match="timestamp"):
        cm.add_memory("text", {"timestamp": "yesterday"})
    with pytest.raises(InvalidRecordError, match="'the memory' has 'high' in 'importance', a field declared as number"):
        cm.add_memory("text", {"importance": "high"})
    with pytest.raises(InvalidRecordError, match="'the turn' has True in 'importance'"):
        cm.observe("text", "", metadata={"importance": True})
    assert cm.get_stats()["store"]["records"] == 0


def test_a_context_takes_what_the_account_of_it_takes(cm: ContextManager) -> None:
    """The budget and both moments."""
    then = 1_700_000_000.0
    cm.add_memory("The gate is green.", {"valid_from": then, "valid_until": then + 60})
    asked: dict[str, Any] = {"now": then, "budget": 100, "as_of": then + 1}
    text = cm.build_context("Which colour has the gate?", **asked)
    assert "green" in text
    assert text == cm.build("Which colour has the gate?", **asked).text
    assert "green" not in cm.build_context("Which colour has the gate?")


def test_a_question_without_an_answer_does_not_stand_before_one(cm: ContextManager) -> None:
    """It has all the words of the question, and none of the answer; what was only said is found as before."""
    cm.observe("who is on call in odd weeks?", "")
    cm.observe("who is on call in odd weeks", "")
    cm.add_memory("In odd weeks Mira is on call, in even weeks Jonas.")
    cm.observe("The tiler comes on Thursday", "")
    for question in ("who is on call in odd weeks?", "who is on call in odd weeks"):
        found = [text for text, _ in cm.query_memory(question, k=4)]
        assert "Mira" in found[0]
        assert len(found) == 4
    assert "Thursday" in cm.query_memory("The tiler comes on Thursday")[0][0]


def test_debugging_shows_the_same_context_with_its_account(cm: ContextManager) -> None:
    """Each key that users read is there, and what is kept and dropped adds up."""
    for i in range(12):
        cm.observe(f"The red boat number {i} left at {i} o'clock.", "Noted.")
    info = cm.debug_context_building("When did the red boat number 3 leave?")
    assert info["user_input"] == "When did the red boat number 3 leave?"
    assert info["recent_turns_count"] == len(info["recent_texts"]) == 5
    assert info["ltm_results_count"] == len(info["ltm_results"]) == 7
    assert info["final_context_length"] == len(info["context"])
    assert info["final_context_tokens"] <= info["context_budget"] == 12000
    assert info["context"] == cm.build_context("When did the red boat number 3 leave?")
    memories = [row for row in info["ledger"] if row["part"] == "memory"]
    assert sum(row["kept"] for row in memories) == 7
    assert all(row["reason"] for row in info["ledger"])
    assert {row["reason"] for row in memories if not row["kept"]} == {"shown among the recent turns"}
    assert [row["final"] for row in memories] == sorted((row["final"] for row in memories), reverse=True)


def test_hits_beyond_the_limit_are_dropped_and_say_so(tmp_path: Path) -> None:
    """ltm_hits_k is an upper bound, with a reason in the ledger."""
    with manager(tmp_path / "store", settings=config(ltm_hits_k=2, recent_k=1)) as cm:
        for i in range(6):
            cm.add_memory(f"tea leaf {i}")
        cm.add_memory("tea leaf 5")
        result = cm.build("tea leaf 5")
        assert len(result.kept("memory")) == 2
        reasons = {row.reason for row in result.ledger if not row.kept}
        assert any(reason.startswith("the same text as memory-") for reason in reasons)
        assert "ltm_hits_k (2) better ones were kept" in reasons


def test_statistics_have_the_documented_keys(cm: ContextManager) -> None:
    """Dashboards read them."""
    cm.observe("one", "two")
    cm.add_memory("three")
    stats = cm.get_stats()
    assert stats["short_term_memory"]["num_turns"] == 1
    assert 0 < stats["short_term_memory"]["utilization"] < 1
    assert stats["short_term_memory"]["max_tokens"] == 8000
    assert stats["long_term_memory"]["num_entries"] == 1
    assert stats["long_term_memory"]["index_size"] == 2
    assert stats["long_term_memory"]["index_type"]
    assert (stats["vector_store"], stats["embedder"], stats["tokenizer"]) == ("exact", "words", "estimate")
    assert stats["pending_embeddings"] == 0
    assert stats["last_embedding_error"] is None


def test_documents_are_ingested_once_replaced_and_skipped_by_name(tmp_path: Path) -> None:
    """An ingestion that is repeated does nothing; a changed file replaces its chunks."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "guide.md").write_text("The valve is behind the panel.\n\n" * 80)
    (folder / "image.png").write_bytes(b"\x89PNG\0\0")
    (folder / "link").symlink_to(folder / "nowhere")
    seen: list[tuple[int, int, str]] = []
    with manager(tmp_path / "store") as cm:
        report = cm.ingest_directory(folder, progress=lambda done, total, path: seen.append((done, total, path.name)))
        assert (report.files, report.unchanged, report.pending) == (1, 0, 0)
        assert report.chunks > 1
        assert {item.path.name: item.reason for item in report.skipped} == {
            "image.png": "binary file",
            "link": "broken link",
        }
        assert seen == [(1, 3, "guide.md"), (2, 3, "image.png"), (3, 3, "link")]
        again = cm.ingest_file(folder / "guide.md")
        assert (again.files, again.chunks, again.unchanged) == (0, 0, 1)
        (folder / "guide.md").write_text("The valve moved to the cellar.")
        assert cm.ingest_directory(folder).chunks == 1
        assert [text for text, _ in cm.query_memory("valve", k=9)] == ["The valve moved to the cellar."]
        context = cm.build_context("Where is the valve?")
        assert "[folder/guide.md]" in context
        with pytest.raises(IngestError, match="does not exist"):
            cm.ingest_directory(tmp_path / "nowhere")


def test_text_is_ingested_with_a_name_and_metadata(cm: ContextManager) -> None:
    """Without a name the text is its own name, so that the same text is stored once."""
    assert cm.ingest_text("Bees dance.", metadata={"topic": "bees"}).files == 1
    assert cm.ingest_text("Bees dance.", metadata={"topic": "bees"}).unchanged == 1
    assert cm.ingest_text("Bees dance.", metadata={"topic": "dance"}).files == 1
    assert cm.ingest_text("Bees sleep.", "bees.txt").files == 1
    assert cm.ingest_text("Bees hum.", "bees.txt").files == 1
    assert sorted(text for text, _ in cm.query_memory("bees", k=9)) == ["Bees dance.", "Bees hum."]

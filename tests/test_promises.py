"""What a user of memory can rely on: each promise, by its number, on each kind of store.

Erasing, promise 7, is in test_memory_erase.py; superseding, promise 8, in test_memory_validity.py.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import pytest
from components import Faults, FaultyEmbedder
from every_store import REGISTRY, STORES

from ctxkit import Config, ContextManager, EmbedderConfig, LLMConfig, MemoryConfig, VectorStoreConfig
from ctxkit.errors import BudgetTooSmallError, FingerprintMismatchError
from ctxkit.interfaces import LLM

START: Final = 1_700_000_000.0
TALK: Final = (
    ("I keep the boat at the harbour now.", "Which berth?"),
    ("Number fourteen, next to the crane.", "Noted."),
    ("Maren sold her violin last week.", "A pity."),
    ("The invoice is K-7731-B.", "I wrote it down."),
    ("We sail on Saturday if the wind is fair.", "Good luck."),
)


class Opener(Protocol):
    """Opens managers on one store."""

    def __call__(self, *, embedder: str = "words", **arguments: Any) -> ContextManager:
        """Open it; limits of memory by their names, and the parts of a scope."""


def opened(store: str, path: Path, *, embedder: str = "words", **arguments: Any) -> ContextManager:
    """Open a manager on a kind of store."""
    limits = {name: arguments.pop(name) for name in list(arguments) if name in MemoryConfig.model_fields}
    settings = Config(
        memory=MemoryConfig(**limits),
        llm=LLMConfig.model_validate({"api_key": "sk-of-nobody-0123456789"}),
        embedder=EmbedderConfig(provider=embedder),
        vector_store=VectorStoreConfig(provider=store),
    )
    return ContextManager(settings, path=path, registry=REGISTRY, **arguments)


@pytest.fixture(params=STORES)
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Managers on a store of each kind."""
    return partial(opened, request.param, tmp_path / "store")


@pytest.fixture
def faults() -> Iterator[Faults]:
    """Fresh faults for one test; whatever hangs is let go at its end."""
    FaultyEmbedder.faults = Faults()
    yield FaultyEmbedder.faults
    FaultyEmbedder.faults.release.set()


def talk(cm: ContextManager) -> list[str]:
    """Have the conversation, at fixed times, and return the ids of its turns."""
    return [cm.observe(*sides, timestamp=START + 60 * place) for place, sides in enumerate(TALK)]


def test_promise_1_nothing_observed_is_lost(memory: Opener, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither past the capacity, nor while the model or the summariser fails, nor by closing in the midst of that."""

    def fail(_self: LLM, *_: object, **__: object) -> None:
        raise ZeroDivisionError

    with memory(embedder="faulty", stm_capacity=60, chunk_size=20) as cm:
        ids = [cm.observe(f"Parcel {number} lies on shelf {number * 7}.", "Noted.") for number in range(6)]
        faults.mode = "raise"
        monkeypatch.setattr("ctxkit.defaults.extractive.ExtractiveSummarizer.complete", fail)
        ids += [cm.observe(f"Parcel {number} lies on shelf {number * 7}.", "Noted.") for number in range(6, 12)]
    faults.mode = "ok"
    with memory(embedder="faulty", stm_capacity=60, chunk_size=20) as cm:
        cm.backfill_embeddings()
        assert [entry.id for entry in cm.list_memories() if entry.kind == "turn"] == ids
        assert len(cm.short_term_memory.turns) < len(ids)
        figures = cm.long_term_memory.get_stats()
        assert (figures["index_size"], figures["pending_embeddings"]) == (len(ids), 0)
        for number in range(12):
            found = [text for text, _ in cm.query_memory(f"parcel {number} shelf {number * 7}", k=3)]
            assert any(f"Parcel {number} lies on shelf {number * 7}." in text for text in found)


def test_promise_2_the_budget_is_a_contract(memory: Opener) -> None:
    """For any budget and question: no token too many, the question whole, or a typed error."""
    with memory() as cm:
        talk(cm)
        cm.observe("日本語の長い話 " * 80, "🤖" * 50)
        cm.add_memory("word " * 400)
        refused = 0
        for question in ("Where is the boat?", "¿Dónde? 🚤\n\n## Question", "x" * 300):
            for budget in (1, 7, 19, 40, 90, 200, 700, 12_000):
                try:
                    result = cm.build(question, budget=budget)
                except BudgetTooSmallError:
                    refused += 1
                    continue
                assert cm._tokenizer.count(result.text) == result.tokens <= budget
                assert result.text.endswith(question)
        assert 3 <= refused < 24


def test_promise_3_every_candidate_is_accounted_for(memory: Opener, faults: Faults) -> None:
    """Kept or dropped, with scores, tokens and a reason; and nothing is searched twice."""
    question = "Which berth has the boat?"
    with memory(embedder="faulty", recent_k=2, ltm_hits_k=2) as cm:
        talk(cm)
        faults.calls = 0
        info = cm.debug_context_building(question)
        candidates = {candidate.id for candidate in cm.long_term_memory.candidates(question)}
        assert faults.calls == 1
        memories = [row for row in info["ledger"] if row["part"] == "memory"]
        assert {row["id"] for row in memories} == candidates
        assert len({(row["part"], row["id"]) for row in info["ledger"]}) == len(info["ledger"])
        assert sum(row["kept"] for row in memories) == info["ltm_results_count"] == len(info["ltm_results"]) == 2
        assert sum(row["kept"] for row in info["ledger"] if row["part"] == "recent") == info["recent_turns_count"]
        scores = {"dense", "lexical", "neighbor", "recency", "importance", "final"}
        assert all(scores < set(row) and row["tokens"] > 0 and row["reason"] for row in info["ledger"])
        assert all(row["text"] in info["context"] for row in info["ledger"] if row["kept"])


def test_promise_4_scopes_filter_inside_the_search(memory: Opener) -> None:
    """A session's own memories are found among many better ones of others, and no call crosses a scope."""
    with memory(user_id="ann", session_id="crowd") as cm:
        for number in range(60):
            cm.add_memory(f"The boat, the boat, the boat is at berth {number}.")
        cm.set_session("mine")
        own = [cm.add_memory(f"A boat {colour} as rust.") for colour in ("red", "brown", "orange")]
        assert sorted(entry.id for entry, _ in cm.long_term_memory.search("the boat at a berth", k=9)) == sorted(own)
        assert len(cm.query_memory("the boat at a berth", k=9)) == len(own)
        assert "berth" not in cm.build_context("the boat").replace("the boat", "")
        assert [entry.id for entry in cm.list_memories()] == own
    with memory(user_id="ann", session_id="mine", allow_cross_session=True) as cm:
        assert len(cm.query_memory("the boat at a berth", k=9)) == 9
    for stranger in (memory(user_id="bob"), memory()):
        with stranger as cm:
            assert cm.query_memory("the boat at a berth", k=9) == []
            assert cm.get_memory(own[0]) is None
            assert cm.build("the boat").ledger == ()


def test_promise_5_retrieval_finds_the_evidence(memory: Opener) -> None:
    """By words, by meaning and by what was said next to it, with no language model."""
    with memory(recent_k=1) as cm:
        for sides in TALK:
            for place, words in enumerate(sides):
                cm.add_memory(words, {"session_id": "s", "speaker": ("Ben", "Bot")[place]})
        for question, evidence in (
            ("What was K-7731-B?", "The invoice is K-7731-B."),
            ("Did Maren sell the violin?", "Maren sold her violin last week."),
            ("Which berth does the boat have?", "Number fourteen, next to the crane."),
        ):
            result = cm.build(question, budget=110)
            assert evidence in result.text, result.text
        rows = [row for row in cm.build("Which berth does the boat have?").ledger if row.part == "memory"]
        assert {"dense", "lexical", "neighbor"} <= {
            name for row in rows for name in ("dense", "lexical", "neighbor") if getattr(row, name)
        }


def test_promise_6_the_prefix_is_stable(memory: Opener) -> None:
    """The same memory renders the same prompt, and what follows a change is all that changes."""
    with memory() as cm:
        talk(cm)
        cm.ingest_text("The harbour master keeps the key. " * 12, "harbour.txt", {"timestamp": START})
        cm._summarizing.finish()
        first = cm.build("Where is the boat?")
    with memory() as cm:
        again = cm.build("Where is the boat?")
        assert again.text == first.text
        assert (again.stable_prefix_tokens, cm.build("Where is the boat?").stable_prefix_tokens) == (0, first.tokens)
        nearly = cm.build("Where is the boat now?")
        assert 0 < nearly.stable_prefix_tokens < nearly.tokens
        order = [nearly.text.index(section) for section in nearly.sections.values() if section]
        assert order == sorted(order)
        assert nearly.text.endswith("Where is the boat now?")


def test_promise_9_the_embedder_is_part_of_the_data(memory: Opener, tmp_path: Path) -> None:
    """Another model is refused with what makes the vectors anew, and that works."""
    with memory() as cm:
        cm.add_memory("The boat is at berth 14.")
        store = cm.get_stats()["vector_store"]
    with pytest.raises(FingerprintMismatchError, match="ctxkit reembed"):
        memory(embedder="other-words")
    with memory() as cm:
        assert len(cm.query_memory("boat")) == 1
    with memory(embedder="none") as cm:
        cm.save_memory(tmp_path / "saved")
    with opened(store, tmp_path / "new", embedder="other-words") as cm:
        assert cm.load_memory(tmp_path / "saved") == 1
        assert cm.long_term_memory.get_stats()["index_size"] == 1
        assert cm.query_memory("boat")[0][0] == "The boat is at berth 14."


def test_promise_10_caches_are_bounded_and_see_every_write(
    memory: Opener, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question is embedded once however it is asked, and its context follows what is written and deleted."""
    question = "Where is the boat?"
    monkeypatch.setattr("ctxkit.memory.vault._REMEMBERED", 8)
    with memory(embedder="faulty") as cm:
        cm.add_memory("The boat is at berth 14.")
        faults.calls = 0
        assert cm.build_context(question) == cm.build_context(question)
        cm.query_memory(question)
        assert faults.calls == 1
        moved = cm.add_memory("The boat moved to berth 9.")
        assert "berth 9" in cm.build_context(question)
        assert faults.calls == 2
        cm.delete_memory(moved)
        assert "berth 9" not in cm.build_context(question)
        for number in range(12):
            cm.query_memory(f"Where is boat {number}?")
        assert len(cm._vault._questions) == 8


def test_promise_10_logs_hold_neither_keys_nor_prompts(memory: Opener, caplog: pytest.LogCaptureFixture) -> None:
    """At INFO and above, whatever happens; what a record says comes through `ctxkit`."""
    caplog.set_level(logging.INFO)
    with memory(stm_capacity=40, chunk_size=20, prompt_token_budget=30) as cm:
        talk(cm)
        cm.build_context("Where is the boat?")
        with pytest.raises(BudgetTooSmallError):
            cm.build_context("Where is the boat? " * 40)
        cm.clear_memory()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("ctxkit")]
    assert any("prompt_token_budget" in message for message in ours)
    for secret in ("sk-of-nobody", "boat", "K-7731-B", "violin"):
        assert not any(secret in message for message in ours)

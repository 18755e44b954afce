"""Memory that goes elsewhere: one by one, saved and loaded, and through the pickles that applications make."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
from components import config
from manager_support import manager

from ctxkit import Config, ContextManager, EmbedderConfig, LLMConfig, MemoryConfig, VectorStoreConfig
from ctxkit.errors import ConfigError, InvalidFilterError, StoreCorruptError, StoreUnavailableError
from ctxkit.local import layout
from ctxkit.memory import LongTermMemory

KEY = "sk-of-nobody-0123456789"


def plain(**memory: object) -> Config:
    """Return a configuration of installed components, which a pickle can find again, with a key in it."""
    llm = LLMConfig.model_validate({"api_key": KEY, "organization_token": KEY})
    return Config(
        memory=MemoryConfig.model_validate(memory),
        llm=llm,
        embedder=EmbedderConfig(provider="static"),
        vector_store=VectorStoreConfig(provider="exact"),
    )


def test_memories_are_got_listed_and_deleted_by_id(tmp_path: Path) -> None:
    """Each by its id, whole, and never another scope's."""
    with manager(tmp_path, user_id="ann") as ann, manager(tmp_path, user_id="bob") as bob:
        kept = ann.add_memory("The boat is at berth 14.", {"topic": "boat", "timestamp": 1.0})
        long = ann.add_memory("harbour log " * 600, {"timestamp": 2.0})
        turn = ann.observe("Where is the key?", "By the door.", timestamp=3.0)
        found = ann.get_memory(kept)
        assert found is not None
        assert (found.text, found.kind, found.metadata["topic"]) == ("The boat is at berth 14.", "memory", "boat")
        assert [entry.id for entry in ann.list_memories()] == [kept, long, turn]
        assert [entry.id for entry in ann.list_memories(limit=2)] == [long, turn]
        assert [entry.id for entry in ann.list_memories({"topic": "boat"})] == [kept]
        with pytest.raises(InvalidFilterError):
            ann.list_memories({"topic": {"$like": "b"}})
        assert bob.get_memory(kept) is None
        assert not bob.delete_memory(kept)
        assert bob.list_memories() == []
        assert ann.delete_memory(long)
        assert not ann.delete_memory(long)
        assert not any("harbour" in text for text, _ in ann.query_memory("harbour log"))
        assert ann.delete_memory(turn)
        assert ann.short_term_memory.turns == []
        assert ann.get_stats()["store"]["records"] == 1


def test_what_may_be_seen_across_sessions_is_not_deleted(tmp_path: Path) -> None:
    """Reading wider than one's own is no right to delete."""
    with manager(tmp_path, session_id="one") as one:
        memory = one.add_memory("The boat is at berth 14.")
    with manager(tmp_path, session_id="two", allow_cross_session=True) as two:
        assert two.get_memory(memory) is not None
        assert not two.delete_memory(memory)
        assert two.get_memory(memory) is not None


def test_saved_memory_is_loaded_whole(tmp_path: Path) -> None:
    """Turns, view, summaries and memories; a second time nothing comes, and what was there stays."""
    settings = config(stm_capacity=60, chunk_size=20)
    with manager(settings=settings) as cm:
        for number in range(8):
            cm.observe(f"The buoy {number} is red.", "Noted.")
        cm.add_memory("The boat is at berth 14.")
        records = cm.get_stats()["store"]["records"]
        assert cm.save_memory(tmp_path / "saved") == records
        turns, entries = cm.short_term_memory.turns, cm.long_term_memory.entries
        assert not list(tmp_path.glob(".saved*"))
    with manager(settings=settings) as cm:
        assert cm.load_memory(str(tmp_path / "saved")) == records
        assert cm.short_term_memory.turns == turns
        assert cm.long_term_memory.entries == entries
        assert cm.get_stats()["pending_embeddings"] == 0
        assert cm.load_memory(tmp_path / "saved") == 0
    with manager(tmp_path / "saved", settings=settings) as cm:
        assert cm.query_memory("Where is the boat?", k=1)[0][0] == "The boat is at berth 14."


def test_only_the_own_scope_is_saved_and_loaded(tmp_path: Path) -> None:
    """A copy that a user takes away holds nobody else's memory, and nobody else loads it."""
    with manager(tmp_path / "store", user_id="ann") as ann, manager(tmp_path / "store", user_id="bob") as bob:
        ann.add_memory("Ann's boat is at berth 14.")
        bob.add_memory("Bob's boat sank.")
        assert ann.save_memory(tmp_path / "saved") == 1
        assert bob.load_memory(tmp_path / "saved") == 0
        assert [entry.text for entry in bob.list_memories()] == ["Bob's boat sank."]
    assert b"sank" not in b"".join(file.read_bytes() for file in (tmp_path / "saved").rglob("*") if file.is_file())


def test_saving_and_loading_where_that_cannot_be(tmp_path: Path) -> None:
    """A folder in use is left alone, a folder without memory says so, and a damaged copy is no memory."""
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("mine")
    with manager() as cm:
        cm.add_memory("The boat is at berth 14.")
        with pytest.raises(ConfigError, match="used"):
            cm.save_memory(tmp_path / "used")
        with pytest.raises(StoreUnavailableError, match="file"):
            cm.save_memory(tmp_path / "used" / "file" / "below")
        with pytest.raises(StoreUnavailableError, match="saved memory"):
            cm.load_memory(tmp_path / "used")
        with pytest.raises(StoreUnavailableError, match="saved memory"):
            cm.load_memory(tmp_path / "nowhere")
        cm.save_memory(tmp_path / "saved")
        (database,) = (tmp_path / "saved").rglob(layout.DATABASE)
        database.write_bytes(database.read_bytes().replace(b"berth 14", b"berth 41"))
    with manager() as cm:
        with pytest.raises(StoreCorruptError):
            cm.load_memory(tmp_path / "saved")
        assert cm.list_memories() == []


def test_vectors_of_another_model_are_made_anew(tmp_path: Path) -> None:
    """A copy made without a model is embedded by whoever loads it; one made with another model is too."""
    with manager(settings=config(embedder="none")) as cm:
        cm.add_memory("The boat is at berth 14.")
        cm.save_memory(tmp_path / "saved")
    with manager() as cm:
        assert cm.load_memory(tmp_path / "saved") == 1
        assert cm.long_term_memory.get_stats()["index_size"] == 1
        assert cm.get_stats()["pending_embeddings"] == 0
        cm.save_memory(tmp_path / "again")
    with ContextManager(plain()) as cm:
        assert cm.load_memory(tmp_path / "again") == 1
        assert cm.long_term_memory.get_stats()["index_size"] == 1


def test_a_pickle_of_a_durable_manager_holds_its_path(tmp_path: Path) -> None:
    """It opens the same store again, in the same scope, and holds neither a record nor a key."""
    with ContextManager(plain(), path=tmp_path / "store", user_id="ann", session_id="s") as cm:
        cm.observe("The boat is at berth 14.", "Noted.")
        kept = pickle.dumps(cm)
        assert b"berth" not in kept
        assert KEY.encode() not in kept
        with pickle.loads(kept) as again:  # noqa: S301 - our own
            assert again.path == cm.path
            assert again.short_term_memory.turns == cm.short_term_memory.turns
            again.observe("And the key?", "By the door.")
            assert again.config.llm.api_key is None
        assert len(cm.list_memories()) == 2
        assert cm.config.llm.api_key is not None


def test_a_pickle_of_a_manager_in_memory_holds_its_records() -> None:
    """Vectors too, so that nothing is embedded again; a copy of it is a memory of its own."""
    with ContextManager(plain(), session_id="s") as cm:
        cm.observe("The boat is at berth 14.", "Noted.")
        cm.add_memory("The key hangs by the door.")
        kept = pickle.dumps(cm)
        assert KEY.encode() not in kept
        with pickle.loads(kept) as again, copy.deepcopy(cm) as deep:  # noqa: S301 - our own
            for other in (again, deep):
                assert other.list_memories() == cm.list_memories()
                assert other.build_context("Where is the key?") == cm.build_context("Where is the key?")
                assert other.long_term_memory.get_stats() == cm.long_term_memory.get_stats()
                other.clear_memory()
        assert len(cm.list_memories()) == 2


def test_memory_that_is_assigned_is_taken_over(tmp_path: Path) -> None:
    """It becomes durable where the manager is durable, within the scope; what is there stays."""
    with ContextManager(plain(), user_id="ann") as source, LongTermMemory(plain()) as alone:
        source.observe("The boat is at berth 14.", "Noted.")
        alone.add_memory("Nobody's memory.")
        parts = pickle.loads(pickle.dumps((source.short_term_memory, source.long_term_memory)))  # noqa: S301 - our own
        with ContextManager(plain(), path=tmp_path / "store", user_id="ann") as cm:
            cm.add_memory("The key hangs by the door.")
            cm.short_term_memory, cm.long_term_memory = parts
            cm.long_term_memory = alone
            cm.short_term_memory = cm.short_term_memory
        parts[1].close()
    with ContextManager(plain(), path=tmp_path / "store", user_id="ann") as cm:
        assert [turn.user_input for turn in cm.short_term_memory.turns] == ["The boat is at berth 14."]
        assert [entry.text for entry in cm.long_term_memory.entries] == ["The key hangs by the door."]

"""One store, several managers: what one does, the others see, and nobody undoes another's work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from components import config, registry

from ctxkit import Config, ContextManager, EmbedderConfig, PluginRegistry, VectorStoreConfig
from ctxkit.errors import ConfigError, InvalidRecordError, StoreFullError, StoreLockedError
from ctxkit.memory import ShortTermMemory, Vault, kinds, vault
from ctxkit.memory.lease import Lease

REGISTRY = registry()
SMALL: dict[str, Any] = {"stm_capacity": 200, "chunk_size": 100}


def manager(path: Path, settings: Config | None = None, **scope: Any) -> ContextManager:
    """Return a manager on the exact store."""
    return ContextManager(settings or config(), path=path, registry=REGISTRY, **scope)


def test_what_one_clears_is_gone_for_the_other(tmp_path: Path) -> None:
    """Cleared turns leave the other's view and prompt, and no later summary brings them back."""
    with manager(tmp_path, config(**SMALL)) as first, manager(tmp_path, config(**SMALL)) as second:
        for i in range(9):
            first.observe(f"secret number {i}", "ok")
        second.observe("hello", "hi")
        assert first.clear_memory() >= 10
        assert "secret number" not in second.build_context("What is the secret?")
        assert second.get_stats()["long_term_memory"]["num_entries"] == 0
        for i in range(30):
            second.observe(f"plain talk {i} about the weather", "ok")
        assert not any("secret" in record.text for record in second._vault.store.scan())
        assert first.short_term_memory.turns != second.short_term_memory.turns
        first.build_context("What was said?")
        assert first.short_term_memory.turns == second.short_term_memory.turns


def test_clearing_long_term_memory_spares_what_the_other_just_said(tmp_path: Path) -> None:
    """The turns in view are those of the store, not those that this manager happened to know."""
    with manager(tmp_path) as first, manager(tmp_path) as second:
        second.observe("in view", "ok")
        assert first.long_term_memory.clear() == 0
        assert len(first.query_memory("view")) == 1


def test_a_late_writer_is_in_view_and_in_a_summary_in_the_end(tmp_path: Path) -> None:
    """A manager that was idle while others wrote does not write into the past."""
    with manager(tmp_path, config(**SMALL), session_id="x") as busy:
        with manager(tmp_path, config(**SMALL), session_id="x") as idle:
            idle.observe("idle says first", "ok")
            for i in range(60):
                busy.observe(f"busy says {i}", "ok")
            late = idle.observe("idle says the code is 9921", "ok")
            busy.build_context("What is new?")
            assert busy.short_term_memory.turns[-1].id == late
        positions = [turn.position for turn in busy.short_term_memory.turns]
        assert positions == sorted(set(positions))
        lineage = [
            turn
            for record in busy._vault.store.scan({"_ctx_kind": "summary"})
            for turn in record.metadata["_ctx_lineage"]
        ]
        in_view = [turn.id for turn in busy.short_term_memory.turns]
        everything = [record.id for record in busy._vault.store.scan({"_ctx_kind": "turn"})]
        assert sorted(lineage + in_view) == sorted(everything)
        assert len(everything) == 62


def test_a_turn_waits_as_long_as_others_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all are slow, nobody goes before its turn: not the time counts, but whether the store gets on."""
    monkeypatch.setattr(vault, "LEASE_PATIENCE", 0.01)
    with manager(tmp_path) as first, manager(tmp_path) as second, ExitStack() as others:
        assert others.enter_context(first._vault.lease.held())
        numbers = count()

        def written() -> int:
            if (number := next(numbers)) == 5:
                others.close()
            return number

        monkeypatch.setattr(second._vault.store, "version", written)
        second.observe("The boat is blue.", "Noted.")
        with Lease("writing", tmp_path).held() as free:
            assert free


def test_who_hangs_with_the_right_to_write_keeps_nobody_from_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said is stored all the same; what depends on the order is refused, with what to do."""
    monkeypatch.setattr(vault, "LEASE_PATIENCE", 0.01)
    with manager(tmp_path) as first, manager(tmp_path) as second, first._vault.lease.held():
        turn = second.observe("The boat is blue.", "Noted.")
        with pytest.raises(StoreLockedError, match="try again"):
            second.erase(turn)
        assert second.query_memory("boat", k=1)


def test_a_memory_that_another_one_makes_meanwhile_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two who find a folder without a memory at once open the same one, whoever makes it."""
    looked = kinds.kinds_in

    def late(folder: Path, known: PluginRegistry) -> Iterator[tuple[str, list[str]]]:
        monkeypatch.setattr(kinds, "kinds_in", looked)
        with manager(folder) as other:
            other.observe("The boat is blue.", "Noted.")
        return looked(folder, known)

    (tmp_path / "begun").mkdir()
    monkeypatch.setattr(kinds, "kinds_in", late)
    with manager(tmp_path) as cm:
        assert kinds.kinds_in is looked
        assert cm.query_memory("boat", k=1)


def test_turns_that_came_in_sideways_do_not_overfill_the_view(tmp_path: Path) -> None:
    """A session filled through metadata is summarised when it comes into view."""
    with manager(tmp_path, config(**SMALL)) as cm:
        for i in range(100):
            cm.observe(f"message {i}", "ok", metadata={"session_id": "channel"})
        cm.set_session("channel")
        assert 0 < cm.short_term_memory.current_tokens <= 200


def test_reading_across_sessions_is_not_deleting_across_them(tmp_path: Path) -> None:
    """allow_cross_session opens the search, not the shredder."""
    with manager(tmp_path, session_id="a") as cm:
        cm.observe("of session a", "ok")
    with manager(tmp_path, session_id="b", allow_cross_session=True) as cm:
        cm.observe("of session b", "ok")
        assert len(cm.query_memory("session", k=9)) == 2
        assert cm.clear_memory() == 1
        assert [text for text, _ in cm.query_memory("session", k=9)] == ["User: of session a\nAssistant: ok"]
        assert cm.long_term_memory.clear() == 0


def test_a_session_that_cannot_be_opened_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a switch would show one session's memories under another's name."""
    with manager(tmp_path, session_id="a") as cm:
        cm.observe("alpha", "ok")

        def locked(_self: ShortTermMemory) -> None:
            raise StoreLockedError("busy.", fix="wait.")

        with monkeypatch.context() as patch:
            patch.setattr(ShortTermMemory, "refresh", locked)
            with pytest.raises(StoreLockedError):
                cm.set_session("b")
        assert cm.get_stats()["session_id"] == "a"
        cm.observe("beta", "ok")
        assert [turn.user_input for turn in cm.short_term_memory.turns] == ["alpha", "beta"]


def test_a_summary_that_cannot_be_written_costs_no_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The turn is stored when its summary is tried, so its caller must not be told otherwise."""
    with manager(tmp_path, config(**SMALL)) as cm:

        def no_room(_self: Vault, _records: object) -> None:
            raise StoreFullError("no room.", fix="make some.")

        with monkeypatch.context() as patch:
            patch.setattr(Vault, "keep", no_room)
            for i in range(30):
                cm.observe(f"turn number {i} of many", "ok")
        assert len(cm.short_term_memory.turns) == 30
        cm.observe("and one more", "ok")
        assert cm.short_term_memory.current_tokens <= 200


@pytest.mark.parametrize(
    "call",
    [
        lambda cm: cm.observe("a", "b", turn_id=5),
        lambda cm: cm.observe("a", "b", turn_id=""),
        lambda cm: cm.observe("a", "b", timestamp="yesterday"),
        lambda cm: cm.observe("a", "b", timestamp=True),
        lambda cm: cm.observe("a", "b", timestamp=[1]),
        lambda cm: cm.observe("a", "b", timestamp=10**400),
        lambda cm: cm.observe("a", "b", metadata={"timestamp": "yesterday"}),
        lambda cm: cm.observe("a", "b", metadata={"session_id": np.array(["a", "b"])}),
        lambda cm: cm.observe("a", "b", metadata={"session_id": 5}),
        lambda cm: cm.build("q", now="soon"),
        lambda cm: cm.build("q", now=float("nan")),
    ],
)
def test_bad_input_is_a_typed_error_and_stores_nothing(tmp_path: Path, call: Callable[[ContextManager], Any]) -> None:
    """Whatever a program passes by mistake."""
    with manager(tmp_path) as cm:
        with pytest.raises(InvalidRecordError, match="Fix: "):
            call(cm)
        assert cm.get_stats()["store"]["records"] == 0


def test_bad_scopes_paths_and_configurations_are_typed_errors(tmp_path: Path) -> None:
    """Each is a ConfigError before anything is made."""
    for scope in ({"session_id": "\ud800"}, {"user_id": 5}, {"task_id": ""}):
        with pytest.raises(ConfigError):
            manager(tmp_path / "store", **scope)
    for path in ("", 5, b"bytes"):
        with pytest.raises(ConfigError, match="path"):
            manager(path)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="config is dict"):
        manager(tmp_path / "store", {"memory": {}})  # type: ignore[arg-type]
    both = Config(vector_store=VectorStoreConfig.model_validate({"provider": "exact", "path": str(tmp_path / "a")}))
    with pytest.raises(ConfigError, match="keep one"):
        manager(tmp_path / "b", both)
    assert list(tmp_path.iterdir()) == []


def test_a_path_among_the_options_of_the_store_is_the_path(tmp_path: Path) -> None:
    """It is durable, and says so."""
    chosen = VectorStoreConfig.model_validate({"provider": "exact", "path": str(tmp_path / "store")})
    settings = Config(vector_store=chosen, embedder=EmbedderConfig(provider="words"))
    with ContextManager(settings, registry=REGISTRY) as cm:
        cm.observe("kept", "ok")
        assert str(tmp_path / "store") in repr(cm)
    with manager(tmp_path / "store") as cm:
        assert cm.query_memory("kept")


def test_the_index_type_reaches_the_store(tmp_path: Path) -> None:
    """A configuration that asks for HNSW gets it, with the options of the graph."""
    chosen = VectorStoreConfig.model_validate({"index_type": "HNSW", "ef_search": 32})
    with ContextManager(Config(vector_store=chosen), path=tmp_path / "store") as cm:
        cm.observe("a", "b")
        assert cm.get_stats()["long_term_memory"]["index_type"] == "HNSW"


def test_an_explicit_timestamp_wins_and_metadata_is_stored_plain(tmp_path: Path) -> None:
    """What is in view is what is in the store, not what the caller still holds."""
    tags = ["a"]
    with manager(tmp_path) as cm:
        cm.observe("a", "b", timestamp=5, metadata={"timestamp": 9, "tags": tags, "score": np.float32(0.5)})
        tags.append("b")
        shown = cm.short_term_memory.turns[0]
        assert shown.timestamp == 5.0
        assert shown.metadata["tags"] == ["a"]
        assert type(shown.metadata["score"]) is float
        cm.add_memory("Benefits are great", {"speaker": "Ben"})
        assert "Ben: Benefits are great" in cm.build_context("Who has benefits?")


def test_secrets_among_the_options_are_not_shown() -> None:
    """A component's options may hold a key; configurations are printed and logged."""
    for section in (
        EmbedderConfig.model_validate({"provider": "openai", "api_key": "sk-1"}),
        VectorStoreConfig.model_validate({"password": "sk-1", "token": "sk-1"}),
    ):
        assert "sk-1" not in repr(section)
        assert "sk-1" not in str(section)
        assert "sk-1" in section.options().values()

"""A memory that moves: the same answers for each user and each moment, and nothing of what was erased."""

from __future__ import annotations

import gzip
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moving_support import COLLECTION, REGISTRY, Halting, contents, fill, place, plain, spec_of

from ctxkit import Config, ContextManager, EmbedderConfig, MemoryConfig, VectorStoreConfig
from ctxkit.memory.opening import COLLECTION as MEMORY
from ctxkit.moving import Order, export, import_export, migrate
from ctxkit.records import Record

TALK = (
    ("I keep the boat at the harbour now.", "Which berth?"),
    ("Number fourteen, next to the crane.", "Noted."),
    ("Maren sold her violin last week.", "A pity."),
    ("The invoice is K-7731-B.", "I wrote it down."),
)
QUESTIONS = ("Where is the boat?", "What did Maren sell?", "invoice K-7731-B")


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the journals of moves to a server where the test is."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def opened(store: str, folder: Path, user_id: str | None = None) -> ContextManager:
    """Open a memory on a kind of store."""
    options = dict(place(store, folder).options)
    path = options.pop("path", None)
    settings = Config(
        memory=MemoryConfig(stm_capacity=60, chunk_size=20, summaries="inline"),
        embedder=EmbedderConfig(provider="words"),
        vector_store=VectorStoreConfig.model_validate({"provider": store, **options}),
    )
    return ContextManager(settings, path=path, user_id=user_id, registry=REGISTRY)


def answers(store: str, folder: Path, user_id: str | None = None) -> list[Any]:
    """Return what a memory says of itself and builds; where it is kept and how large its files are is its own."""
    with opened(store, folder, user_id) as memory:
        figures = memory.get_stats()
        mine = {
            key: figures[key] for key in ("short_term_memory", "long_term_memory", "pending_embeddings", "session_id")
        }
        mine["long_term_memory"].pop("index_type")
        entries = [(each.id, each.text, each.kind, each.metadata) for each in memory.list_memories()]
        then = memory.query_memory("rent", as_of=150.0)
        return [mine, sorted(entries, key=str), then, *(memory.build_context(question) for question in QUESTIONS)]


def test_a_memory_works_as_before(tmp_path: Path) -> None:
    """Statistics, lists and prompts are the same on the next store; records without a vector come back without one."""
    with opened("faiss", tmp_path / "faiss") as memory:
        for number, sides in enumerate(TALK):
            memory.observe(*sides, timestamp=1_700_000_000.0 + number)
        memory.add_memory("harbour log " * 600, {"timestamp": 1.0})
    wanted = answers("faiss", tmp_path / "faiss")
    assert "boat at the harbour" in wanted[3]
    steps = ("faiss", "pgvector", "chroma", "exact")
    for before, after in pairwise(steps):
        migrate(place(before, tmp_path / before), place(after, tmp_path / after), Order(MEMORY))
        assert answers(after, tmp_path / after) == wanted, after
    first = contents(place("faiss", tmp_path / "faiss"), MEMORY)
    assert contents(place("exact", tmp_path / "exact"), MEMORY) == first
    assert any(vector is None for _, vector, _ in first.values())


def test_a_memory_with_users_and_times_moves_without_what_was_erased(tmp_path: Path) -> None:
    """On a server and back each user sees their own, as of then and as of now; what was erased is in no file."""
    users = ("maren", "jonas")
    for user in users:
        with opened("faiss", tmp_path / "faiss", user) as memory:
            first = memory.add_memory(f"{user}'s rent is 900.", {"valid_from": 100.0})
            memory.add_memory(f"{user}'s rent is 950.", {"valid_from": 200.0}, supersedes=first)
            memory.observe("My locker code is 4417-XK.", "Noted.", timestamp=150.0)
            gone = [each.id for each in memory.list_memories() if "4417-XK" in each.text]
            assert memory.erase(gone).turns == 1
    wanted = [answers("faiss", tmp_path / "faiss", user) for user in users]
    assert [[text for text, _ in then] for _, _, then, *_ in wanted] == [[f"{user}'s rent is 900."] for user in users]
    export(place("faiss", tmp_path / "faiss"), tmp_path / "x", MEMORY)
    import_export(tmp_path / "x", place("pgvector", tmp_path / "t"))
    migrate(place("pgvector", tmp_path / "t"), place("exact", tmp_path / "back"), Order(MEMORY))
    for store, folder in (("pgvector", "t"), ("exact", "back")):
        assert [answers(store, tmp_path / folder, user) for user in users] == wanted
    lines = b"".join(gzip.decompress(file.read_bytes()) for file in (tmp_path / "x").glob("*.gz"))
    assert b"rent is 950." in lines
    assert b"4417-XK" not in lines
    assert found_in(tmp_path / "back", b"rent is 950.", b"4417-XK") == [b"rent is 950."]


def test_what_the_source_lost_is_in_no_file_of_the_target(tmp_path: Path) -> None:
    """It may have been erased there: a move that goes on takes its bytes out of the copy as well."""
    source, target = place("exact", tmp_path / "s"), place("exact", tmp_path / "t")
    fill(source, [*plain(20), Record("secret", "the code is 4417-XK", np.ones(8)), Record("was", "7731-B", np.ones(8))])
    with pytest.raises(KeyboardInterrupt):
        migrate(source, target, Order(COLLECTION, progress=Halting("verify", 1)))
    assert {b"4417-XK", b"7731-B"} <= set(found_in(tmp_path / "t", b"4417-XK", b"7731-B"))
    with source.open(spec_of()) as store:
        store.delete(["secret"])
        store.upsert([Record("was", "remade", np.ones(8))])
    with pytest.raises(KeyboardInterrupt):  # deleted, but its bytes are still there
        migrate(source, target, Order(COLLECTION, progress=Halting("delete", 1)))
    assert migrate(source, target, Order(COLLECTION)).deleted == 0
    assert found_in(tmp_path / "t", b"4417-XK", b"7731-B") == []


def found_in(folder: Path, *words: bytes) -> list[bytes]:
    """Return which of these stand in a file of a folder."""
    everything = b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())
    return [word for word in words if word in everything]

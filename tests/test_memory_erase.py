"""Promise 7: what is erased is gone, from every answer and from the bytes on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from components import DIMENSION, WordEmbedder, WordsConfig
from every_store import ENGINES, REGISTRY, STORES

from ctxkit import Config, ContextManager, EmbedderConfig, MemoryConfig, VectorStoreConfig
from ctxkit.errors import ConfigError, StoreUnavailableError
from ctxkit.local.exact import kept
from ctxkit.memory import Vault

HIDDEN: Final = "Zanzibarquartz hides beneath the Wolframlantern"


def opened(path: Path, *, store: str = "exact", embedder: str = "words", **arguments: Any) -> ContextManager:
    """Open a manager whose index is made at once, however few vectors there are."""
    limits = {name: arguments.pop(name) for name in list(arguments) if name in MemoryConfig.model_fields}
    options: dict[str, Any] = {"provider": store}
    if store in ENGINES:
        options |= {"index_type": "HNSW", "exact_below": 1, "index_build": "inline"}
    settings = Config(
        memory=MemoryConfig(**limits),
        embedder=EmbedderConfig(provider=embedder),
        vector_store=VectorStoreConfig.model_validate(options),
    )
    return ContextManager(settings, path=path, registry=REGISTRY, **arguments)


def left_in_files(path: Path, *needles: bytes) -> list[str]:
    """Return the files below a folder that hold one of these byte strings."""
    return [
        str(file.relative_to(path))
        for file in sorted(path.rglob("*"))
        if file.is_file() and any(needle in file.read_bytes() for needle in needles)
    ]


def needles_of(cm: ContextManager, record_id: str) -> list[bytes]:
    """Return what must be found of a record before it is erased and nowhere afterwards: its words and its vector."""
    (record,) = cm._vault.store.get([record_id], include_vectors=True)
    assert record is not None
    vector = WordEmbedder(WordsConfig()).embed_documents([record.text])[0]
    assert vector.shape == (DIMENSION,)
    forms = (vector, kept(vector[np.newaxis], "cosine")[0][0])  # as in the database, as in a segment
    return [b"Zanzibarquartz", b"zanzibarquartz", b"wolframlantern", *(form.tobytes()[:32] for form in forms)]


@pytest.mark.parametrize("store", STORES)
def test_promise_7_erase_is_complete_and_provable(store: str, tmp_path: Path) -> None:
    """Turn, parts, summaries, vectors, words, segments and cache: nothing is found, in the API or in the files."""
    path = tmp_path / "store"
    small = {"stm_capacity": 60, "chunk_size": 30, "summary_fanout": 2, "summary_compression_ratio": 1.0}
    settings: dict[str, Any] = {"store": store, "embedder": "costly", **small}
    with opened(path, **settings) as cm:
        for number in range(6):
            cm.observe(f"Shelf {number} holds paint.", "Noted.")
        doomed = cm.observe(HIDDEN, "I shall tell nobody.")
        for number in range(6, 14):
            cm.observe(f"Shelf {number} holds paint.", "Noted.")
        cm._summarizing.finish()
        assert cm.query_memory("Where is the zanzibarquartz?", k=1)[0][0].startswith(f"User: {HIDDEN}")
        summaries = [entry for entry in cm.list_memories() if entry.kind == "summary"]
        assert sum("Zanzibarquartz" in entry.text for entry in summaries) >= 2  # of a chunk, and of chunks
        needles = needles_of(cm, doomed)
        in_view = [turn.id for turn in cm.short_term_memory.turns]
        cm._vault.store.optimize()
    before = left_in_files(path, *needles)
    assert store not in ENGINES or {"rows.f32", "store.db"} <= {Path(name).name for name in before}
    with opened(path, **settings) as cm:
        report = cm.erase(doomed)
        assert (report.turns, report.vectors) == (1, 1)
        assert report.cache_entries >= 1
        assert report.summaries + report.summaries_remade >= 2
        assert [turn.id for turn in cm.short_term_memory.turns] == in_view
        assert cm.get_memory(doomed) is None
        everything = [text for text, _ in cm.query_memory("zanzibarquartz wolframlantern", k=99)]
        everything += [entry.text for entry in cm.list_memories()]
        everything.append(cm.build_context("Where is the quartz?"))
        assert not any("anzibarquartz" in text for text in everything)
        assert (
            sum("Shelf" in text and "User" in text for text, _ in cm.query_memory("Which shelf holds paint?", k=99))
            == 14
        )
        assert report.bytes_erased == (store in ENGINES)
        if store in ENGINES:
            assert left_in_files(path, *needles) == []
        else:
            assert "bytes may stand" in report.remark
    if store in ENGINES:
        assert left_in_files(path, *needles) == []


SMALL: Final[dict[str, Any]] = {
    "stm_capacity": 60,
    "chunk_size": 30,
    "summary_fanout": 3,
    "summary_compression_ratio": 1.0,
}


def test_erasing_leaves_nothing_while_others_have_the_store_open(tmp_path: Path) -> None:
    """The log is cut and older segments go although another handle reads them, and it goes on reading."""
    with opened(tmp_path) as cm, opened(tmp_path) as other:
        doomed = cm.add_memory(f"{HIDDEN}.")
        others = [cm.add_memory(f"Shelf {number} holds paint.") for number in range(9)]
        assert len(other.query_memory("quartz lantern paint shelf zanzibarquartz", k=99)) == 10
        cm._vault.store.optimize()
        needles = needles_of(cm, doomed)
        assert left_in_files(tmp_path, *needles)
        assert cm.erase(doomed).bytes_erased
        assert left_in_files(tmp_path, *needles) == []
        assert len(other.query_memory("quartz lantern paint shelf zanzibarquartz", k=99)) == len(others)
        assert left_in_files(tmp_path, *needles) == []


def lineage(cm: ContextManager, level: str) -> list[str]:
    """Return the ids that the summaries of a level stand for, oldest first."""
    found = cm._vault.store.scan({"_ctx_level": level}, order_by="_ctx_frontier")
    return [name for record in found for name in record.metadata["_ctx_lineage"]]


def test_what_is_left_is_summarised_anew_and_nothing_comes_back_into_view(tmp_path: Path) -> None:
    """Whatever is erased: each turn that stays is in view or stands in one summary, and all links lead somewhere."""
    with opened(tmp_path, **SMALL) as cm:
        ids = [cm.observe(f"Shelf {number} holds paint.", "Noted.") for number in range(40)]
        cm._summarizing.finish()
        for doomed in ([ids[0]], ids[3:9], [ids[20]], ids[25:34]):
            in_view = [turn.id for turn in cm.short_term_memory.turns]
            report = cm.erase(doomed)
            assert report.turns == len(doomed)
            assert report.summaries_remade > 0
            assert [turn.id for turn in cm.short_term_memory.turns] == [i for i in in_view if i not in doomed]
            ids = [name for name in ids if name not in doomed]
            assert lineage(cm, "chunk") + [turn.id for turn in cm.short_term_memory.turns] == ids
            known = {record.id for record in cm._vault.store.scan({"_ctx_level": "chunk"})}
            assert set(lineage(cm, "session")) <= known
        in_view = [turn.id for turn in cm.short_term_memory.turns]
    with opened(tmp_path, **SMALL) as cm:
        assert [turn.id for turn in cm.short_term_memory.turns] == in_view


def test_an_erasure_cut_short_is_completed_by_the_same_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where what it left half done was summarised in turn: each turn, and each summary, stands in one summary."""

    def cut_short(_self: Vault, _ids: object) -> None:
        raise StoreUnavailableError("gone.", fix="come back.")

    with opened(tmp_path, **SMALL, summaries="inline") as cm:
        ids = [cm.observe(f"Shelf {number} holds paint.", "Noted.") for number in range(6)]
        with monkeypatch.context() as patch:
            patch.setattr(Vault, "delete", cut_short)
            with pytest.raises(StoreUnavailableError):
                cm.erase(ids[0])
        ids += [cm.observe(f"Shelf {number} holds wine.", "Noted.") for number in range(12)]
        assert cm.erase(ids.pop(0)).turns == 1
        assert lineage(cm, "chunk") + [turn.id for turn in cm.short_term_memory.turns] == ids
        above = lineage(cm, "session")
        assert len(set(above)) == len(above)


def test_an_erased_summary_keeps_its_turns_out_of_view(tmp_path: Path) -> None:
    """Its text goes, and its links stay: they say what has left the view."""
    with opened(tmp_path, **SMALL) as cm:
        ids = [cm.observe(f"Shelf {number} holds paint.", "Noted.") for number in range(12)]
        cm._summarizing.finish()
        in_view = [turn.id for turn in cm.short_term_memory.turns]
        summaries = [entry.id for entry in cm.list_memories() if entry.kind == "summary"]
        report = cm.erase(summaries)
        assert (report.turns, report.summaries_remade) == (0, len(summaries))
        assert [turn.id for turn in cm.short_term_memory.turns] == in_view
        assert all(entry.text == "" for entry in cm.list_memories() if entry.kind == "summary")
        assert lineage(cm, "chunk") + in_view == ids


def test_a_session_a_user_and_a_filter(tmp_path: Path) -> None:
    """Each takes what it names and nothing else; the user's agents, sessions and tasks are the user's."""
    with opened(tmp_path, user_id="bob") as bob:
        bob.add_memory("Bob's boat.", {"session_id": "s"})
        with opened(tmp_path, user_id="ann") as ann, opened(tmp_path, user_id="ann", agent_id="coach") as coach:
            for session in ("s", "t"):
                ann.observe(f"In session {session}.", "Yes.", metadata={"session_id": session})
                ann.add_memory(f"Memory of {session}.", {"session_id": session, "topic": f"about {session}"})
            coach.observe("Run faster.", "I shall.")
            assert ann.erase(session_id="s").as_dict()["turns"] == 1
            assert sorted(entry.text for entry in ann.list_memories()) == [
                "Memory of t.",
                "User: In session t.\nAssistant: Yes.",
            ]
            report = ann.erase(where={"topic": "about t"})
            assert (report.memories, report.turns, report.bytes_erased) == (1, 0, True)
            assert ann.erase(user_id="ann").turns == 2
            assert ann.list_memories() == coach.list_memories() == []
            assert coach.get_stats()["short_term_memory"]["num_turns"] == 0
        assert len(bob.list_memories()) == 1


def test_an_erasure_that_names_nothing_or_another_is_refused(tmp_path: Path) -> None:
    """Before anything is deleted."""
    with opened(tmp_path, user_id="ann", session_id="s") as cm:
        own = cm.add_memory("Ann's own.")
        refused: list[dict[str, Any]] = [{}, {"where": {}}, {"user_id": "bob"}, {"session_id": "t"}]
        for arguments in refused:
            with pytest.raises(ConfigError, match="Fix: "):
                cm.erase(**arguments)
        with opened(tmp_path, user_id="bob") as bob:
            assert bob.erase(own).memories == 0
        assert cm.get_memory(own) is not None


def test_the_id_of_a_part_means_the_whole(tmp_path: Path) -> None:
    """A search finds parts of what is long; erasing what was found erases all of it."""
    with opened(tmp_path, ingestion_chunk_size=20) as cm:
        cm.add_memory(" ".join(f"The kingfisher saw fish number {number}." for number in range(40)))
        (found, _), *_ = cm.long_term_memory.search("kingfisher fish 7", k=1)
        report = cm.erase(found.id)
        assert report.memories == 1
        assert report.parts > 2
        assert cm.get_stats()["store"]["records"] == 0


def test_deleting_takes_the_cached_vectors_along(tmp_path: Path) -> None:
    """Every way to delete, not erasing alone; and the cache serves the next process until then."""
    with opened(tmp_path, embedder="costly") as cm:
        first = cm.add_memory("The lighthouse is white.")
        cm.add_memory("The harbour is grey.")
    with opened(tmp_path, embedder="costly") as cm:
        assert cm._vault.embedder is not None
        cache = cm._vault.embedder._embedder.cache  # type: ignore[attr-defined]  # declared to cost, so it is cached
        assert len(cache) == 2
        assert cm.delete_memory(first)
        assert len(cache) == 1
        assert cm.clear_memory() == 1
        assert len(cache) == 0
    with opened(tmp_path) as cm:
        assert not cm._vault.embedder.remembers  # type: ignore[union-attr]  # there is one

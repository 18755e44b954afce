"""New vectors in the old place: whole or not at all, the old ones kept, whoever has the memory open left alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from components import WordEmbedder, WordsConfig
from moving_support import COLLECTION, REGISTRY, contents, fill, place, plain, spec_of

from ctxkit import Config, ContextManager, EmbedderConfig, VectorStoreConfig
from ctxkit.errors import (
    CollectionNotFoundError,
    ConfigError,
    DimensionMismatchError,
    EmbedderError,
    StoreLockedError,
    UnsupportedError,
)
from ctxkit.local import layout
from ctxkit.local.faults import Place
from ctxkit.memory.entries import PENDING
from ctxkit.memory.opening import COLLECTION as MEMORY
from ctxkit.moving import Order, drop_old, reembed
from ctxkit.moving.in_place import MAKING
from ctxkit.moving.moves import journal_file
from ctxkit.records import FloatVectors, Record

ORDER = Order(COLLECTION)


def memory(folder: Path, embedder: str, **options: int) -> ContextManager:
    """Open a memory with an embedder."""
    settings = Config(
        embedder=EmbedderConfig.model_validate({"provider": embedder, **options}),
        vector_store=VectorStoreConfig(provider="faiss"),
    )
    return ContextManager(settings, path=folder, registry=REGISTRY)


class Failing(WordEmbedder):
    """Fails at its second call, unless it may go on."""

    calls = 0

    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        """Count, and fail once."""
        self.calls += 1
        if self.calls == 2:
            raise RuntimeError("the model is gone")
        return super().embed_documents(texts)


def test_a_memory_is_re_embedded_where_it_is(tmp_path: Path) -> None:
    """It opens with the new model alone; what waited for a vector has one; all else is as it was."""
    with memory(tmp_path, "words") as old:
        for text in ("The boat is at berth 14.", "Maren sold her violin.", "harbour log " * 600):
            old.add_memory(text, {"timestamp": 1.0})
        kept = sorted((each.id, each.text) for each in old.list_memories())
        before = old.get_stats()
        old._vault.keep([Record("waiting", "The key is under the mat.", None, {"_ctx_kind": "memory", PENDING: True})])
    source = place("exact", tmp_path)
    with pytest.raises(DimensionMismatchError):
        memory(tmp_path, "words", dimension=32)
    with WordEmbedder(WordsConfig(dimension=32)) as model:
        report = reembed(source, model, Order(MEMORY))
    assert (report.dimension, report.fingerprint, report.verified.wrong) == (32, "words-32", 0)
    with memory(tmp_path, "words", dimension=32) as new:
        assert sorted((each.id, each.text) for each in new.list_memories() if each.id != "waiting") == kept
        after = new.get_stats()
        assert after["pending_embeddings"] == 0
        assert after["store"]["vectors"] == before["store"]["vectors"] + 1
        assert new.query_memory("who sold a violin", 1)[0][0] == "Maren sold her violin."
    with pytest.raises(DimensionMismatchError):
        memory(tmp_path, "words")
    assert report.old is not None
    assert contents(place("exact", Path(report.old).parent), MEMORY).keys() == contents(source, MEMORY).keys()


def test_the_old_vectors_are_kept_until_they_are_dropped(tmp_path: Path) -> None:
    """As they were; a second re-embedding waits for that, and dropping twice says that nothing is there."""
    source = place("faiss", tmp_path)
    fill(source, plain(30))
    fill(source, plain(3), spec_of(name="neighbour"))
    before, neighbour = contents(source), contents(source, "neighbour")
    with WordEmbedder(WordsConfig()) as model, WordEmbedder(WordsConfig(dimension=16)) as other:
        with pytest.raises(CollectionNotFoundError):
            drop_old(source, COLLECTION)
        report = reembed(source, model, ORDER)
        again = reembed(source, model, ORDER)  # as after a kill at the very end
        assert (again.written, again.old, len(again.notes)) == (0, report.old, 1)
        with pytest.raises(ConfigError, match="before an earlier re-embedding"):
            reembed(source, other, ORDER)
        assert report.old is not None
        assert contents(place("faiss", Path(report.old).parent)) == before
        drop_old(source, COLLECTION)
        assert {path.name[0] for path in tmp_path.iterdir()} == {".", "c", "n"}
        assert [path.name for path in tmp_path.glob(".[!c]*")] == []
        with pytest.raises(ConfigError, match="are those of words-64 already"):
            reembed(source, model, ORDER)
        assert reembed(source, other, ORDER).dimension == 16
    assert contents(source, "neighbour") == neighbour


def test_whoever_has_it_open_is_not_disturbed(tmp_path: Path) -> None:
    """The vectors are made, then it ends with an error; what is written meanwhile is embedded by the next call."""
    source = place("faiss", tmp_path)
    fill(source, plain(600))
    with WordEmbedder(WordsConfig()) as model:
        with source.open(spec_of()) as store:
            with pytest.raises(StoreLockedError, match="somebody has the collection open"):
                reembed(source, model, ORDER)
            store.upsert(plain(1, start=900))
            store.delete(["p00001"])
            assert store.count() == 600
        assert source.existing(COLLECTION).fingerprint == "m"
        report = reembed(source, model, ORDER)
    assert (report.written, report.deleted) == (1, 1)
    found = contents(source)
    assert (len(found), "p00900" in found, "p00001" in found) == (600, True, False)


def test_a_write_at_the_last_moment_is_not_lost(tmp_path: Path) -> None:
    """What is written between the comparison and the exchange is noticed, and embedded by the next call."""
    source = place("exact", tmp_path)
    fill(source, plain(600))
    making = tmp_path / MAKING
    journal = journal_file(place("exact", making), COLLECTION)
    scene = Place("exact", COLLECTION, tmp_path, 30.0)
    with WordEmbedder(WordsConfig()) as model, ThreadPoolExecutor(1) as pool:
        # Whoever opens the collection at that moment holds the exchange up.
        with layout.root_lock(tmp_path, scene, exclusive=False):
            call = pool.submit(reembed, source, model, ORDER)
            while not (journal.exists() or call.done()):
                time.sleep(0.001)
            while journal.exists() and not call.done():
                time.sleep(0.001)
            fill(source, plain(1, start=900))
        with pytest.raises(StoreLockedError, match="was written to after its records were copied"):
            call.result()
        assert source.existing(COLLECTION).fingerprint == "m"
        assert reembed(source, model, ORDER).written == 1
    assert "p00900" in contents(source)


def test_a_model_that_fails_costs_nothing(tmp_path: Path) -> None:
    """The old vectors stay in use, and the next call embeds only what is left."""
    source = place("faiss", tmp_path)
    fill(source, plain(600))
    before = contents(source)
    with Failing(WordsConfig()) as model, WordEmbedder(WordsConfig(dimension=16)) as other:
        with pytest.raises(EmbedderError, match="failed with RuntimeError"):
            reembed(source, model, ORDER)
        assert contents(source) == before
        with pytest.raises(ConfigError, match="with another model is not finished"):
            reembed(source, other, ORDER)
        report = reembed(source, model, ORDER)
        assert (report.runs, report.written) == (2, 600 - 512)
    assert source.existing(COLLECTION).fingerprint == "words-64"


def test_other_stores_need_a_target(tmp_path: Path) -> None:
    """Only the engine's folders can be exchanged in one step; elsewhere the message says what to type."""
    source = place("chroma", tmp_path)
    fill(source, plain(3))
    with WordEmbedder(WordsConfig()) as model, pytest.raises(UnsupportedError) as caught:
        reembed(source, model, ORDER)
    assert "--to" in str(caught.value)

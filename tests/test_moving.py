"""Moving a collection: every backend to every other, what is refused, what goes on, what is found out."""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moving_support import BACKENDS, COLLECTION, NAMES, REGISTRY, contents, fill, nasty, place, plain, spec_of

from ctxkit import Config, ContextManager, EmbedderConfig, MemoryConfig, VectorStoreConfig
from ctxkit.errors import (
    CollectionNotFoundError,
    ConfigError,
    FingerprintMismatchError,
    FormatVersionError,
    StoreCorruptError,
    StoreLockedError,
    StoreUnavailableError,
    UnsupportedError,
)
from ctxkit.memory.opening import COLLECTION as MEMORY
from ctxkit.moving import Order, Reembedding, StorePlace, migrate, parsed_place
from ctxkit.moving.moves import journal_file
from ctxkit.records import Metric, Record

METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")
ORDER = Order(COLLECTION)
TALK = (
    ("I keep the boat at the harbour now.", "Which berth?"),
    ("Number fourteen, next to the crane.", "Noted."),
    ("Maren sold her violin last week.", "A pity."),
    ("The invoice is K-7731-B.", "I wrote it down."),
)
QUESTIONS = ("Where is the boat?", "What did Maren sell?", "invoice K-7731-B")


class Halting:
    """A progress that interrupts at its n-th call of one phase."""

    def __init__(self, phase: str, calls: int) -> None:
        self.phase = phase
        self.left = calls

    def __call__(self, phase: str, _done: int, _total: int) -> None:
        """Count, and raise as Ctrl-C does."""
        self.left -= phase == self.phase
        if phase == self.phase and not self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", NAMES)
def test_from_every_backend_to_every_other(name: str, tmp_path: Path) -> None:
    """Ids, texts, types of values and every bit of the vectors arrive, under each metric; the source is as it was."""
    has_hnswlib = "hnswlib" in name or REGISTRY.is_available("vector_store", "hnswlib")
    targets = [each for each in BACKENDS if has_hnswlib or each != "hnswlib"]
    metric = METRICS[list(BACKENDS).index(name) % len(METRICS)]
    source = place(name, tmp_path / "source")
    fill(source, nasty(), spec_of(metric))
    before = contents(source)
    assert len(before) == 60
    for each in targets:
        target = place(each, tmp_path / each)
        report = migrate(source, target, ORDER)
        assert contents(target) == before, each
        assert target.existing(COLLECTION) == source.existing(COLLECTION), each
        found = report.verified
        assert (found.compared, found.digest) == (60, found.copy_digest), each
        assert not journal_file(target, COLLECTION).exists()
    assert contents(source) == before


def test_what_the_target_cannot_hold_is_refused_first(tmp_path: Path) -> None:
    """A record without a vector, a store that forgets: named, with nothing written; a round trip brings all back."""
    source, target = place("exact", tmp_path / "s"), place("chroma", tmp_path / "t")
    fill(source, [*plain(5), *(Record(f"bare {number}", "words alone") for number in range(4))])
    with pytest.raises(
        UnsupportedError, match=r"no record without a vector, of which there are 4 \('bare 0', .*\.\.\."
    ):
        migrate(source, target, ORDER)
    assert target.described(COLLECTION) is None
    with pytest.raises(UnsupportedError, match="keeps nothing when it is closed"):
        migrate(source, StorePlace("exact", {}, REGISTRY), ORDER)
    flat = place("exact", tmp_path / "flat")
    fill(flat, [Record("a", "", [1.0])], spec_of("dot", dimension=1))
    with pytest.raises(UnsupportedError, match=r"no metric dot, only cosine; it has no vectors of 1 dimensions"):
        migrate(flat, place("unordered", tmp_path / "u"), ORDER)
    report = migrate(source, place("faiss", tmp_path / "f"), ORDER)
    assert (report.read, contents(place("faiss", tmp_path / "f"))) == (9, contents(source))


def opened(store: str, folder: Path) -> ContextManager:
    """Open a memory on a kind of store."""
    settings = Config(
        memory=MemoryConfig(stm_capacity=60, chunk_size=20, summaries="inline"),
        embedder=EmbedderConfig(provider="words"),
        vector_store=VectorStoreConfig(provider=store),
    )
    return ContextManager(settings, path=folder, registry=REGISTRY)


def answers(store: str, folder: Path) -> list[Any]:
    """Return what a memory says of itself and builds; where it is kept and how large its files are is its own."""
    with opened(store, folder) as memory:
        figures = memory.get_stats()
        mine = {
            key: figures[key] for key in ("short_term_memory", "long_term_memory", "pending_embeddings", "session_id")
        }
        mine["long_term_memory"].pop("index_type")
        entries = [(each.id, each.text, each.kind, each.metadata) for each in memory.list_memories()]
        return [mine, sorted(entries, key=str), *(memory.build_context(question) for question in QUESTIONS)]


def test_a_memory_works_as_before(tmp_path: Path) -> None:
    """Statistics, lists and prompts are the same on the next store; records without a vector come back without one."""
    with opened("faiss", tmp_path / "faiss") as memory:
        for number, sides in enumerate(TALK):
            memory.observe(*sides, timestamp=1_700_000_000.0 + number)
        memory.add_memory("harbour log " * 600, {"timestamp": 1.0})
    wanted = answers("faiss", tmp_path / "faiss")
    assert "boat at the harbour" in wanted[2]
    steps = ("faiss", "chroma", "exact")
    for before, after in pairwise(steps):
        migrate(place(before, tmp_path / before), place(after, tmp_path / after), Order(MEMORY))
        assert answers(after, tmp_path / after) == wanted, after
    first = contents(place("faiss", tmp_path / "faiss"), MEMORY)
    assert contents(place("exact", tmp_path / "exact"), MEMORY) == first
    assert any(vector is None for _, vector, _ in first.values())


def test_a_target_with_records_is_refused_unless_they_may_be_joined(tmp_path: Path) -> None:
    """With `into` its own stay; the same id with other content is a conflict, found before anything is written."""
    source, target = place("faiss", tmp_path / "s"), place("exact", tmp_path / "t")
    fill(source, plain(20))
    fill(target, plain(3, start=100))
    with pytest.raises(ConfigError, match="holds 3 records"):
        migrate(source, target, ORDER)
    report = migrate(source, target, Order(COLLECTION, into=True))
    assert contents(target) == {**contents(source), **contents_of(plain(3, start=100), tmp_path)}
    assert (report.written, report.deleted, report.verified.extra) == (20, 0, 0)
    with target.open(spec_of()) as store:
        store.upsert([Record("p00004", "another", np.ones(8))])
        store.delete(["p00005"])
    with pytest.raises(ConfigError, match=r"1 of the ids \('p00004'\)"):
        migrate(source, target, Order(COLLECTION, into=True))
    assert "p00005" not in contents(target)


def test_an_interrupted_joining_goes_on_though_the_source_changed(tmp_path: Path) -> None:
    """What this move itself brought in is no conflict; nothing is deleted where others keep their own."""
    source, target = place("faiss", tmp_path / "s"), place("exact", tmp_path / "t")
    fill(source, plain(20))
    fill(target, plain(3, start=100))
    with pytest.raises(KeyboardInterrupt):
        migrate(source, target, Order(COLLECTION, into=True, progress=Halting("verify", 1)))
    with source.open(spec_of()) as store:
        store.upsert([Record("p00004", "changed", np.ones(8))])
        store.delete(["p00005"])
    report = migrate(source, target, Order(COLLECTION, into=True))
    assert (report.written, report.deleted, len(contents(target))) == (1, 0, 23)
    assert contents(target)["p00004"] == contents(source)["p00004"]


def contents_of(records: Sequence[Record], folder: Path) -> dict[str, Any]:
    """Return records as `contents` shows them."""
    fill(place("exact", folder / "only"), records)
    return contents(place("exact", folder / "only"))


def test_an_interrupted_move_goes_on_with_what_the_source_is_by_then(tmp_path: Path) -> None:
    """What was written meanwhile is written, what was deleted is deleted, and only that."""
    source, target = place("faiss", tmp_path / "s"), place("exact", tmp_path / "t")
    fill(source, plain(1300))
    with pytest.raises(KeyboardInterrupt):
        migrate(source, target, Order(COLLECTION, progress=Halting("copy", 2)))
    assert len(contents(target)) == 1024
    with source.open(spec_of()) as store:
        store.upsert([Record("p00007", "changed", np.ones(8)), Record("new", "", np.ones(8))])
        store.delete(["p00008", "p00009", "p01200"])
    report = migrate(source, target, ORDER)
    assert contents(target) == contents(source)
    assert (report.runs, report.written, report.deleted) == (2, 1300 - 1024 - 1 + 2, 2)
    with pytest.raises(ConfigError, match="holds 1298 records"):  # the move is over: the target lives its own life
        migrate(source, target, ORDER)


def test_another_move_does_not_take_over(tmp_path: Path) -> None:
    """A half-done target belongs to the command that began it; a journal that cannot be read is an error."""
    source, other, target = (place("exact", tmp_path / name) for name in "abt")
    fill(source, plain(5))
    fill(other, plain(5, start=50))
    with pytest.raises(KeyboardInterrupt):
        migrate(source, target, Order(COLLECTION, progress=Halting("verify", 1)))
    with pytest.raises(ConfigError, match="was begun and is not finished"):
        migrate(other, target, ORDER)
    journal = journal_file(target, COLLECTION)
    for damage in (b"", b"{}", b"[" * 100_000, b'{"format": "ctxkit-moving", "version": 1}'):
        journal.write_bytes(damage)
        with pytest.raises(StoreCorruptError, match="cannot be read"):
            migrate(source, target, ORDER)
    journal.write_bytes(b'{"format": "ctxkit-moving", "version": 2}')
    with pytest.raises(FormatVersionError, match="has version 2; this ctxkit reads 1"):
        migrate(source, target, ORDER)


def test_places_that_lead_nowhere(tmp_path: Path) -> None:
    """The same collection, no collection of that name, no store, an unknown word: each is named."""
    source = place("exact", tmp_path / "s")
    fill(source, plain(5))
    with pytest.raises(ConfigError, match="are the same collection 'c'"):
        migrate(source, place("faiss", tmp_path / "s"), ORDER)
    with pytest.raises(CollectionNotFoundError, match="there is: c"):
        migrate(source, place("exact", tmp_path / "t"), Order("other"))
    assert not (tmp_path / "t").exists()
    for text in (str(tmp_path / "none"), str(tmp_path)):
        with pytest.raises(StoreUnavailableError, match="there is no store in"):
            parsed_place(text, REGISTRY)
    for text in ("faiss", "faiss:", "exact:a=b,path=x"):
        with pytest.raises(ConfigError):
            _ = parsed_place(text, REGISTRY).title
    assert parsed_place(str(tmp_path / "s"), REGISTRY).title == f"exact:{tmp_path / 's'}"


def test_a_folder_in_use_is_no_folder_without_a_store(tmp_path: Path) -> None:
    """Who finds out what a folder holds says that another process has it, not that there is nothing."""
    fill(place("chroma", tmp_path), plain(3))
    assert parsed_place(str(tmp_path), REGISTRY).provider == "chroma"
    with (tmp_path / "ctxkit.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreLockedError):
            parsed_place(str(tmp_path), REGISTRY)


def test_places_as_they_are_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with options, options alone, a distribution's name, a configuration file; no secret is shown."""
    monkeypatch.chdir(tmp_path)
    found = parsed_place("faiss:my, folder,index_type=HNSW,m=8", REGISTRY)
    assert (found.folder, found.title) == (tmp_path / "my, folder", f"faiss:{tmp_path}/my, folder,index_type=HNSW,m=8")
    server = parsed_place("chroma:host=localhost,port=8001,token=s3cret", REGISTRY)
    assert (server.folder, server.provider) == (None, "chroma")
    assert "s3cret" not in server.title
    assert "port=8001" in server.title
    others = [parsed_place(f"chroma:host=localhost,token={token}", REGISTRY) for token in ("one", "two", "one")]
    assert others[0].title == others[2].title != others[1].title
    assert parsed_place("ctxkit-faiss:faiss:x", REGISTRY).title == f"ctxkit-faiss:faiss:{tmp_path}/x"
    (tmp_path / "c.toml").write_text('store = "kept"\n[vector_store]\nprovider = "exact"\nexact_below = 5\n')
    assert parsed_place("c.toml", REGISTRY).title == f"exact:{tmp_path}/kept,exact_below=5"


def test_a_store_with_small_batches_and_no_order(tmp_path: Path) -> None:
    """Batches are as small as the target wants them, and nothing needs an order."""
    source, target = place("unordered", tmp_path / "s"), place("unordered", tmp_path / "t")
    fill(source, nasty())
    report = migrate(source, target, ORDER)
    assert contents(target) == contents(source)
    assert report.verified.compared == 60
    told = migrate(place("exact", tmp_path / "s"), place("unordered", tmp_path / "v"), ORDER).notes
    assert told == [f"unordered:{tmp_path / 'v'} lists records in no order of a field."]


def test_writers_are_noticed(tmp_path: Path) -> None:
    """A source that is written to while it is moved ends the move, which goes on when they have stopped."""
    source, target = place("faiss", tmp_path / "s"), place("exact", tmp_path / "t")
    fill(source, plain(20))

    def write(phase: str, done: int, total: int) -> None:
        if phase == "verify" and done == total:
            fill(source, plain(1, start=900))

    with pytest.raises(StoreLockedError, match="the source was written to during the move"):
        migrate(source, target, Order(COLLECTION, progress=write))
    assert migrate(source, target, ORDER).written == 1
    assert contents(target) == contents(source)


def test_vectors_are_another_models_only_when_asked(tmp_path: Path) -> None:
    """A target of another model is refused; with a model to make them anew texts and values stay and vectors change."""
    source, target = place("exact", tmp_path / "s"), place("faiss", tmp_path / "t")
    fill(source, [*plain(20), Record("bare", "no vector")])
    fill(target, [], spec_of(fingerprint="another"))
    with pytest.raises(FingerprintMismatchError):
        migrate(source, target, ORDER)
    with REGISTRY.create_embedder("words") as model:
        made = place("exact", tmp_path / "new")
        report = migrate(source, made, ORDER, rule=Reembedding(model, source.existing(COLLECTION)))
        wanted = model.embed_documents(["text 3"])[0].tobytes()
    old, new = contents(source), contents(made)
    assert (report.dimension, report.fingerprint) == (64, "words-64")
    assert {key: (text, values) for key, (text, _, values) in old.items()} == {
        key: (text, values) for key, (text, _, values) in new.items()
    }
    assert (new["p00003"][1], new["bare"][1]) == (wanted, None)

"""Moving a collection: every backend to every other, what is refused, what goes on, what is found out."""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moving_support import BACKENDS, COLLECTION, NAMES, REGISTRY, Halting, contents, fill, nasty, place, plain, spec_of

from ctxkit.errors import (
    CollectionNotFoundError,
    ConfigError,
    DimensionMismatchError,
    FingerprintMismatchError,
    FormatVersionError,
    MetricMismatchError,
    StoreCorruptError,
    StoreError,
    StoreLockedError,
    StoreUnavailableError,
    UnsupportedError,
)
from ctxkit.moving import Order, Reembedding, StorePlace, migrate, parsed_place
from ctxkit.moving.moves import journal_file
from ctxkit.records import Metric, Record

METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")
ORDER = Order(COLLECTION)


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the journals of moves to a server where the test is."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


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


@pytest.mark.parametrize("name", ["exact", "chroma"])
def test_a_target_for_other_vectors_is_refused(name: str, tmp_path: Path) -> None:
    """Of another length, for another metric, by another model, also where the source does not know its own."""
    source = place("exact", tmp_path / "s")
    others: list[tuple[dict[str, Any], type[StoreError]]] = [
        ({"dimension": 16}, DimensionMismatchError),
        ({"metric": "l2"}, MetricMismatchError),
        ({"fingerprint": "another"}, FingerprintMismatchError),
    ]
    fill(source, plain(3), spec_of(fingerprint=None))
    for number, (changes, error) in enumerate(others):
        target = place(name, tmp_path / f"t{number}")
        fill(target, [], spec_of(**changes))
        with pytest.raises(error, match=f"with the {next(iter(changes))} .* is needed") as caught:
            migrate(source, target, ORDER)
        assert "--reembed" in (caught.value.fix or "")
        assert contents(target) == {}
        assert not journal_file(target, COLLECTION).exists()


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
    again = migrate(source, target, ORDER)  # as after a kill at the very end
    assert (again.runs, again.written, again.verified.compared) == (1, 0, 1298)
    fill(target, plain(1, start=700))  # from now on the target lives its own life
    with pytest.raises(ConfigError, match="holds 1298 records"):
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


@pytest.mark.parametrize("name", ["exact", "pgvector"])
def test_two_moves_into_one_place_do_not_mix(name: str, tmp_path: Path) -> None:
    """While one is at work another one is refused, in a folder and on a server, whatever its journal is."""
    source, other, target = place("exact", tmp_path / "a"), place("exact", tmp_path / "b"), place(name, tmp_path / "t")
    fill(source, plain(5))
    fill(other, plain(5, start=50))
    refused: list[str] = []

    def begin_another(phase: str, _done: int, _total: int) -> None:
        if phase == "copy":
            with pytest.raises(StoreLockedError, match="another command moves records into") as caught:
                migrate(other, target, Order(COLLECTION, into=True, journal=tmp_path / "another.json"))
            refused.append(caught.value.fix or "")

    migrate(source, target, Order(COLLECTION, progress=begin_another))
    assert refused == ["wait until it is done, or name another target."]
    assert contents(target) == contents(source)
    assert migrate(other, target, Order(COLLECTION, into=True)).written == 5


def test_a_move_to_a_server_goes_on_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its journal is in the user's own folder for such things, one for each server, and tells no secret."""
    source, target, other = (
        place("exact", tmp_path / "s"),
        place("pgvector", tmp_path),
        place("pgvector", tmp_path / "o"),
    )
    fill(source, plain(5))
    for each in (target, other):
        with pytest.raises(KeyboardInterrupt):
            migrate(source, each, Order(COLLECTION, progress=Halting("verify", 1)))
    journals = sorted((tmp_path / "state" / "ctxkit").iterdir())
    assert journals == sorted({journal_file(target, COLLECTION), journal_file(other, COLLECTION)})
    assert "127.0.0.1" not in "".join(file.read_text() for file in journals)
    monkeypatch.chdir(tmp_path / "s")
    assert migrate(source, target, ORDER).runs == 2
    assert list((tmp_path / "state" / "ctxkit").iterdir()) == [journal_file(other, COLLECTION)]
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert journal_file(other, COLLECTION).parent == tmp_path / ".local" / "state" / "ctxkit"


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
    with pytest.raises(ConfigError, match=r"there is no store fais\. Fix: did you mean faiss:\./m,m=8\?"):
        parsed_place("fais:./m,m=8", REGISTRY)
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

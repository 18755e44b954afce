"""What another client of Chroma's has written over a record of ours: a typed error that names it, and a way out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ctxkit_chroma import codec
from ctxkit_chroma.config import ChromaConfig
from ctxkit_chroma.faults import Scene
from ctxkit_chroma.harness import _close, _raw_client
from ctxkit_chroma.store import ChromaStore

from ctxkit.errors import StoreCorruptError
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import Record

SPEC = CollectionSpec(name="notes", dimension=3, fields={"n": "int"})
ONE = [1.0, 0.0, 0.0]
ANY = {"n": {"$exists": True}}
READS: list[Callable[[ChromaStore], object]] = [
    lambda store: store.get(["good", "bad"]),
    lambda store: list(store.scan()),
    lambda store: list(store.scan(order_by="n")),
    lambda store: store.query(ONE, 2),
    lambda store: store.query(ONE, 2, where=ANY, include_vectors=True),
    lambda store: store.count(ANY),
    lambda store: store.delete(where=ANY),
    lambda store: store.delete(["bad"], where=ANY),
]


def write_over(config: ChromaConfig, pack: object) -> None:
    """Write under our key as another program, to the record `bad`."""
    client = _raw_client(config)
    client.get_collection("notes", embedding_function=None).update(ids=["bad"], metadatas=[{"_ctxkit": pack}])
    _close(client)


@pytest.fixture
def written(config: ChromaConfig) -> ChromaConfig:
    """Two records, one of which carries its exact vector."""
    with ChromaStore.open(SPEC, config) as store:
        store.upsert([Record("good", "", ONE, {"n": 1}), Record("bad", "", [2.0, 0.0, 1.0], {"n": 2, "old": 3})])
    return config


@pytest.mark.parametrize("config", ["embedded", "server"], indirect=True)
def test_every_reading_names_the_record(written: ChromaConfig) -> None:
    """Whatever reads it says which record it is and what helps; what does not read it works, and so does what helps."""
    write_over(written, '{"n": 2')
    with ChromaStore.open(SPEC, written) as store:
        for read in READS:
            with pytest.raises(
                StoreCorruptError, match=r"'bad' cannot be read.*Fix: write the record again.*delete it"
            ):
                read(store)
        assert store.get(["good"]) == [Record("good", "", None, {"n": 1})]
        assert store.count() == 2
        store.upsert([Record("bad", "", ONE, {"n": 3})])
        assert store.count({"n": 3}) == 1
    write_over(written, "")
    with ChromaStore.open(SPEC, written) as store:
        assert store.delete(["bad"]) == 1
        assert [record.id for record in store.scan(ANY)] == ["good"]
    client = _raw_client(written)
    assert client.get_collection("notes", embedding_function=None).get()["metadatas"] == [
        {"_ctxkit": '{"n":1}', "n": 1}
    ]
    _close(client)


@pytest.mark.parametrize(
    "pack",
    [
        *("", "{", "5", "null", "[]", "{},{}", "[{},5]", '[{},"?"]', '[{},"AAA="]'),
        *('{"n":null}', '{"n":{}}', '{"n":[]}', '{"n":[1,"a"]}', '{"n":NaN}', "[" * 100_000),
    ],
)
def test_what_no_packing_made(pack: str) -> None:
    """No JSON, or another one than ours: a typed error that names the record, alone and among others."""
    scene = Scene("a server")
    with pytest.raises(StoreCorruptError, match="'bad'"):
        codec.unpacked(pack, "bad", scene)
    with pytest.raises(StoreCorruptError, match="'bad'"):
        codec.all_unpacked(["{}", pack], ["good", "bad"], scene)


@pytest.mark.parametrize("config", ["embedded", "server"], indirect=True)
def test_a_record_of_another_program(config: ChromaConfig) -> None:
    """What it put among its metadata and no record of ours can have is left out; the rest is there."""
    with ChromaStore.open(SPEC, config):
        pass
    client = _raw_client(config)
    theirs = client.get_collection("notes", embedding_function=None)
    theirs.upsert(ids=["x", "y"], embeddings=[ONE, ONE], metadatas=[{"n": 1, "f": float("inf")}, None])
    _close(client)
    with ChromaStore.open(SPEC, config) as store:
        assert [dict(record.metadata) for record in store.scan()] == [{"n": 1}, {}]
        assert store.count({"n": 1}) == 1

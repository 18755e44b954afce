"""Chroma in this process: one process at a time, a sidecar that is in step or made anew, words, no surprises."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.config import Settings
from ctxkit_chroma import room
from ctxkit_chroma.config import ChromaConfig
from ctxkit_chroma.faults import Scene
from ctxkit_chroma.harness import _close
from ctxkit_chroma.lock import LOCK
from ctxkit_chroma.store import ChromaStore

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import CollectionNotFoundError, ConfigError, StoreFullError, StoreLockedError, StoreUnavailableError
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import Record, RecordBatch

SPEC = CollectionSpec(name="notes", dimension=3)
ONE = [1.0, 0.0, 0.0]
WORDS = ["fox", "foxes running", "the quick fox runs", "日本語の文章", "Fox! fox? FOX", "nothing here", ""]


@pytest.fixture
def config(tmp_path: Path) -> ChromaConfig:
    """A directory in which nothing is stored yet."""
    return ChromaConfig(path=tmp_path / "data")


def folder_of(config: ChromaConfig) -> Path:
    """Return the directory."""
    assert config.path is not None
    return config.path


def sidecar_of(config: ChromaConfig) -> Path:
    """Return the one sidecar."""
    (found,) = (folder_of(config) / "ctxkit").glob("*.db")
    return found


def test_a_second_process_is_refused_by_name(config: ChromaConfig) -> None:
    """The error says which process has the directory open; once that has closed it, or died, others are let in."""
    code = (
        "import sys\nfrom ctxkit.interfaces import CollectionSpec\nfrom ctxkit_chroma.config import ChromaConfig\n"
        "from ctxkit_chroma.store import ChromaStore\n"
        "store = ChromaStore.open(CollectionSpec(name='notes', dimension=3), ChromaConfig(path=sys.argv[1]))\n"
        "print('open', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(config.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        for call in (
            lambda: ChromaStore.open(SPEC, config),
            lambda: ChromaStore.list_collections(config),
            lambda: ChromaStore.drop_collection(config, "notes"),
        ):
            with pytest.raises(StoreLockedError, match=f"process {other.pid} on .*Fix:"):
                call()
        other.kill()
        other.wait()
    with ChromaStore.open(SPEC, config) as store:
        assert store.count() == 0


def test_waiting_for_the_lock(config: ChromaConfig) -> None:
    """With lock_timeout an opener waits for a holder that is about to close."""
    folder_of(config).mkdir()
    code = (
        "import fcntl, sys\nfile = open(sys.argv[1], 'w')\nfcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\nsys.stdin.readline()\n"
    )
    command = [sys.executable, "-c", code, str(folder_of(config) / LOCK)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StoreLockedError):
            ChromaStore.open(SPEC, config)
        letting_go = threading.Timer(0.3, other.stdin.close)
        letting_go.start()
        with ChromaStore.open(SPEC, config.model_copy(update={"lock_timeout": 60.0})) as store:
            assert store.count() == 0
        letting_go.join()


def test_handles_of_one_process_share_everything(config: ChromaConfig) -> None:
    """Two handles see each other's writes at once; the directory is free when the last one is closed."""
    one, two = ChromaStore.open(SPEC, config), ChromaStore.open(SPEC, config)
    one.upsert([Record("a", "red", ONE)])
    assert two.query(ONE, 1)[0].ids == ["a"]
    figures = two.stats()
    assert (figures.rows, figures.vectors, figures.details["mode"]) == (1, 1, "embedded")
    assert min(figures.bytes_in_memory or 0, figures.bytes_on_disk or 0) > 0
    one.close()
    two.upsert([Record("b", "red", ONE)])
    assert (two.count(), two.text_query("red", 5).ids) == (2, ["a", "b"])
    two.close()
    assert (folder_of(config) / LOCK).read_bytes() == b""


def test_one_directory_of_two_names(config: ChromaConfig, tmp_path: Path) -> None:
    """A handle that comes by a link is one of this process, which has the directory open already."""
    (tmp_path / "link").symlink_to(folder_of(config), target_is_directory=True)
    with ChromaStore.open(SPEC, config) as one, ChromaStore.open(SPEC, ChromaConfig(path=tmp_path / "link")) as two:
        one.upsert([Record("a", "", ONE)])
        assert two.count() == 1
    assert (folder_of(config) / LOCK).read_bytes() == b""


def test_each_collection_has_the_graph_that_was_asked_for(config: ChromaConfig) -> None:
    """Also where another configuration has opened the directory already."""
    with ChromaStore.open(SPEC, config):
        other = SPEC.model_copy(update={"name": "other"})
        with ChromaStore.open(other, config.model_copy(update={"m": 33, "ef_search": 44})) as store:
            graph = store._table.rows.collection.configuration_json["hnsw"]
    assert (graph["max_neighbors"], graph["ef_search"]) == (33, 44)


def test_a_collection_that_is_dropped_while_it_is_opened(config: ChromaConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever had found it just before learns that it is gone, instead of writing to nothing."""
    with ChromaStore.open(SPEC, config) as first:
        opened = first._site._opened

        def late(*arguments: Any) -> Any:
            ChromaStore.drop_collection(config, "notes")
            return opened(*arguments)

        monkeypatch.setattr(first._site, "_opened", late)
        with pytest.raises(CollectionNotFoundError, match="open it again"):
            ChromaStore.open(SPEC, config)
        monkeypatch.undo()
        with ChromaStore.open(SPEC, config) as anew:
            anew.upsert([Record("a", "", ONE)])
            with pytest.raises(CollectionNotFoundError):
                first.count()


@pytest.mark.parametrize("fate", ["damaged", "deleted", "emptied", "truncated"])
def test_a_lost_sidecar_is_made_anew(config: ChromaConfig, fate: str) -> None:
    """Whatever happens to the sidecar, Chroma has the truth: nothing of the records or the words is lost."""
    with ChromaStore.open(SPEC, config) as store:
        store.upsert([Record("a", "red fox", ONE, {"n": 2**60}), Record("b", "green", [0, 2, 0])])
    file = sidecar_of(config)
    content = file.read_bytes()
    changed = {
        "damaged": b"\xff" * len(content),
        "emptied": b"",
        "truncated": content[: len(content) // 2],
        "deleted": None,
    }[fate]
    if changed is None:
        file.unlink()
    else:
        file.write_bytes(changed)
    with ChromaStore.open(SPEC, config) as store:
        assert store.get(["a"]) == [Record("a", "red fox", None, {"n": 2**60})]
        assert store.text_query("foxes", 5).ids == ["a"]
        assert store.count({"n": {"$gt": 2**53}}) == 1
        assert store.health().ok


def test_a_write_by_another_program_is_noticed(config: ChromaConfig) -> None:
    """Records that Chroma's own client wrote between two openings are there, with their words and their fields."""
    with ChromaStore.open(SPEC, config) as store:
        store.upsert([Record("a", "red fox", ONE, {"n": 1})])
    client = chromadb.PersistentClient(str(config.path), Settings(anonymized_telemetry=False))
    collection = client.get_collection("notes", embedding_function=None)
    collection.upsert(ids=["b"], embeddings=[[0.0, 1.0, 0.0]], documents=["another fox"], metadatas=[{"n": 2}])
    collection.delete(ids=["a"])
    _close(client)
    with ChromaStore.open(SPEC, config) as store:
        assert [record.id for record in store.scan()] == ["b"]
        assert store.text_query("fox", 5).ids == ["b"]
        assert store.count({"n": 2}) == 1


def test_a_killed_process_leaves_no_stale_sidecar(config: ChromaConfig) -> None:
    """After a kill the sidecar is made anew, whatever it says of itself."""
    code = (
        "import os, sys\nfrom ctxkit.interfaces import CollectionSpec\nfrom ctxkit.records import Record\n"
        "from ctxkit_chroma.config import ChromaConfig\nfrom ctxkit_chroma.store import ChromaStore\n"
        "store = ChromaStore.open(CollectionSpec(name='notes', dimension=3), ChromaConfig(path=sys.argv[1]))\n"
        "store.upsert([Record('b', 'late fox', [0, 1, 0])])\nos._exit(9)\n"
    )
    with ChromaStore.open(SPEC, config) as store:
        store.upsert([Record("a", "red fox", ONE)])
    epoch = folder_of(config) / "ctxkit" / "epoch.json"
    assert epoch.exists()
    assert subprocess.run([sys.executable, "-c", code, str(config.path)], check=False).returncode == 9
    assert not epoch.exists()
    with ChromaStore.open(SPEC, config) as store:
        assert store.text_query("fox", 5).ids == ["a", "b"]
        assert store.health().ok


def test_words_rank_as_in_the_engine(config: ChromaConfig) -> None:
    """The same texts, replaced and deleted alike, give the ranking and the scores of ctxkit's own engine."""
    with ChromaStore.open(SPEC, config) as store, ExactStore.open(SPEC, ExactConfig()) as exact:
        for each in (store, exact):
            each.upsert([Record(f"r{i}", text, [1, 1, i], {"i": i}) for i, text in enumerate(WORDS)])
            each.upsert([Record("r5", "a late fox", ONE, {"i": 5}), Record("r0", "gone", ONE)])
            each.delete(["r1"])
        for words in ("fox", "running foxes", "日本", "quick fox runs", "FOX", "", "absent", '"fox" OR *'):
            for where in (None, {"i": {"$gte": 3}}):
                found, wanted = (each.text_query(words, 3, where=where) for each in (store, exact))
                assert found.ids == wanted.ids
                assert found.scores.tolist() == wanted.scores.tolist()


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_one_word_of_configuration(config: ChromaConfig, metric: Any) -> None:
    """On the same small data every answer is that of the exact store: ids, order, scores, counts, orders, filters."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(90, 3)).astype(np.float32)
    metadata = [{"n": int(i % 7), "f": float(i), "s": f"s{i % 3}", "t": ["x", f"y{i % 5}"]} for i in range(90)]
    batch = RecordBatch([f"r{i:02d}" for i in range(90)], vectors, [f"text {i % 9}" for i in range(90)], metadata)
    spec = CollectionSpec(name="notes", dimension=3, metric=metric)
    wheres: list[Any] = [
        None,
        {"n": {"$lt": 3}, "s": "s1"},
        {"$not": {"t": {"$contains": "y1"}}},
        {"$or": [{"f": {"$gt": 80.5}}, {"s": {"$gt": "s1"}}]},
    ]
    with ChromaStore.open(spec, config) as store, ExactStore.open(spec, ExactConfig()) as exact:
        for each in (store, exact):
            each.upsert(batch)
            each.delete(where={"n": 6})
        for where in wheres:
            assert store.count(where) == exact.count(where)
            assert list(store.scan(where, include_vectors=True)) == list(exact.scan(where, include_vectors=True))
            ordered = [[r.id for r in each.scan(where, order_by="n", descending=True)] for each in (store, exact)]
            assert ordered[0] == ordered[1]
            for found, wanted in zip(
                store.query(vectors[:9], 12, where=where), exact.query(vectors[:9], 12, where=where), strict=True
            ):
                assert found.ids == wanted.ids
                assert found.scores == pytest.approx(wanted.scores, rel=1e-6, abs=1e-7)


def test_a_collection_of_somebody_elses_is_left_alone(config: ChromaConfig) -> None:
    """A collection that another program made is neither listed nor opened nor dropped."""
    client = chromadb.PersistentClient(str(config.path), Settings(anonymized_telemetry=False))
    client.create_collection("notes", embedding_function=None)
    _close(client)
    assert ChromaStore.list_collections(config) == []
    with pytest.raises(ConfigError, match="did not make"):
        ChromaStore.open(SPEC, config)


def test_looking_makes_no_directory(config: ChromaConfig) -> None:
    """Listing what is not there leaves nothing behind."""
    assert ChromaStore.list_collections(config) == []
    assert not folder_of(config).exists()


def test_a_path_that_is_a_file(tmp_path: Path) -> None:
    """A path that cannot be a directory is a typed error that says what to check."""
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(StoreUnavailableError, match="Fix:"):
        ChromaStore.open(SPEC, ChromaConfig(path=tmp_path / "file"))


def test_room_is_looked_at_before_a_write(tmp_path: Path) -> None:
    """A batch that may need more than is free is refused before Chroma sees it."""
    vectors = np.zeros((10, 4), dtype=np.float32)
    size = room.needed(["text"] * 10, ["{}"] * 10, vectors)
    room.check(tmp_path, [], size, Scene("here"))
    with pytest.raises(StoreFullError, match="free"):
        room.check(tmp_path, [], 2**62, Scene("here"))


def test_collections_in_memory_have_nothing_in_common() -> None:
    """Chroma's in-memory clients of one process share one database; two handles here do not."""
    with ChromaStore.open(SPEC, ChromaConfig()) as one, ChromaStore.open(SPEC, ChromaConfig()) as two:
        one.upsert([Record("a", "", ONE)])
        assert (one.count(), two.count()) == (1, 0)
        client = chromadb.EphemeralClient(Settings(anonymized_telemetry=False))
        assert "notes" not in [each.name for each in client.list_collections()]


def test_settings_come_from_the_configuration_alone(
    config: ChromaConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chroma would read a file .env of the current directory, and turn telemetry on."""
    (tmp_path / ".env").write_text("ANONYMIZED_TELEMETRY=true\nCHROMA_SERVER_HOST=example.invalid\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with ChromaStore.open(SPEC, config) as store:
        settings = store._site.client._system.settings
        assert settings.anonymized_telemetry is False
        assert settings.chroma_server_host is None


def test_a_forked_process_gets_a_typed_error(config: ChromaConfig) -> None:
    """Chroma's threads are not in a forked process: there a call raises instead of waiting for ever."""
    code = (
        "import os, sys, warnings\nwarnings.simplefilter('ignore')\n"
        "from ctxkit.errors import StoreUnavailableError\nfrom ctxkit.interfaces import CollectionSpec\n"
        "from ctxkit.records import Record\n"
        "from ctxkit_chroma.config import ChromaConfig\nfrom ctxkit_chroma.store import ChromaStore\n"
        "store = ChromaStore.open(CollectionSpec(name='notes', dimension=3), ChromaConfig(path=sys.argv[1]))\n"
        "store.upsert([Record('a', '', [1, 0, 0])])\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    try:\n        store.count()\n"
        "    except StoreUnavailableError:\n        store.close(); os._exit(7)\n"
        "    os._exit(1)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7\n"
        "assert store.count() == 1\nstore.close()\n"
    )
    subprocess.run([sys.executable, "-c", code, os.fspath(folder_of(config))], check=True, timeout=60)


def test_threads_that_open_at_once_share_one_table(config: ChromaConfig) -> None:
    """However the openings and closings of several threads meet, nothing that one of them wrote is lost."""
    failures: list[BaseException] = []

    def work(who: int) -> None:
        try:
            for number in range(12):
                with ChromaStore.open(SPEC, config) as store:
                    store.upsert([Record(f"{who}-{number}", f"word{who}", ONE, {"who": who})])
                    assert store.count({"who": who}) == number + 1
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with ChromaStore.open(SPEC, config) as store:
        assert store.count() == 48
        assert len(store.text_query("word2", 48)) == 12
        assert store.health().ok

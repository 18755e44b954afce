"""An embedder that raises, hangs or returns rubbish: `observe` returns, nothing is lost, the backfill makes it good."""

from __future__ import annotations

import gc
import multiprocessing
import queue
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from components import Faults, FaultyEmbedder, WordEmbedder, WordsConfig, config, registry

from ctxkit import ContextManager
from ctxkit.errors import EmbedderError, EmbedderTimeoutError, StoreClosedError, StoreLockedError
from ctxkit.memory import PatientEmbedder, Vault
from ctxkit.records import FloatVectors, Record

REGISTRY = registry()


@pytest.fixture
def faults() -> Iterator[Faults]:
    """Fresh faults for one test; whatever hangs is let go at its end."""
    FaultyEmbedder.faults = Faults()
    yield FaultyEmbedder.faults
    FaultyEmbedder.faults.release.set()


@contextmanager
def manager(folder: Path, faults: Faults, patience: float) -> Iterator[ContextManager]:
    """Open a durable manager whose embedder does what `faults` says; `patience` is in seconds."""
    settings = config(embedder="faulty", embed_timeout=patience)
    with ContextManager(settings, path=folder / "store", registry=REGISTRY) as made:
        yield made
        # Let go of a hanging call before the store closes, as a real embedder would come back in the end.
        faults.release.set()


@pytest.fixture
def cm(tmp_path: Path, faults: Faults) -> Iterator[ContextManager]:
    """A manager that waits for its embedder, however busy the machine is."""
    with manager(tmp_path, faults, 30.0) as made:
        yield made


@pytest.fixture
def hasty(tmp_path: Path, faults: Faults) -> Iterator[ContextManager]:
    """A manager with little patience, for an embedder that does not answer."""
    with manager(tmp_path, faults, 0.3) as made:
        yield made


def wait_until_embedded(cm: ContextManager, seconds: float = 30.0) -> None:
    """Wait for the background backfill."""
    deadline = time.monotonic() + seconds
    while cm.get_stats()["pending_embeddings"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert cm.get_stats()["pending_embeddings"] == 0


@pytest.mark.parametrize("mode", ["raise", "hang", "shape", "huge"])
def test_no_turn_is_lost_and_the_backfill_embeds_it(hasty: ContextManager, faults: Faults, mode: str) -> None:
    """Stored without a vector, found by its words, counted as pending, and embedded once the embedder recovers."""
    cm = hasty
    faults.mode = mode
    for i in range(5):
        cm.observe(f"The anchor chain number {i} is rusty.", "Noted.")
    stats = cm.get_stats()
    assert stats["store"]["records"] == stats["pending_embeddings"] == 5
    assert stats["store"]["vectors"] == 0
    assert stats["last_embedding_error"]
    assert "anchor chain number 3" in cm.query_memory("anchor chain number 3", k=1)[0][0]
    assert "anchor" in cm.build_context("What is rusty?")
    faults.mode = "ok"
    faults.release.set()
    wait_until_embedded(cm)
    assert cm.get_stats()["store"]["vectors"] == 5
    assert cm.get_stats()["last_embedding_error"] is None
    assert not any("_ctx_pending" in record.metadata for record in cm._vault.store.scan())


def test_while_one_call_hangs_the_next_ones_do_not_wait(
    hasty: ContextManager, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The patience is paid once, not once per turn: ten turns reach the embedder as one call."""
    monkeypatch.setattr("ctxkit.memory.vault._FIRST_RETRY", 3600.0)  # no call of the backfill's is counted
    faults.mode = "hang"
    for i in range(10):
        hasty.observe(f"turn {i}", "ok")
    assert faults.calls == 1
    assert len(hasty.short_term_memory.turns) == 10


def test_the_backfill_goes_on_in_the_next_process(tmp_path: Path, faults: Faults) -> None:
    """What is pending is written in the store, not in the process."""
    faults.mode = "raise"
    with ContextManager(config(embedder="faulty"), path=tmp_path / "store", registry=REGISTRY) as cm:
        cm.observe("The ferry leaves at six.", "Ok.")
        assert cm.get_stats()["pending_embeddings"] == 1
        with pytest.raises(EmbedderError, match="RuntimeError"):
            cm.backfill_embeddings()
    faults.mode = "ok"
    with ContextManager(config(embedder="faulty"), path=tmp_path / "store", registry=REGISTRY) as cm:
        assert cm.backfill_embeddings() + cm.get_stats()["store"]["vectors"] >= 1
        wait_until_embedded(cm)


def test_what_was_deleted_while_it_waited_stays_deleted(cm: ContextManager, faults: Faults) -> None:
    """A backfill writes records back; it must not bring one back from the dead."""
    faults.mode = "raise"
    kept = cm.add_memory("kept")
    gone = cm.add_memory("gone")
    faults.mode = "hang"
    faults.release.clear()
    backfill = threading.Thread(target=cm._vault.backfill)
    backfill.start()
    while faults.calls < 3:
        time.sleep(0.01)
    cm._vault.delete([gone])
    faults.mode = "ok"
    faults.release.set()
    backfill.join(30)
    found = cm._vault.store.get([kept, gone], include_vectors=True)
    assert found[0] is not None
    assert found[0].vector is not None
    assert found[1] is None


def test_a_text_without_a_direction_is_stored_without_a_vector(cm: ContextManager, faults: Faults) -> None:
    """All zeros means nothing under cosine: such a text is found by its words, and not embedded again for ever."""
    faults.mode = "zeros"
    cm.observe("zero hour", "ok")
    assert cm.get_stats()["pending_embeddings"] == 0
    assert cm.query_memory("zero hour")
    faults.mode = "raise"
    cm.observe("second zero", "ok")
    faults.mode = "zeros"
    assert cm.backfill_embeddings() + 1 - cm.get_stats()["pending_embeddings"] >= 1
    wait_until_embedded(cm)


def test_searching_goes_on_by_words_when_a_query_cannot_be_embedded(cm: ContextManager, faults: Faults) -> None:
    """A question deserves an answer while the model is away."""
    cm.observe("The lighthouse was painted in May.", "Ok.")
    faults.mode = "raise"
    assert "lighthouse" in cm.query_memory("lighthouse")[0][0]
    result = cm.build("When was the lighthouse painted?")
    assert all(row.dense is None for row in result.ledger)


def test_patience_speaks_plainly(faults: Faults) -> None:
    """Each failure is an EmbedderError with its cause, and a closed embedder says so."""
    patient = PatientEmbedder(FaultyEmbedder(WordsConfig()), timeout=30)
    assert patient.query("word").shape == (patient.dimension,)
    faults.mode = "raise"
    with pytest.raises(EmbedderError, match="RuntimeError") as caught:
        patient.documents(["a"])
    # What another library says may quote a key or a prompt: it stays in the cause, out of messages and statistics.
    assert "the model is gone" not in str(caught.value)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert patient.last_error is caught.value
    patient.close()
    patient = PatientEmbedder(FaultyEmbedder(WordsConfig()), timeout=0.1)
    faults.mode = "hang"
    with pytest.raises(EmbedderTimeoutError, match=r"within 0\.1 s"):
        patient.query("a")
    with pytest.raises(EmbedderTimeoutError, match="not come back"):
        patient.query("b")
    patient.close()
    patient.close()
    with pytest.raises(EmbedderError, match="closed"):
        patient.query("c")


def test_a_failure_says_what_is_done_instead(faults: Faults, caplog: pytest.LogCaptureFixture) -> None:
    """A question stores nothing; where time was short, the option that gives more of it is named."""
    faults.mode = "hang"
    for call, instead in (("documents", "embedded later"), ("query", "searched for by its words alone")):
        caplog.clear()
        patient = PatientEmbedder(FaultyEmbedder(WordsConfig()), timeout=0.05)
        with pytest.raises(EmbedderTimeoutError):
            getattr(patient, call)("a")
        patient.close()
        told = [record.message for record in caplog.records if "embedding failed" in record.message]
        assert len(told) == 1
        assert instead in told[0]
        assert "Fix: raise memory.embed_timeout" in told[0]


def test_one_text_that_cannot_be_embedded_does_not_hold_up_the_others(cm: ContextManager, faults: Faults) -> None:
    """It goes on waiting; the rest gets its vectors, also what is stored later."""
    faults.mode = "raise"
    for text in ("first", "poison", "second", "third"):
        cm.add_memory(text)
    faults.mode = "picky"
    cm.backfill_embeddings()
    assert cm.get_stats()["pending_embeddings"] == 1
    faults.mode = "raise"
    cm.add_memory("fourth")
    faults.mode = "picky"
    cm.backfill_embeddings()
    assert cm.get_stats()["pending_embeddings"] == 1
    assert cm.query_memory("poison")


def test_the_backfill_outlives_a_locked_store(
    cm: ContextManager, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may hold the store for a while; the thread tries again."""
    monkeypatch.setattr("ctxkit.memory.vault._FIRST_RETRY", 0.05)
    attach = Vault._attach
    failures: list[int] = []

    def locked_once(self: Vault, waiting: Sequence[Record], vectors: FloatVectors) -> int:
        if not failures:
            failures.append(1)
            raise StoreLockedError("busy.", fix="wait.")
        return attach(self, waiting, vectors)

    monkeypatch.setattr(Vault, "_attach", locked_once)
    faults.mode = "raise"
    cm.add_memory("waiting")
    faults.mode = "ok"
    wait_until_embedded(cm)
    assert failures


@pytest.mark.parametrize("mode", ["raise", "hang"])
def test_an_embedder_that_cannot_be_closed_does_not_keep_the_store_open(
    tmp_path: Path, faults: Faults, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store closes, the program goes on; the model is left to end by itself."""
    monkeypatch.setattr("ctxkit.memory.patience._CLOSING", 0.1)
    cm = ContextManager(config(embedder="faulty"), path=tmp_path / "store", registry=REGISTRY)
    store = cm._vault.store
    faults.mode = mode
    cm.close()
    with pytest.raises(StoreClosedError):
        store.count()


def test_a_model_is_not_closed_under_a_running_call(faults: Faults) -> None:
    """Native code crashes when its model is freed while it computes."""
    closed: queue.SimpleQueue[bool] = queue.SimpleQueue()
    patient = PatientEmbedder(FaultyEmbedder(WordsConfig()), timeout=0.1)
    patient._embedder.close = lambda: closed.put(faults.release.is_set())  # type: ignore[method-assign]
    faults.mode = "hang"
    with pytest.raises(EmbedderTimeoutError):
        patient.query("word")
    patient.close()
    assert closed.empty()
    faults.release.set()
    assert closed.get(timeout=10) is True


def test_callers_do_not_wait_for_one_another() -> None:
    """An embedder that gathers what comes at once sees all of it, and one over a network is waited for once."""
    parties = 5
    meeting = threading.Barrier(parties, timeout=30)

    class Gathering(WordEmbedder):
        def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
            meeting.wait()
            return super().embed_documents(texts)

    patient = PatientEmbedder(Gathering(WordsConfig()), timeout=60)
    with ThreadPoolExecutor(parties) as pool:
        rows = list(pool.map(patient.query, [f"text {number}" for number in range(parties)]))
    assert len(rows) == parties
    patient.close()


def test_an_abandoned_manager_leaves_no_thread_behind(tmp_path: Path) -> None:
    """Whoever forgets to close one per request should not run out of threads."""
    before = set(threading.enumerate())
    for number in range(5):
        forgotten = ContextManager(config(), path=tmp_path / str(number), registry=REGISTRY)
        forgotten.observe("hello", "hi")
        forgotten._vault.store.close()
        del forgotten
    gc.collect()
    deadline = time.monotonic() + 10
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert set(threading.enumerate()) - before == set()


def test_an_embedder_that_cannot_say_what_it_is_is_named(tmp_path: Path) -> None:
    """Not a bare ZeroDivisionError from somewhere inside."""
    with pytest.raises(EmbedderError, match="the embedder broken failed to load: ZeroDivisionError"):
        ContextManager(config(embedder="broken"), path=tmp_path / "store", registry=REGISTRY)


def test_a_store_is_readable_without_its_embedder(tmp_path: Path) -> None:
    """Losing the plugin must not lose the memories: the stored dimension is taken, and words still find them."""
    with ContextManager(config(), path=tmp_path / "store", registry=REGISTRY) as cm:
        cm.observe("The shed key hangs behind the door.", "Ok.")
    with ContextManager(config(embedder="none"), path=tmp_path / "store", registry=REGISTRY) as cm:
        assert cm.query_memory("shed key")
        cm.observe("Written without a model.", "Ok.")
        assert cm.get_stats()["pending_embeddings"] == 0
    with ContextManager(config(), path=tmp_path / "store", registry=REGISTRY) as cm:
        wait_until_embedded(cm)
        assert cm.get_stats()["store"]["vectors"] == 2


def _child(cm: ContextManager) -> None:
    cm.observe("from the child", "ok")
    assert cm.query_memory("child")
    cm.close()


def test_a_forked_child_goes_on_while_threads_of_the_parent_work(tmp_path: Path) -> None:
    """Pre-forking servers do this: locks that a thread held at the fork must not hang the child."""
    with ContextManager(config(), path=tmp_path / "store", registry=REGISTRY) as cm:
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                cm.observe("from a thread", "ok")

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        children = [multiprocessing.get_context("fork").Process(target=_child, args=(cm,)) for _ in range(4)]
        with warnings.catch_warnings():
            # Later Pythons warn of any fork beside threads; that it works all the same is what is tested.
            warnings.simplefilter("ignore", DeprecationWarning)
            for child in children:
                child.start()
        for child in children:
            child.join(60)
        stop.set()
        for thread in threads:
            thread.join()
        assert [child.exitcode for child in children] == [0, 0, 0, 0]
        assert sum("child" in text for text, _ in cm.query_memory("from the child", k=50)) == 4

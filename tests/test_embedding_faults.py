"""An embedder that raises, hangs or returns rubbish: `observe` returns, nothing is lost, the backfill makes it good."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from components import Faults, FaultyEmbedder, WordsConfig, config, registry

from ctxkit import ContextManager
from ctxkit.errors import EmbedderError, EmbedderTimeoutError
from ctxkit.memory import PatientEmbedder

REGISTRY = registry()


@pytest.fixture
def faults() -> Iterator[Faults]:
    """Fresh faults for one test; whatever hangs is let go at its end."""
    FaultyEmbedder.faults = Faults()
    yield FaultyEmbedder.faults
    FaultyEmbedder.faults.release.set()


@pytest.fixture
def cm(tmp_path: Path, faults: Faults) -> Iterator[ContextManager]:
    """A durable manager whose embedder does what `faults` says, with little patience."""
    with ContextManager(
        config(embedder="faulty", embed_timeout=0.3), path=tmp_path / "store", registry=REGISTRY
    ) as made:
        yield made
        # Let go of a hanging call before the store closes, as a real embedder would come back in the end.
        faults.release.set()


def wait_until_embedded(cm: ContextManager, seconds: float = 30.0) -> None:
    """Wait for the background backfill."""
    deadline = time.monotonic() + seconds
    while cm.get_stats()["pending_embeddings"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert cm.get_stats()["pending_embeddings"] == 0


@pytest.mark.parametrize("mode", ["raise", "hang", "shape"])
def test_no_turn_is_lost_and_the_backfill_embeds_it(cm: ContextManager, faults: Faults, mode: str) -> None:
    """Stored without a vector, found by its words, counted as pending, and embedded once the embedder recovers."""
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


def test_while_one_call_hangs_the_next_ones_do_not_wait(cm: ContextManager, faults: Faults) -> None:
    """The patience is paid once, not once per turn: ten turns reach the embedder as one call."""
    faults.mode = "hang"
    for i in range(10):
        cm.observe(f"turn {i}", "ok")
    assert faults.calls == 1
    assert len(cm.short_term_memory.turns) == 10


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
    patient = PatientEmbedder(FaultyEmbedder(WordsConfig()), timeout=0.1)
    assert patient.query("word").shape == (patient.dimension,)
    faults.mode = "raise"
    with pytest.raises(EmbedderError, match="the model is gone") as caught:
        patient.documents(["a"])
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert patient.last_error is caught.value
    faults.mode = "hang"
    with pytest.raises(EmbedderTimeoutError, match=r"within 0\.1 s"):
        patient.query("a")
    with pytest.raises(EmbedderTimeoutError, match="not come back"):
        patient.query("b")
    patient.close()
    patient.close()
    with pytest.raises(EmbedderError, match="closed"):
        patient.query("c")

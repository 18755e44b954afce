"""Micro-batching without a model: whose rows are whose, who waits for whom, and what an error costs the others."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ctxkit_sentence_transformers.batching import MicroBatcher

from ctxkit.records import FloatVectors

PATIENCE = 30


class Recorder:
    """A model whose vector of a text is its number; notes the batches, and holds the first one until told."""

    def __init__(self, *, hold: bool = False) -> None:
        self.batches: list[tuple[str, list[str]]] = []
        self.begun = threading.Event()
        self.may_go_on = threading.Event()
        if not hold:
            self.may_go_on.set()

    def __call__(self, route: str, texts: list[str]) -> FloatVectors:
        """Embed one batch."""
        self.batches.append((route, texts))
        self.begun.set()
        assert self.may_go_on.wait(PATIENCE)
        if "bad" in texts:
            raise ValueError("bad text")
        return np.array([[float(text)] for text in texts], np.float32)


def wait_for_queue(batcher: MicroBatcher, jobs: int) -> None:
    """Wait until so many callers stand in the queue."""
    pause = threading.Event()
    for _ in range(PATIENCE * 1000):
        if len(batcher._queue) == jobs:
            return
        pause.wait(0.001)
    raise AssertionError(f"{len(batcher._queue)} callers wait, not {jobs}")


def test_whoever_waits_shares_the_next_batch() -> None:
    """Sixteen callers with one text each take two runs: one for the first, one for all who came meanwhile."""
    model = Recorder(hold=True)
    batcher = MicroBatcher(model, 32)
    with ThreadPoolExecutor(16) as pool:
        first = pool.submit(batcher.submit, "document", ["0"])
        assert model.begun.wait(PATIENCE)
        others = [pool.submit(batcher.submit, "document", [str(number)]) for number in range(1, 16)]
        wait_for_queue(batcher, 15)
        model.may_go_on.set()
        assert [future.result(PATIENCE)[0, 0] for future in (first, *others)] == list(range(16))
    assert [len(texts) for _, texts in model.batches] == [1, 15]


def test_a_long_list_takes_turns_with_short_ones() -> None:
    """A question does not wait for the last of many documents; batches hold at most batch_size texts."""
    model = Recorder(hold=True)
    batcher = MicroBatcher(model, 4)
    with ThreadPoolExecutor(2) as pool:
        many = pool.submit(batcher.submit, "document", [str(number) for number in range(20)])
        assert model.begun.wait(PATIENCE)
        one = pool.submit(batcher.submit, "document", ["99"])
        wait_for_queue(batcher, 2)
        model.may_go_on.set()
        assert one.result(PATIENCE).tolist() == [[99.0]]
        assert many.result(PATIENCE)[:, 0].tolist() == list(range(20))
    sizes = [len(texts) for _, texts in model.batches]
    assert max(sizes) == 4
    assert "99" in [text for _, texts in model.batches[:3] for text in texts]


def test_routes_are_never_mixed() -> None:
    """Queries and documents, which a model may treat differently, are in batches of their own."""
    model = Recorder(hold=True)
    batcher = MicroBatcher(model, 32)
    with ThreadPoolExecutor(9) as pool:
        futures = [pool.submit(batcher.submit, "document", ["0"])]
        assert model.begun.wait(PATIENCE)
        futures += [pool.submit(batcher.submit, ("query", "document")[number % 2], ["1"]) for number in range(8)]
        wait_for_queue(batcher, 8)
        model.may_go_on.set()
        for future in futures:
            future.result(PATIENCE)
    assert sorted((route, len(texts)) for route, texts in model.batches) == [
        ("document", 1),
        ("document", 4),
        ("query", 4),
    ]


def test_an_error_is_blamed_on_its_own_text() -> None:
    """One caller's failure is that caller's alone, and everything works afterwards."""
    model = Recorder(hold=True)
    batcher = MicroBatcher(model, 32)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(batcher.submit, "document", ["0"])
        assert model.begun.wait(PATIENCE)
        bad = pool.submit(batcher.submit, "document", ["1", "bad"])
        good = pool.submit(batcher.submit, "document", ["2", "3"])
        wait_for_queue(batcher, 2)
        model.may_go_on.set()
        assert good.result(PATIENCE)[:, 0].tolist() == [2.0, 3.0]
        assert first.result(PATIENCE).tolist() == [[0.0]]
        with pytest.raises(ValueError, match="bad text"):
            bad.result(PATIENCE)
    assert batcher.submit("document", ["4"]).tolist() == [[4.0]]


def test_an_interrupt_leaves_the_others_their_turn() -> None:
    """Whoever is interrupted while leading gives back the texts of the others."""

    class Interrupted(Recorder):
        def __call__(self, route: str, texts: list[str]) -> FloatVectors:
            rows = super().__call__(route, texts)
            if len(self.batches) == 2:
                raise KeyboardInterrupt
            return rows

    model = Interrupted(hold=True)
    batcher = MicroBatcher(model, 32)
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(batcher.submit, "document", ["0"])]
        assert model.begun.wait(PATIENCE)
        futures += [pool.submit(batcher.submit, "document", [text]) for text in ("1", "2")]
        wait_for_queue(batcher, 2)
        model.may_go_on.set()
        errors = [type(future.exception(PATIENCE)) for future in futures]
    assert sorted(error.__name__ for error in errors) == ["KeyboardInterrupt", "NoneType", "NoneType"]


def test_many_callers_get_their_own_rows() -> None:
    """Whatever the interleaving, row i is text i of the caller who asked."""
    batcher = MicroBatcher(Recorder(), 8)

    def use(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(20):
            texts = [str(number) for number in rng.integers(0, 10_000, rng.integers(1, 30))]
            assert batcher.submit("document", texts)[:, 0].tolist() == [float(text) for text in texts]

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(use, seed) for seed in range(16)]:
            future.result(PATIENCE)

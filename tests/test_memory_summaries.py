"""Summaries: by a language model that may do anything, on three levels, by one process at a time."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from components import config, registry

from ctxkit import ContextManager, LLMConfig
from ctxkit.defaults.extractive import ExtractiveSummarizer
from ctxkit.errors import AuthenticationFailedError, PluginNotFoundError
from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import LLM, BackendConfig, BackendSpec, Completion, LLMCapabilities, Message

SMALL: Final[dict[str, Any]] = {"stm_capacity": 60, "chunk_size": 30, "summary_compression_ratio": 1.0}
_PATIENCE: Final = 60.0


class Model(LLM):
    """Does what a test tells it to; counts its calls."""

    answer: Callable[[], str] = staticmethod(lambda: "all is well")
    calls = 0

    def __init__(self, config: BackendConfig | None = None) -> None:
        self._config = config

    def complete(self, messages: Sequence[Message], **options: Any) -> Completion:
        """Answer as told."""
        assert options["max_tokens"] >= 1
        assert [message["role"] for message in messages] == ["system", "user"]
        type(self).calls += 1
        return Completion(text=type(self).answer(), model="model-1")


@hookimpl
def ctxkit_llms() -> list[BackendSpec]:
    """Announce the model."""
    return [
        BackendSpec(
            name="model",
            factory=f"{__name__}:Model",
            config="ctxkit.interfaces:BackendConfig",
            capabilities=LLMCapabilities(),
            summary="for tests",
        )
    ]


REGISTRY: Final = registry()
REGISTRY.register(SimpleNamespace(ctxkit_llms=ctxkit_llms), name="test-models")


@pytest.fixture(autouse=True)
def _model() -> None:
    Model.answer, Model.calls = staticmethod(lambda: "all is well"), 0


def manager(path: Path, **limits: Any) -> ContextManager:
    """Return a manager with a view of a few turns."""
    settings = config(**{**SMALL, **limits})
    settings.llm = LLMConfig(provider="model")
    return ContextManager(settings, path=path, registry=REGISTRY)


def fill(cm: ContextManager, count: int, start: int = 0) -> list[str]:
    """Observe some turns and return their ids."""
    return [cm.observe(f"Shelf {number} holds paint.", "Noted.") for number in range(start, start + count)]


def summaries(cm: ContextManager, level: str = "chunk") -> list[Any]:
    """Return the summary records of a level, oldest first."""
    return list(cm._vault.store.scan({"_ctx_level": level}, order_by="_ctx_frontier"))


def by(cm: ContextManager) -> set[str]:
    """Return who wrote the summaries."""
    return {record.metadata["_ctx_by"] for record in summaries(cm)}


def whole(cm: ContextManager, ids: Sequence[str]) -> bool:
    """Whether each turn is in view or stands in exactly one summary, and is found."""
    linked = [name for record in summaries(cm) for name in record.metadata["_ctx_lineage"]]
    return linked + [turn.id for turn in cm.short_term_memory.turns] == list(ids) and all(
        cm.get_memory(name) is not None for name in ids
    )


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_model_replaces_the_extractive_text_in_the_background(tmp_path: Path) -> None:
    """Until it has answered, the extractive text stands there; `observe` does not wait for it."""
    gate = threading.Event()

    def answer() -> str:
        assert gate.wait(_PATIENCE)
        return "Paint stands on the shelves."

    Model.answer = staticmethod(answer)
    with manager(tmp_path, summarizer="llm") as cm:
        ids = fill(cm, 12)
        until(lambda: by(cm) == {"extractive"})
        assert all("Shelf" in record.text for record in summaries(cm))
        assert cm.get_stats()["pending_summaries"] == len(summaries(cm)) > 2
        gate.set()
        assert cm._summarizing.finish(_PATIENCE)
        assert {record.text for record in summaries(cm)} == {"Paint stands on the shelves."}
        assert by(cm) == {"model-1"}
        assert cm.get_stats()["pending_summaries"] == 0
        assert whole(cm, ids)


def refuse() -> str:
    """Have the wrong key."""
    raise AuthenticationFailedError("no such key.", fix="get one.")


def divide() -> str:
    """Fail as no adapter should."""
    return str(1 / 0)


@pytest.mark.parametrize("answer", [refuse, divide])
def test_a_model_that_fails_is_asked_again_by_the_next_process(tmp_path: Path, answer: Callable[[], str]) -> None:
    """What is left to do stands in the store; the extractive text stands in."""
    Model.answer = staticmethod(answer)
    with manager(tmp_path, summarizer="llm", summaries="inline") as cm:
        ids = fill(cm, 12)
        assert Model.calls > 0
        assert by(cm) == {"extractive"}
        assert whole(cm, ids)
    Model.answer = staticmethod(lambda: "Paint.")
    with manager(tmp_path, summarizer="llm", summaries="inline") as cm:
        assert by(cm) == {"model-1"}
        assert whole(cm, ids)


@pytest.mark.parametrize("answer", ["", " \n\t ", "\0\0", "..."])
def test_a_model_that_says_nothing_leaves_the_extractive_text(tmp_path: Path, answer: str) -> None:
    """And is not asked the same again."""
    Model.answer = staticmethod(lambda: answer)
    with manager(tmp_path, summarizer="llm", summaries="inline") as cm:
        ids = fill(cm, 12)
        assert by(cm) == {"extractive"}
        assert all("Shelf" in record.text for record in summaries(cm))
        assert cm._summarizing.pending() == 0
        assert whole(cm, ids)


def test_a_hundred_thousand_tokens_are_cut(tmp_path: Path) -> None:
    """A summary is never longer than it may be, whatever the model does."""
    Model.answer = staticmethod(lambda: "paint " * 100_000)
    with manager(tmp_path, summarizer="llm", summaries="inline") as cm:
        ids = fill(cm, 12)
        assert by(cm) == {"model-1"}
        assert all(0 < cm._tokenizer.count(record.text) <= 64 for record in summaries(cm))
        assert cm.build("What is there?", budget=200).tokens <= 200
        assert whole(cm, ids)


def test_a_model_that_hangs_is_left_behind(tmp_path: Path) -> None:
    """Neither `observe` nor `close` waits for it, and it is not asked a second time meanwhile."""
    gate = threading.Event()

    def answer() -> str:
        gate.wait(_PATIENCE)
        return "late"

    Model.answer = staticmethod(answer)
    try:
        with manager(tmp_path, summarizer="llm", summary_timeout=0.05) as cm:
            ids = fill(cm, 12)
            until(lambda: cm._summarizing._desk.left_behind)
            ids += fill(cm, 6, 12)
            until(lambda: by(cm) == {"extractive"})
            assert Model.calls == 1
            assert whole(cm, ids)
    finally:
        gate.set()


def test_levels_rise_and_each_turn_is_below_one_of_each(tmp_path: Path) -> None:
    """Chunks gather to sessions, sessions to topics; all links lead to what is there."""
    with manager(tmp_path, summary_fanout=2, summaries="inline") as cm:
        ids = fill(cm, 40)
        assert whole(cm, ids)
        for level, below in (("session", "chunk"), ("topic", "session")):
            linked = [name for record in summaries(cm, level) for name in record.metadata["_ctx_lineage"]]
            names = [record.id for record in summaries(cm, below)]
            assert linked == names[: len(linked)]
            assert len(names) - len(linked) < 2
            assert summaries(cm, level)


def test_a_model_that_is_not_installed_is_an_error_at_once(tmp_path: Path) -> None:
    """The user has named it; without one to write summaries nobody is asked for."""
    settings = config(summarizer="llm")
    settings.llm = LLMConfig(provider="nobody")
    with pytest.raises(PluginNotFoundError, match="nobody"):
        ContextManager(settings, path=tmp_path, registry=REGISTRY)
    settings.memory.summarizer = "extractive"
    ContextManager(settings, path=tmp_path, registry=REGISTRY).close()


def test_off_links_without_a_text(tmp_path: Path) -> None:
    """Turns leave the view all the same, and come back in no way."""
    with manager(tmp_path, summaries="off", summary_fanout=2) as cm:
        ids = fill(cm, 20)
        assert {record.text for record in summaries(cm)} == {""}
        assert summaries(cm, "session") == []
        assert whole(cm, ids)


def test_observe_does_not_wait_for_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The turns leave the view by a summary whose text comes afterwards, in another thread."""
    gate, complete = threading.Event(), ExtractiveSummarizer.complete

    def gated(self: ExtractiveSummarizer, *args: Any, **options: Any) -> Completion:
        assert gate.wait(_PATIENCE)
        return complete(self, *args, **options)

    monkeypatch.setattr(ExtractiveSummarizer, "complete", gated)
    with manager(tmp_path) as cm:
        ids = fill(cm, 12)
        assert {record.text for record in summaries(cm)} == {""}
        assert whole(cm, ids)
        assert cm.get_stats()["pending_summaries"] == len(summaries(cm)) > 2
        assert "Earlier in this conversation" not in cm.build_context("paint")
        gate.set()
        assert cm._summarizing.finish(_PATIENCE)
        assert all("Shelf" in record.text for record in summaries(cm))
        assert cm.get_stats()["pending_summaries"] == 0
        assert "Earlier in this conversation" in cm.build_context("paint")
        assert whole(cm, ids)


def test_a_text_that_a_crash_prevented_is_written_by_whoever_opens_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the background or at once; what was deleted or erased meanwhile stays without one."""
    with monkeypatch.context() as crash:
        crash.setattr("ctxkit.memory.summarizing.Summarizing._go_on", lambda *_: None)
        with manager(tmp_path) as cm:
            fill(cm, 12)
            first, second, third = (record.id for record in summaries(cm)[:3])
            assert cm.delete_memory(first)
            assert cm.erase(second).summaries_remade == 1
    with manager(tmp_path, summaries="inline") as cm:
        texts = {record.id: record.text for record in summaries(cm)}
        assert (texts.pop(first), texts.pop(second)) == ("", "")
        assert all("Shelf" in text for text in texts.values())
        assert third in texts


def test_a_summary_that_was_deleted_brings_no_turn_back(tmp_path: Path) -> None:
    """Its text goes, from every answer; what it links to stays out of the view."""
    with manager(tmp_path, summaries="inline") as cm:
        ids = fill(cm, 12)
        in_view = [turn.id for turn in cm.short_term_memory.turns]
        first = summaries(cm)[0].id
        assert cm.delete_memory(first)
        assert [turn.id for turn in cm.short_term_memory.turns] == in_view
        assert whole(cm, ids)
        assert cm.get_memory(first) is None
        assert first not in {entry.id for entry in cm.list_memories()}
        assert not cm.delete_memory(first)
    with manager(tmp_path, summaries="inline") as cm:
        assert [turn.id for turn in cm.short_term_memory.turns] == in_view
        assert summaries(cm)[0].text == ""


def test_what_gathered_before_a_crash_rises_after_it(tmp_path: Path) -> None:
    """The store says what is still to be done."""
    with manager(tmp_path, summaries="off", summary_fanout=3) as cm:
        fill(cm, 20)
    with manager(tmp_path, summaries="background", summary_fanout=3) as cm:
        assert cm._summarizing.finish(_PATIENCE)
        assert summaries(cm, "session")


def _observe_elsewhere(path: Path, name: str, count: int) -> None:
    with manager(path) as cm:
        for number in range(count):
            cm.observe(f"{name} says {number}.", "Noted.")


def test_two_processes_overflow_one_session_at_once(tmp_path: Path) -> None:
    """No turn is summarised twice, and none is passed over."""
    with manager(tmp_path):
        pass
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_observe_elsewhere, args=(tmp_path, name, 15)) for name in ("Ann", "Bob")]
    for other in others:
        other.start()
    with manager(tmp_path) as cm:
        fill(cm, 15)
        for other in others:
            other.join(_PATIENCE)
            assert other.exitcode == 0
        cm.observe("The last.", "Noted.")
        cm.build_context("What was said?")  # which looks at the store again
        linked = [name for record in summaries(cm) for name in record.metadata["_ctx_lineage"]]
        everything = [record.id for record in cm._vault.store.scan({"_ctx_kind": "turn"})]
        assert sorted(linked + [turn.id for turn in cm.short_term_memory.turns]) == sorted(everything)
        assert len(everything) == 46

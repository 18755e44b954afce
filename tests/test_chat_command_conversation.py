"""A conversation without a terminal: answers of real SDKs, what is remembered when they fail, and each command."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from components import registry
from ctxkit_conformance.faults import FaultServer, Scenario, closed_port, step
from manager_support import manager
from provider_cases import fault_server, own_environment

from ctxkit import Config, ContextManager, ContextResult, LLMConfig
from ctxkit.chat import Conversation, perform
from ctxkit.chat.answering import Model, Quotes, choose
from ctxkit.chat.commands import Figures, Forgotten, Found, Help, Leave, Sent, Sessions
from ctxkit.chat.interrupts import stoppable
from ctxkit.chat.journal import Begun, Journal
from ctxkit.chat.quoting import NOTHING
from ctxkit.errors import CtxkitError, PluginNotFoundError, StoreFullError, StoreUnavailableError
from ctxkit.llm.adapters import create_llm_adapter
from ctxkit.local.layout import claimed
from ctxkit.plugins import get_registry

__all__ = ["fault_server", "own_environment"]  # fixtures
pytestmark = pytest.mark.usefixtures("own_environment")
KEYS = {"openai": "sk-test-0123456789abcdef", "anthropic": "sk-ant-api03-test-0123456789"}
PROVIDERS = pytest.mark.parametrize("provider", KEYS)


@pytest.fixture(name="memory")
def _memory(tmp_path: Path) -> Iterator[ContextManager]:
    """A memory on disk."""
    with manager(tmp_path / "store") as made:
        yield made


def model(where: Scenario, provider: Any = "openai", *, streams: bool = True) -> Model:
    """Return who answers: a provider's adapter that asks this scenario."""
    options: dict[str, Any] = {
        "base_url": where.url(provider),
        "api_key": KEYS[provider],
        "model": "m",
        "max_retries": 0,
    }
    return Model(create_llm_adapter(provider, timeout=0.5, **options), f"{provider} m", streams=streams)


def quoting(memory: ContextManager) -> Conversation:
    """Return a conversation with the stand-in."""
    return Conversation(memory, Quotes())


def ignore(_piece: object) -> bool:
    """Take a piece, or agree to nothing."""
    return False


def turns(memory: ContextManager) -> list[tuple[str, str, object]]:
    """Return the turns in view: both sides, and the mark of an answer that is not whole."""
    memory.short_term_memory.refresh()
    found = memory.short_term_memory.turns
    return [(turn.user_input, turn.assistant_response, turn.metadata.get("answer")) for turn in found]


@PROVIDERS
@pytest.mark.parametrize("streams", [True, False])
def test_a_provider_answers_from_the_context(
    server: FaultServer, memory: ContextManager, provider: Any, *, streams: bool
) -> None:
    """The messages of the context are what is sent, the answer comes in pieces where it streams, and is remembered."""
    memory.observe("The tiler comes on Thursday.", "Noted.")
    scenario = server.scenario(then=step("ok", text="On Thursday at eight.", usage=(12, 5)))
    pieces: list[str] = []
    with Conversation(memory, model(scenario, provider, streams=streams)) as conversation:
        reply = conversation.ask("When does the tiler come?", pieces.append)
    assert reply.context is not None
    sent = str(scenario.requests[0].body)
    assert all(str(message["content"]) in sent for message in reply.context.messages if message["role"] != "system")
    assert "".join(pieces) == reply.answer == "On Thursday at eight."
    assert (len(pieces) > 1) is streams
    assert reply.as_dict()["usage"] == {"input_tokens": 12, "output_tokens": 5, "cached_tokens": 0}
    assert turns(memory)[-1] == ("When does the tiler come?", "On Thursday at eight.", None)
    assert memory.get_memory(reply.memory_id) is not None


@PROVIDERS
@pytest.mark.parametrize(
    ("fault", "answer", "kind"),
    [
        ("authentication", "", "AuthenticationFailedError"),
        ("rate_limited", "", "RateLimitedError"),
        ("hang", "", "ProviderTimeoutError"),
        ("reset", "", "ProviderUnavailableError"),
        ("cut", "The", "ProviderUnavailableError"),
    ],
)
def test_a_failure_is_told_and_costs_no_turn(
    server: FaultServer, memory: ContextManager, provider: Any, fault: str, answer: str, kind: str
) -> None:
    """Whatever the provider does, the question and what came are in memory, marked, and the next question works."""
    scenario = server.scenario(step(fault, text="The tiler comes."), then=step("ok", text="Yes."))
    with Conversation(memory, model(scenario, provider)) as conversation:
        failed = conversation.ask("When?", ignore)
        assert failed.state == "failed"
        error = failed.as_dict()["error"]
        assert error["type"] == kind
        assert error["fix"]
        assert failed.answer.startswith(answer) if answer else failed.answer == ""
        assert conversation.ask("Really?", ignore).state == "whole"
    kept = f"{failed.answer} [...]" if failed.answer else ""
    assert turns(memory) == [("When?", kept, "failed"), ("Really?", "Yes.", None)]


def test_no_network_is_told(memory: ContextManager) -> None:
    """Where nobody listens, that is what is said."""
    with closed_port() as address:
        llm = create_llm_adapter("openai", base_url=f"{address}/v1", api_key=KEYS["openai"], max_retries=0)
        with Conversation(memory, Model(llm, "openai", streams=True)) as conversation:
            reply = conversation.ask("When?", ignore)
    assert reply.error is not None
    assert "connection" in reply.error.message


def test_an_interrupted_answer_is_kept_as_far_as_it_came(server: FaultServer, memory: ContextManager) -> None:
    """SIGINT ends the call; the turn has the piece that came, with the mark of the cut."""
    scenario = server.scenario(step("hold_midway", text="On Thursday."), then=step("ok", text="Yes."))

    def interrupt(_piece: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with Conversation(memory, model(scenario)) as conversation:
        reply = conversation.ask("When?", interrupt)
        assert scenario.wait_until(lambda requests: requests[0].closed is not None)
        conversation.ask("Really?", ignore)
    assert reply.state == "cut"
    assert "On Thursday.".startswith(reply.answer)
    assert turns(memory) == [("When?", f"{reply.answer} [...]", "cut"), ("Really?", "Yes.", None)]


def test_only_the_first_interruption_counts() -> None:
    """A second Ctrl-C, or one when the answer is there, breaks nothing that is being stored."""
    before = signal.getsignal(signal.SIGINT)
    with stoppable() as settle:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    with stoppable() as settle:
        settle()
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_a_conversation_works_too(memory: ContextManager) -> None:
    """Signals belong to the main thread; a conversation elsewhere does without."""
    replies: list[Any] = []
    with quoting(memory) as conversation:
        thread = threading.Thread(target=lambda: replies.append(conversation.ask("Hello?", ignore)))
        thread.start()
        thread.join()
    assert replies[0].state == "whole"


class _Broken(Quotes):
    """Fails as no adapter may."""

    def pieces(self, context: ContextResult) -> Any:
        """Raise in the middle."""
        assert context.question
        yield "half"
        raise RuntimeError("a mistake in a plugin")


def test_a_broken_adapter_costs_no_turn(memory: ContextManager) -> None:
    """A mistake of a plugin is raised as it is, with the question already in memory."""
    with Conversation(memory, _Broken()) as conversation, pytest.raises(RuntimeError, match="a mistake"):
        conversation.ask("When?", ignore)
    assert turns(memory) == [("When?", "", "failed")]


def test_a_turn_that_was_not_stored_comes_back_in_its_session(tmp_path: Path) -> None:
    """What a killed process left in its journal is taken in once, with the half line at its end left out."""
    store = tmp_path / "store"
    journal = Journal(store)
    note = journal.note(Begun("turn-1", "When?", "kitchen", 1_700_000_000.0))
    for piece in ("On ", "Thursday"):
        note.add(piece)
    (file,) = store.rglob("*.jsonl")
    assert file.stat().st_mode & 0o777 == 0o600
    with file.open("a") as out:
        out.write('"half of a pie')
    with manager(store) as memory, quoting(memory) as conversation:
        assert conversation.recovered == 0, "the process that writes it is still there"
    journal.close()
    for expected in (1, 0):
        with manager(store) as memory, quoting(memory) as conversation:
            assert (conversation.recovered, conversation.session) == (expected, None)
            assert [session.id for session in conversation.sessions()] == ["kitchen"]
            conversation.switch("kitchen")
            assert turns(memory) == [("When?", "On Thursday [...]", "cut")]
    assert not list((store / "chat").iterdir())


def test_a_journal_passes_over_what_is_not_its_own(tmp_path: Path) -> None:
    """An empty note and one of a turn that was stored after all bring nothing back, and go."""
    store = tmp_path / "store"
    with manager(store) as memory:
        memory.observe("When?", "On Thursday.", turn_id="turn-1")
    journal = Journal(store)
    journal.note(Begun("turn-1", "When?", None, 1.0)).add("On")
    (folder,) = (store / "chat").iterdir()
    (folder / "empty.jsonl").touch()
    (folder / "other.jsonl").write_text("[]\n")
    journal.close()
    with manager(store) as memory, quoting(memory):
        assert turns(memory) == [("When?", "On Thursday.", None)]
    assert not list((store / "chat").iterdir())


def test_a_turn_that_cannot_be_stored_waits_in_the_journal(
    memory: ContextManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is told, and the question comes back when a chat opens again."""

    def full(*_: object, **__: object) -> str:
        raise StoreFullError("the disk is full.")

    with quoting(memory) as conversation:
        monkeypatch.setattr(memory, "observe", full)
        with pytest.raises(StoreFullError):
            conversation.ask("When?", ignore)
        monkeypatch.undo()
    with quoting(memory) as conversation:
        assert conversation.recovered == 1
    assert turns(memory) == [("When?", "", "cut")]


def test_a_journal_that_cannot_be_written_is_an_error_with_its_fix(tmp_path: Path) -> None:
    """A folder that is a file is named; the question is not asked of anybody."""
    (tmp_path / "chat").touch()
    with pytest.raises(StoreUnavailableError, match="chat"):
        Journal(tmp_path).note(Begun("turn-1", "When?", None, 1.0))


def test_memory_without_a_folder_has_no_journal() -> None:
    """A store in memory ends with its process, and writes nothing anywhere."""
    with manager() as memory, quoting(memory) as conversation:
        assert conversation.ask("Hello?", ignore).state == "whole"
        assert Journal(None).left_behind() == []


def test_the_stand_in_quotes_what_fits_best(memory: ContextManager) -> None:
    """Without a model the sentence that answers is quoted; questions are never quoted, and no quote is remembered."""
    memory.observe("What about bread? The sourdough rests for nineteen hours. I like it.", "Noted.")
    memory.observe("How long does the sourdough rest?", "")
    with quoting(memory) as conversation:
        reply = conversation.ask("How long does the sourdough rest?", ignore)
        assert reply.answer == "“The sourdough rests for nineteen hours.”"
        assert turns(memory)[-1] == ("How long does the sourdough rest?", "", None)
    with manager() as empty, quoting(empty) as conversation:
        assert conversation.ask("How long?", ignore).answer == NOTHING


def test_who_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configured model comes first, then one whose key is there, and then the stand-in."""
    installed = get_registry()
    assert isinstance(choose(Config(), installed), Quotes)
    assert choose(Config(llm=LLMConfig(provider="extractive")), installed).name == "extractive"
    assert choose(Config(llm=LLMConfig(provider="echo")), installed).name == "echo echo"
    with pytest.raises(PluginNotFoundError):
        choose(Config(llm=LLMConfig(provider="nosuch")), installed)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEYS["anthropic"])
    assert choose(Config(), installed).name.startswith("anthropic claude")
    monkeypatch.setenv("OPENAI_API_KEY", KEYS["openai"])
    assert choose(Config(), installed).name == "openai gpt-4"
    assert isinstance(choose(Config(), registry()), Quotes), "a plugin that is not enabled has no say"


def test_context_shows_what_was_sent(memory: ContextManager) -> None:
    """`/context` is the very context of the last answer; with a question it is that question's."""
    memory.observe("The tiler comes on Thursday.", "Noted.")
    with quoting(memory) as conversation:
        with pytest.raises(CtxkitError, match="nothing was sent"):
            perform("/context", conversation, ignore)
        reply = conversation.ask("When does the tiler come?", ignore)
        sent = perform("/context", conversation, ignore)
        assert isinstance(sent, Sent)
        assert sent.context is reply.context
        assert sent.as_dict()["ledger"]
        other = perform("/context  And the painter? ", conversation, ignore)
        assert isinstance(other, Sent)
        assert other.context.question == "And the painter?"


def test_search_finds_memories_with_their_ids(memory: ContextManager) -> None:
    """What `/search` shows can be given to `/forget`."""
    note = memory.add_memory("The spare tiles are in the attic.")
    with quoting(memory) as conversation:
        found = perform("/search attic", conversation, ignore)
        assert isinstance(found, Found)
        assert found.as_dict()["hits"][0]["id"] == note
        with pytest.raises(CtxkitError, match="nothing to look for"):
            perform("/search", conversation, ignore)


@pytest.mark.parametrize("which", ["last", "the id"])
def test_forget_asks_and_erases(memory: ContextManager, which: str) -> None:
    """Nothing goes before the answer is yes; then the turn is nowhere, not even in what was sent last."""
    asked: list[str] = []

    def agree(entry: Any) -> bool:
        asked.append(entry.text)
        return len(asked) > 1

    with quoting(memory) as conversation:
        reply = conversation.ask("The code of the gate is 4711.", ignore)
        line = f"/forget {'last' if which == 'last' else reply.memory_id}"
        refused = perform(line, conversation, agree)
        assert isinstance(refused, Forgotten)
        assert refused.report is None
        assert turns(memory)
        gone = perform(line, conversation, agree)
        assert isinstance(gone, Forgotten)
        assert gone.as_dict()["report"]["turns"] == 1
        assert "4711" in asked[1]
        assert (turns(memory), conversation.last, conversation.questions()) == ([], None, [])


def test_forget_needs_to_know_what(memory: ContextManager) -> None:
    """No id, an unknown one, and `last` where there is no turn are told apart from an erasure."""
    with quoting(memory) as conversation:
        for line in ("/forget", "/forget nosuch", "/forget last yes"):
            with pytest.raises(CtxkitError, match=r"forget|no memory"):
                perform(line, conversation, ignore)


def test_sessions_are_listed_and_switched(memory: ContextManager) -> None:
    """Each session has its own turns in view; `*` is all of them, and what was asked before is there for the arrows."""
    with quoting(memory) as conversation:
        for name in ("kitchen", "garden"):
            perform(f"/session {name}", conversation, ignore)
            conversation.ask(f"We are in the {name}.", ignore)
        listed = perform("/session", conversation, ignore)
        assert isinstance(listed, Sessions)
        assert listed.current == "garden"
        assert [(each.id, each.turns) for each in listed.sessions] == [("garden", 1), ("kitchen", 1)]
        assert conversation.questions() == ["We are in the garden."]
        everything = perform("/session *", conversation, ignore)
        assert isinstance(everything, Sessions)
        assert everything.current is None
        figures = perform("/stats", conversation, ignore)
        assert isinstance(figures, Figures)
        assert figures.memory["store"]["records"] == 2


def test_help_quit_and_unknown_commands(memory: ContextManager) -> None:
    """Help names every command, a slip is corrected, and leaving is an outcome of its own."""
    with quoting(memory) as conversation:
        listed = perform("/help", conversation, ignore)
        assert isinstance(listed, Help)
        for usage, _ in listed.commands:
            assert usage.startswith("/")
        assert isinstance(perform("/QUIT", conversation, ignore), Leave)
        with pytest.raises(CtxkitError, match=r"no command /serch.*did you mean /search\?"):
            perform("/serch tiles", conversation, ignore)
        with pytest.raises(CtxkitError, match=r"no command /xyzzy\. Fix: /help"):
            perform("/xyzzy", conversation, ignore)


def test_two_chats_that_begin_at_once_leave_each_other_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that opens takes away folders that are empty and nobody's, not one that is being made."""

    def claimed_late(folder: Path) -> AbstractContextManager[None]:
        assert Journal(tmp_path).left_behind() == []
        return claimed(folder)

    monkeypatch.setattr("ctxkit.chat.journal.claimed", claimed_late)
    journal = Journal(tmp_path)
    note = journal.note(Begun("turn-1", "When?", None, 1.0))
    (file,) = tmp_path.glob("chat/*/turn-1.jsonl")
    assert not file.parent.name.startswith(".")
    note.close(stored=True)
    journal.close()
    assert list((tmp_path / "chat").iterdir()) == []

"""The context manager as an application uses it, on the exact store."""

from __future__ import annotations

import logging
import multiprocessing
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from components import config, registry

from ctxkit import Config, ContextManager, EmbedderConfig, MemoryConfig, VectorStoreConfig
from ctxkit.errors import (
    BudgetTooSmallError,
    ConfigError,
    IngestError,
    InvalidQueryError,
    InvalidRecordError,
    PluginNotFoundError,
    StoreUnavailableError,
)

REGISTRY = registry()


def manager(path: Path | None = None, *, settings: Config | None = None, **scope: Any) -> ContextManager:
    """Return a manager on the exact store with the embedder of hashed words."""
    return ContextManager(settings or config(), path=path, registry=REGISTRY, **scope)


@pytest.fixture
def cm(tmp_path: Path) -> Iterator[ContextManager]:
    """A durable manager with the default limits."""
    with manager(tmp_path / "store") as made:
        yield made


def test_a_turn_is_in_view_found_and_in_the_context(cm: ContextManager) -> None:
    """The main line: observe, then build."""
    cm.observe("My locker code is 4417.", "I will remember it.")
    assert [turn.user_input for turn in cm.short_term_memory.turns] == ["My locker code is 4417."]
    assert cm.short_term_memory.turns[0].assistant_response == "I will remember it."
    assert "4417" in cm.query_memory("What is my locker code?", k=1)[0][0]
    context = cm.build_context("What is my locker code?")
    assert context.count("4417") == 1  # among the recent turns, and not again among the memories
    assert context.endswith("What is my locker code?")


def test_each_of_500_turns_past_capacity_is_found(tmp_path: Path) -> None:
    """Nothing that was observed is lost, however far past the capacity."""
    settings = config(stm_capacity=200, chunk_size=100)
    with manager(tmp_path / "store", settings=settings) as cm:
        for number in range(500):
            cm.observe(f"Parcel number {number} went to shelf {number * 7919 % 1009}.", "Noted.")
        assert cm.get_stats()["short_term_memory"]["current_tokens"] <= 200
    with manager(tmp_path / "store", settings=settings) as cm:
        for number in range(500):
            fact = f"Parcel number {number} went to shelf {number * 7919 % 1009}."
            assert any(fact in text for text, _ in cm.query_memory(f"Where did parcel number {number} go?", k=3))


def test_overflow_leaves_a_summary_with_links_to_its_turns(tmp_path: Path) -> None:
    """What leaves the view is summarised, and the summary names the turns it stands for."""
    with manager(tmp_path / "store", settings=config(stm_capacity=120, chunk_size=60)) as cm:
        ids = [cm.observe(f"The boiler on floor {i} was serviced by Ruth.", "Thanks, logged.") for i in range(20)]
        in_view = [turn.id for turn in cm.short_term_memory.turns]
        summaries = [entry for entry in cm.long_term_memory.entries if entry.kind == "summary"]
        where = {"_ctx_kind": "summary"}
        lineage = [turn for record in cm._vault.store.scan(where) for turn in record.metadata["_ctx_lineage"]]
        assert sorted(lineage + in_view) == sorted(ids)
        assert summaries
        assert all("boiler" in entry.text for entry in summaries)
        assert "## Earlier in this conversation" in cm.build_context("And now?")


def test_the_view_continues_after_reopening(tmp_path: Path) -> None:
    """A manager opened again on the same path and session shows the same turns."""
    settings = config(stm_capacity=120, chunk_size=60)
    with manager(tmp_path / "store", settings=settings, session_id="s") as cm:
        for i in range(20):
            cm.observe(f"Step {i} of the recipe is done.", "Good.")
        before = cm.short_term_memory.turns
    with manager(tmp_path / "store", settings=settings, session_id="s") as cm:
        assert cm.short_term_memory.turns == before
        cm.observe("The last step is done.", "Well done.")
        assert cm.short_term_memory.turns[-1].position == 20


def test_a_longer_turn_than_the_capacity_stays_while_it_is_the_newest(tmp_path: Path) -> None:
    """The last thing said is never missing from the prompt."""
    with manager(tmp_path / "store", settings=config(stm_capacity=50, chunk_size=20)) as cm:
        cm.observe("word " * 200, "ok")
        assert len(cm.short_term_memory.turns) == 1
        cm.observe("short", "ok")
        assert [turn.user_input for turn in cm.short_term_memory.turns] == ["short"]


def test_offloading_by_hand_takes_a_chunk_and_never_the_newest_turn(cm: ContextManager) -> None:
    """The well-known call to make room works below the capacity too."""
    cm._summarize_and_offload()
    cm.observe("one", "two")
    cm._summarize_and_offload()
    assert len(cm.short_term_memory.turns) == 1
    cm.observe("three", "four")
    cm._summarize_and_offload()
    assert [turn.user_input for turn in cm.short_term_memory.turns] == ["three"]


def test_turn_ids_make_observe_repeatable(cm: ContextManager) -> None:
    """A message delivered twice is one turn; other words under the same id are a mistake."""
    first = cm.observe("hello", "hi", turn_id="m1")
    assert cm.observe("hello", "hi", turn_id="m1") == first
    assert len(cm.short_term_memory.turns) == 1
    with pytest.raises(InvalidRecordError, match="m1"):
        cm.observe("goodbye", "bye", turn_id="m1")
    assert cm.observe("goodbye", "bye", turn_id="m2") != first


def test_timestamps_are_seconds_or_aware_datetimes(cm: ContextManager) -> None:
    """A naive datetime means another moment on each machine, so it is refused."""
    moment = datetime(2026, 3, 2, 9, 30, tzinfo=timezone.utc)
    cm.observe("a", "b", timestamp=moment)
    cm.observe("c", "d", timestamp=moment.timestamp() + 1)
    assert [turn.timestamp for turn in cm.short_term_memory.turns] == [moment.timestamp(), moment.timestamp() + 1]
    with pytest.raises(InvalidRecordError, match="time zone"):
        cm.observe("a", "b", timestamp=datetime(2026, 3, 2))  # noqa: DTZ001 - the point of the test
    with pytest.raises(InvalidRecordError, match="timestamp"):
        cm.observe("a", "b", timestamp=float("nan"))


@pytest.mark.parametrize(("user", "assistant"), [("", ""), (" \n", "\t")])
def test_a_blank_turn_is_refused(cm: ContextManager, user: str, assistant: str) -> None:
    """There is nothing to remember, and an application that does this has a bug."""
    with pytest.raises(InvalidRecordError, match="blank"):
        cm.observe(user, assistant)
    assert cm.get_stats()["store"]["records"] == 0


def test_one_blank_side_is_fine(cm: ContextManager) -> None:
    """Assistants greet first; tools answer with nothing."""
    cm.observe("", "Welcome back!")
    cm.observe("ping", "")
    assert [(turn.user_input, turn.assistant_response) for turn in cm.short_term_memory.turns] == [
        ("", "Welcome back!"),
        ("ping", ""),
    ]


def test_nul_and_lone_surrogates_are_stored(tmp_path: Path) -> None:
    """Broken decoders upstream must not cost a turn; a surrogate becomes U+FFFD, a split pair its character."""
    with manager(tmp_path / "store") as cm:
        cm.observe("nul \0 here \udc80 and \ud83e\udd16", "ok")
        cm.add_memory("memory \ud800 too", {"note": "\udfff"})
    with manager(tmp_path / "store") as cm:
        assert cm.short_term_memory.turns[0].user_input == "nul \0 here \ufffd and 🤖"
        assert "nul" in cm.build_context("what is \udc80 here?")
        assert any("memory \ufffd too" in text for text, _ in cm.query_memory("memory"))


def test_five_megabytes_in_one_turn(tmp_path: Path) -> None:
    """A pasted log is stored whole, searched by its parts, and never breaks the budget."""
    lines = [f"line {i}: service {i % 97} answered in {i % 501} ms" for i in range(120_000)]
    lines[70_000] = "line 70000: the turbine hall caught a kingfisher"
    log = "\n".join(lines)
    assert len(log) > 4_500_000
    patient = config(embed_timeout=300.0)  # embedding all of it takes seconds, on a busy machine more
    with manager(tmp_path / "store", settings=patient) as cm:
        cm.observe(log, "That is a long log.")
        assert cm.short_term_memory.turns[0].user_input == log
        cm.observe("next", "ok")
        result = cm.build("Which line mentions the kingfisher in the turbine hall?")
        assert result.tokens <= 12000
        assert "caught a kingfisher" in result.text
    with manager(tmp_path / "store", settings=patient) as cm:
        assert any("caught a kingfisher" in text for text, _ in cm.query_memory("kingfisher turbine hall", k=5))
        assert len(cm.long_term_memory.entries) + len(cm.short_term_memory.turns) == 3  # two turns and a summary


def test_the_newest_turn_is_cut_when_it_alone_is_too_long(cm: ContextManager) -> None:
    """It is shown as far as half of the budget goes, marked as cut, and accounted for."""
    cm.observe("start " + "filler " * 3000, "the end")
    result = cm.build("go on", budget=300)
    assert result.tokens <= 300
    assert "User: start filler" in result.text
    assert "[...]" in result.text
    assert result.ledger[0].reason == "the newest turn, cut to fit"


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_a_blank_memory_and_a_blank_query_are_refused(cm: ContextManager, text: str) -> None:
    """Neither can be found, neither can find."""
    with pytest.raises(InvalidRecordError, match="blank"):
        cm.add_memory(text)
    with pytest.raises(InvalidRecordError, match="blank"):
        cm.ingest_text(text)
    with pytest.raises(InvalidQueryError, match="blank"):
        cm.query_memory(text)


def test_a_blank_question_still_gets_the_recent_turns(cm: ContextManager) -> None:
    """A chat that sends only an attachment needs its context all the same."""
    cm.observe("hello", "hi")
    assert "hello" in cm.build_context("  ")


@pytest.mark.parametrize("k", [0, -1, True, 1.5, "5"])
def test_a_wrong_k_is_refused(cm: ContextManager, k: Any) -> None:
    """The error says what a k is."""
    with pytest.raises(InvalidQueryError, match="k >= 1"):
        cm.query_memory("text", k=k)


@pytest.mark.parametrize("budget", [0, -5, True, 2.5])
def test_a_wrong_budget_is_refused(cm: ContextManager, budget: Any) -> None:
    """The error says what a budget is."""
    with pytest.raises(ConfigError, match="budget"):
        cm.build("question", budget=budget)


def test_a_question_longer_than_the_budget_is_an_error(cm: ContextManager) -> None:
    """A question is never cut in silence."""
    with pytest.raises(BudgetTooSmallError, match="the budget is 10"):
        cm.build("why " * 50, budget=10)


def test_text_that_is_no_text_is_refused(cm: ContextManager) -> None:
    """None instead of an answer is a common slip."""
    with pytest.raises(InvalidRecordError, match="NoneType"):
        cm.observe("hello", None)  # type: ignore[arg-type]


def test_metadata_of_the_user_is_checked(cm: ContextManager) -> None:
    """Our own keys and values that no store keeps are refused before anything is written."""
    with pytest.raises(InvalidRecordError, match="reserved"):
        cm.add_memory("text", {"_ctx_kind": "turn"})
    with pytest.raises(InvalidRecordError, match="mapping"):
        cm.add_memory("text", ["a"])  # type: ignore[arg-type]
    with pytest.raises(InvalidRecordError, match="tags"):
        cm.add_memory("text", {"tags": []})
    with pytest.raises(InvalidRecordError, match="timestamp"):
        cm.add_memory("text", {"timestamp": "yesterday"})
    assert cm.get_stats()["store"]["records"] == 0


def test_debugging_shows_the_same_context_with_its_account(cm: ContextManager) -> None:
    """Each key that users read is there, and what is kept and dropped adds up."""
    for i in range(12):
        cm.observe(f"The red boat number {i} left at {i} o'clock.", "Noted.")
    info = cm.debug_context_building("When did the red boat number 3 leave?")
    assert info["user_input"] == "When did the red boat number 3 leave?"
    assert info["recent_turns_count"] == len(info["recent_texts"]) == 5
    assert info["ltm_results_count"] == len(info["ltm_results"]) == 7
    assert info["final_context_length"] == len(info["context"])
    assert info["final_context_tokens"] <= info["context_budget"] == 12000
    assert info["context"] == cm.build_context("When did the red boat number 3 leave?")
    memories = [row for row in info["ledger"] if row["part"] == "memory"]
    assert sum(row["kept"] for row in memories) == 7
    assert all(row["reason"] for row in info["ledger"])
    assert {row["reason"] for row in memories if not row["kept"]} == {"shown among the recent turns"}
    assert [row["final"] for row in memories] == sorted((row["final"] for row in memories), reverse=True)


def test_hits_beyond_the_limit_are_dropped_and_say_so(tmp_path: Path) -> None:
    """ltm_hits_k is an upper bound, with a reason in the ledger."""
    with manager(tmp_path / "store", settings=config(ltm_hits_k=2, recent_k=1)) as cm:
        for i in range(6):
            cm.add_memory(f"tea leaf {i}")
        cm.add_memory("tea leaf 5")
        result = cm.build("tea leaf 5")
        assert len(result.kept("memory")) == 2
        reasons = {row.reason for row in result.ledger if not row.kept}
        assert any(reason.startswith("the same text as memory-") for reason in reasons)
        assert "ltm_hits_k (2) better ones were kept" in reasons


def test_statistics_have_the_documented_keys(cm: ContextManager) -> None:
    """Dashboards read them."""
    cm.observe("one", "two")
    cm.add_memory("three")
    stats = cm.get_stats()
    assert stats["short_term_memory"]["num_turns"] == 1
    assert 0 < stats["short_term_memory"]["utilization"] < 1
    assert stats["short_term_memory"]["max_tokens"] == 8000
    assert stats["long_term_memory"]["num_entries"] == 1
    assert stats["long_term_memory"]["index_size"] == 2
    assert stats["long_term_memory"]["index_type"]
    assert (stats["vector_store"], stats["embedder"], stats["tokenizer"]) == ("exact", "words", "estimate")
    assert stats["pending_embeddings"] == 0
    assert stats["last_embedding_error"] is None


def test_sessions_are_apart_and_switched(tmp_path: Path) -> None:
    """Short-term memory is one session's; the search stays inside it unless it may cross."""
    with manager(tmp_path / "store", session_id="monday") as cm:
        cm.observe("The spare key is under the fern.", "Ok.")
        cm.set_session("tuesday")
        assert cm.short_term_memory.turns == []
        assert cm.query_memory("spare key") == []
        cm.observe("The bin goes out today.", "Ok.")
        cm.set_session("monday")
        assert [turn.user_input for turn in cm.short_term_memory.turns] == ["The spare key is under the fern."]
        cm.set_session(None)
        assert cm.short_term_memory.turns == []
        assert len(cm.query_memory("spare key bin", k=9)) == 2
    with manager(tmp_path / "store", session_id="wednesday", allow_cross_session=True) as cm:
        assert cm.query_memory("spare key")[0][0].startswith("User: The spare key")
        assert cm.short_term_memory.turns == []


def test_users_and_agents_never_see_each_other(tmp_path: Path) -> None:
    """None is an owner of its own: nobody's records are everybody's."""
    for user, agent in ((None, None), ("ann", None), ("bob", None), ("ann", "coach")):
        with manager(tmp_path / "store", user_id=user, agent_id=agent) as cm:
            cm.add_memory(f"secret of {user} and {agent}")
    for user, agent in ((None, None), ("ann", None), ("bob", None), ("ann", "coach")):
        with manager(tmp_path / "store", user_id=user, agent_id=agent, allow_cross_session=True) as cm:
            assert [text for text, _ in cm.query_memory("secret", k=9)] == [f"secret of {user} and {agent}"]
            assert [entry.text for entry in cm.long_term_memory.entries] == [f"secret of {user} and {agent}"]


def test_tasks_narrow_the_view(tmp_path: Path) -> None:
    """The same session, another task."""
    with manager(tmp_path / "store", session_id="s", task_id="paint") as cm:
        cm.observe("Use the blue paint.", "Ok.")
        cm.set_task("wire")
        assert cm.query_memory("paint") == []
        cm.set_task("paint")
        assert len(cm.query_memory("paint")) == 1


def test_metadata_cannot_leave_the_scope(tmp_path: Path) -> None:
    """A record's own metadata may say where it belongs only where the manager leaves that open."""
    with manager(tmp_path / "store", user_id="ann") as cm:
        cm.add_memory("in a session", {"session_id": "s1"})
        with pytest.raises(InvalidRecordError, match="user_id"):
            cm.add_memory("for somebody else", {"user_id": "bob"})
        with pytest.raises(InvalidRecordError, match="agent_id"):
            cm.add_memory("for some agent", {"agent_id": "coach"})
        cm.observe("kept aside", "ok", metadata={"session_id": "s2"})
        assert cm.short_term_memory.turns == []
        cm.set_session("s2")
        assert [turn.user_input for turn in cm.short_term_memory.turns] == ["kept aside"]
        with pytest.raises(InvalidRecordError, match="session_id"):
            cm.add_memory("elsewhere", {"session_id": "s1"})
    with pytest.raises(ConfigError, match="user_id"):
        manager(tmp_path / "store", user_id="")


def test_clearing_stays_inside_the_scope(tmp_path: Path) -> None:
    """One user's clearing is not another's."""
    with manager(tmp_path / "store", user_id="ann") as ann, manager(tmp_path / "store", user_id="bob") as bob:
        ann.observe("a", "b")
        ann.add_memory("c")
        bob.add_memory("d")
        assert ann.long_term_memory.clear() == 1
        assert [turn.user_input for turn in ann.short_term_memory.turns] == ["a"]
        assert ann.clear_memory() == 1
        assert ann.short_term_memory.turns == []
        assert len(bob.query_memory("d")) == 1
        assert bob.long_term_memory.clear() == 1


def test_documents_are_ingested_once_replaced_and_skipped_by_name(tmp_path: Path) -> None:
    """An ingestion that is repeated does nothing; a changed file replaces its chunks."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "guide.md").write_text("The valve is behind the panel.\n\n" * 80)
    (folder / "image.png").write_bytes(b"\x89PNG\0\0")
    (folder / "link").symlink_to(folder / "nowhere")
    seen: list[tuple[int, int, str]] = []
    with manager(tmp_path / "store") as cm:
        report = cm.ingest_directory(folder, progress=lambda done, total, path: seen.append((done, total, path.name)))
        assert (report.files, report.unchanged, report.pending) == (1, 0, 0)
        assert report.chunks > 1
        assert {item.path.name: item.reason for item in report.skipped} == {
            "image.png": "binary file",
            "link": "broken link",
        }
        assert seen == [(1, 3, "guide.md"), (2, 3, "image.png"), (3, 3, "link")]
        again = cm.ingest_file(folder / "guide.md")
        assert (again.files, again.chunks, again.unchanged) == (0, 0, 1)
        (folder / "guide.md").write_text("The valve moved to the cellar.")
        assert cm.ingest_directory(folder).chunks == 1
        assert [text for text, _ in cm.query_memory("valve", k=9)] == ["The valve moved to the cellar."]
        context = cm.build_context("Where is the valve?")
        assert "[folder/guide.md]" in context
        with pytest.raises(IngestError, match="does not exist"):
            cm.ingest_directory(tmp_path / "nowhere")


def test_text_is_ingested_with_a_name_and_metadata(cm: ContextManager) -> None:
    """Without a name the text is its own name, so that the same text is stored once."""
    assert cm.ingest_text("Bees dance.", metadata={"topic": "bees"}).files == 1
    assert cm.ingest_text("Bees dance.", metadata={"topic": "bees"}).unchanged == 1
    assert cm.ingest_text("Bees dance.", metadata={"topic": "dance"}).files == 1
    assert cm.ingest_text("Bees sleep.", "bees.txt").files == 1
    assert cm.ingest_text("Bees hum.", "bees.txt").files == 1
    assert sorted(text for text, _ in cm.query_memory("bees", k=9)) == ["Bees dance.", "Bees hum."]


def test_an_unwritable_path_says_so(tmp_path: Path) -> None:
    """A file where the folder should be is the fault that binds a superuser too."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailableError, match="file"):
        manager(tmp_path / "file")


def test_an_unknown_provider_lists_what_there_is(tmp_path: Path) -> None:
    """The names that work, and the line that installs the one that was meant."""
    for section, names in (
        (Config(vector_store=VectorStoreConfig(provider="fais")), "exact"),
        (Config(embedder=EmbedderConfig(provider="statik")), "words"),
    ):
        with pytest.raises(PluginNotFoundError, match=names):
            manager(tmp_path / "store", settings=section)


def test_a_dimension_that_contradicts_the_embedder_is_an_error(tmp_path: Path) -> None:
    """Only a number that the user set can contradict; the default gives way."""
    settings = config()
    settings.vector_store.dimension = 100
    with pytest.raises(ConfigError, match="dimension"):
        manager(tmp_path / "store", settings=settings)


def test_providers_that_are_not_installed_fall_back(caplog: pytest.LogCaptureFixture) -> None:
    """With the core alone everything works, by words, and the statistics say what is missing."""
    core_only = registry()
    caplog.set_level(logging.INFO, "ctxkit")
    with ContextManager(registry=core_only) as cm:
        cm.observe("The cat is called Ink.", "Nice name.")
        assert cm.query_memory("What is the cat called?")
        stats = cm.get_stats()
    assert (stats["vector_store"], stats["embedder"]) == ("exact", "none")
    assert len(stats["fallbacks"]) == 2
    assert [record.levelname for record in caplog.records if "not installed" in record.message] == ["INFO", "INFO"]


def test_conflicts_in_the_configuration_warn(caplog: pytest.LogCaptureFixture) -> None:
    """They never raise."""
    settings = config()
    settings.memory = MemoryConfig(stm_capacity=500, chunk_size=900)
    with manager(settings=settings) as cm:
        assert "chunk_size (900)" in caplog.text
        assert cm.path is None


def test_closing_twice_and_repr(tmp_path: Path) -> None:
    """A handle says where it points and can be closed from two places."""
    cm = manager(tmp_path / "store", session_id="s")
    assert str(tmp_path / "store") in repr(cm)
    assert "session_id='s'" in repr(cm)
    cm.close()
    cm.close()


def test_threads_observe_at_once(cm: ContextManager) -> None:
    """A web server's threads share one manager: every turn is there once, in one order."""

    def talk(name: int) -> None:
        for i in range(20):
            cm.observe(f"thread {name} says {i}", "ok")

    threads = [threading.Thread(target=talk, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    turns = cm.short_term_memory.turns
    assert len({turn.user_input for turn in turns}) == 80
    assert [turn.position for turn in turns] == list(range(80))


def _observe_elsewhere(path: Path, count: int) -> None:
    with manager(path, session_id="shared") as cm:
        for i in range(count):
            cm.observe(f"from the other process {i}", "ok")


def test_two_processes_share_a_session(tmp_path: Path) -> None:
    """What one process observes, the other's open manager shows and finds."""
    path = tmp_path / "store"
    with manager(path, session_id="shared") as cm:
        cm.observe("from this process", "ok")
        other = multiprocessing.get_context("spawn").Process(target=_observe_elsewhere, args=(path, 3))
        other.start()
        other.join(60)
        assert other.exitcode == 0
        assert len(cm.query_memory("from the other process", k=9)) == 4
        assert "from the other process 2" in cm.build_context("What was said?")
        cm.observe("and from this one again", "ok")
        assert [turn.position for turn in cm.short_term_memory.turns] == [0, 1, 2, 3, 4]

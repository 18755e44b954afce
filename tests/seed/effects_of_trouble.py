"""What the page's blocks on memory that overflows, breaks or is lost, and on providers, are for, after they ran."""

from __future__ import annotations

import warnings

import pytest
from seed.preludes import TURNS
from seed.snippets import snippets
from seed.stage import ANTHROPIC_KEY, Stage
from seed.watching import after

from ctxkit import Config, MemoryConfig
from ctxkit.errors import ModelNotFoundError, ProviderUnavailableError
from ctxkit.llm.adapters import create_llm_adapter


@after("STM Overflow 1")
def _the_view_is_counted(stage: Stage) -> None:
    view = stage.names["cm"].short_term_memory
    used = view.current_tokens
    assert stage.output == (
        f"STM turns: {len(view.turns)}\nSTM tokens: {used}\nSTM capacity: 200\nSTM utilization: {used / 200:.2%}\n"
    )


@after("STM Overflow 2")
def _turns_leave_the_view_and_stay_in_memory(stage: Stage) -> None:
    assert stage.names["config"].memory.chunk_size == 1000
    cm, turns = stage.names["cm"], stage.names["stm_stats"]["num_turns"]
    assert cm.short_term_memory.current_tokens <= 160
    left = turns - len(cm.short_term_memory.turns)
    assert left > 0
    entries = cm.long_term_memory.entries
    assert sum(entry.kind == "turn" for entry in entries) == left
    assert sum(entry.kind == "summary" for entry in entries) == 1


@after("LTM Index Issues 1")
def _searching_works(stage: Stage) -> None:
    stats = stage.names["ltm_stats"]
    assert stage.output == (
        f"LTM entries: {stats['num_entries']}\nIndex size: {stats['index_size']}\n✅ LTM search working\n"
    )
    assert stats["num_entries"] == len(stage.names["cm"].long_term_memory.entries) > 0
    assert len(stage.names["results"]) == 1


@after("LTM Index Issues 2")
def _what_matters_is_all_there_is(stage: Stage) -> None:
    memory = stage.names["cm"].long_term_memory
    assert [entry.text for entry in memory.entries] == stage.names["important_memories"]
    assert memory.search("Where is the key?", k=1)[0][0].text == "The key hangs by the door."
    assert stage.names["config"].vector_store.index_type == "Flat"


@after("Memory Persistence Issues 1")
def _a_pickle_carries_memory_to_the_next_manager(stage: Stage) -> None:
    persistent = stage.names["PersistentContextManager"]
    limits = Config(memory=MemoryConfig(stm_capacity=60, chunk_size=20))
    first = persistent("memory.pkl", limits)
    for question, answer in TURNS:
        first.observe(question, answer)
    first.long_term_memory.add_memory("Ruth is away in May.")
    first._save_memory()
    second = persistent("memory.pkl", limits)
    assert second.short_term_memory.turns == first.short_term_memory.turns
    assert second.long_term_memory.entries == first.long_term_memory.entries
    assert second.query_memory("Who is away in May?", k=1)[0][0] == "Ruth is away in May."
    second.observe("Is she back?", "She is.")
    third = persistent("memory.pkl", limits)
    assert third.short_term_memory.turns[-1].user_input == "Is she back?"
    assert "Ruth keeps the build machine." in third.build_context("Who keeps the build machine?")


@after("OpenAI API Issues 1")
def _the_words_of_each_error_lead_to_its_advice(stage: Stage) -> None:
    names, adapter = stage.names, stage.names["llm_adapter"]
    assert names["response"] == names["prompt"]
    assert stage.output == "Check your API key\nCurrent key: your-opena...\n"
    page = {snippet.key: snippet for snippet in snippets()}["OpenAI API Issues 1"]
    stage.provider_does("model_not_found")
    with pytest.raises(ModelNotFoundError) as caught:
        adapter.generate_sync("?")
    names["e"] = caught.value
    stage.run(page)
    assert stage.output == "Check model name\nAvailable models: gpt-4, gpt-3.5-turbo, etc.\n"
    stage.provider_does("rate_limited")
    names.update(response=None)
    stage.slept.clear()
    # Python deletes `e` where its except clause ends, so the page goes no further than its second answer here.
    with pytest.raises(NameError, match="'e'"):
        stage.run(page)
    assert names["response"] == names["prompt"]
    assert stage.slept == [60]


@after("Anthropic API Issues 1")
def _the_form_of_the_key_is_the_one_that_is_sent(stage: Stage) -> None:
    assert stage.names["api_key"] == ANTHROPIC_KEY
    assert stage.output == ""
    stage.provider_does()
    adapter = create_llm_adapter("anthropic", model=stage.names["model"])
    with warnings.catch_warnings():
        # The vendor's library says that the page's model is an old one.
        warnings.simplefilter("ignore", DeprecationWarning)
        assert adapter.generate_sync("Where is the boat?") == "Where is the boat?"
    (request,) = stage.asked
    assert (request.key, request.body["model"]) == (ANTHROPIC_KEY, "claude-3-sonnet-20240229")


@after("Network Connectivity Issues 1")
def _a_lost_connection_is_tried_again(stage: Stage) -> None:
    assert stage.names["response"] == "Where is the boat?"
    assert stage.output.count("Network error, retrying in") == 2
    assert [int(seconds) for seconds in stage.slept] == [1, 2]
    stage.provider_does("reset", "reset", "reset")
    with pytest.raises(ProviderUnavailableError, match="connection"):
        stage.names["retry_with_backoff"](lambda: stage.names["llm_adapter"].generate_sync("?"))

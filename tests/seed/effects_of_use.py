"""What the page's blocks on installing, models, keys, budgets and speed are for, seen after they ran."""

from __future__ import annotations

import pytest
from seed.preludes import TURNS
from seed.stage import Stage
from seed.watching import after

import ctxkit
from ctxkit.errors import LLMError, RateLimitedError
from ctxkit.llm.adapters import create_llm_adapter
from ctxkit.llm.embeddings import EmbeddingProvider


@after("Import Errors 1")
def _it_is_installed(stage: Stage) -> None:
    assert stage.output == "✅ Installed successfully\n"


@after("Import Errors 2")
def _nothing_is_left_to_run(stage: Stage) -> None:
    assert stage.output == ""
    assert ctxkit.get_registry().find("vector_store", "faiss").name == "faiss"


@after("Embedding Model Download Issues 1")
def _the_models_are_listed_without_loading_one(stage: Stage) -> None:
    models = stage.names["models"]
    assert stage.output == f"Available models: {list(models)}\n"
    assert isinstance(stage.names["provider"], EmbeddingProvider)
    if any(component.name == "sentence-transformers" for component in ctxkit.get_registry().components("embedder")):
        assert models["paraphrase-MiniLM-L3-v2"]["size_mb"] == 61
        assert models["all-MiniLM-L6-v2"]["size_mb"] == 90


@after("Embedding Model Download Issues 2")
def _a_provider_costs_nothing_until_it_embeds(stage: Stage) -> None:
    assert stage.names["provider"].model_name == "paraphrase-MiniLM-L3-v2"
    assert stage.output.startswith("Available RAM: ")
    with EmbeddingProvider("static") as provider:
        boat, ship, debt = provider.embed(["a boat at sea", "a ship at sea", "the interest of a debt"])
        assert boat.shape == (384,)
        assert provider.similarity(boat, ship) > provider.similarity(boat, debt)


@after("API Key Issues 1")
def _the_key_is_read_from_the_environment(stage: Stage) -> None:
    assert stage.output == "OPENAI_API_KEY: ✅ Set\nANTHROPIC_API_KEY: ✅ Set\n"
    stage.provider_does()
    create_llm_adapter("openai").generate_sync("?")
    assert [request.key for request in stage.asked] == ["your-openai-api-key"]


@after("API Key Issues 2")
def _the_loop_sees_a_rate_limit_and_asks_again(stage: Stage) -> None:
    adapter = stage.names["RetryLLMAdapter"]("openai", "sk-proj-of-nobody")
    built_in = 3  # a call and the two tries that it makes by itself
    stage.provider_does(*["rate_limited"] * (built_in + 1))
    stage.slept.clear()
    assert adapter.generate_sync("Where is the boat?") == "Where is the boat?"
    assert len(stage.asked) == built_in + 2
    assert stage.slept.count(1) == 1  # the page's own wait, beside the shorter ones of the adapter
    stage.provider_does(*["rate_limited"] * 3 * built_in)
    with pytest.raises(RateLimitedError, match="rate limit"):
        adapter.generate_sync("Where is the boat?")
    assert stage.slept.count(2) == 1
    stage.provider_does("authentication")
    with pytest.raises(LLMError, match="authentication"):
        adapter.generate_sync("Where is the boat?")


@after("Token Budget Issues 1")
def _limits_are_taken_and_text_is_cut(stage: Stage) -> None:
    memory = stage.names["config"].memory
    assert (memory.stm_capacity, memory.prompt_token_budget, memory.recent_k, memory.ltm_hits_k) == (4000, 6000, 3, 5)
    count, counter = stage.names["token_count"], stage.names["counter"]
    assert count > 0
    assert stage.names["truncated"] == stage.names["text"]
    assert stage.output == f"Token count: {count}\nTruncated token count: {count}\n"
    assert counter.count_tokens(counter.truncate_to_tokens("many words " * 2000, 1000)) <= 1000


@after("Slow Context Building 1")
def _a_context_is_built_and_accounted_for(stage: Stage) -> None:
    names = stage.names
    assert "Test input" in names["context"]
    assert names["debug_info"]["context"] == names["context"]
    tokens = names["debug_info"]["final_context_tokens"]
    assert stage.output.endswith(f"Recent turns: 0\nLTM hits: 0\nFinal tokens: {tokens}\n")


@after("Slow Context Building 2")
def _a_context_is_built_in_an_event_loop(stage: Stage) -> None:
    config = stage.names["config"]
    assert (config.memory.recent_k, config.memory.chunk_size, config.llm.model) == (3, 1000, "gpt-3.5-turbo")
    assert "Test input" in stage.names["context"]


@after("Slow Memory Search 1")
def _an_empty_memory_has_figures(stage: Stage) -> None:
    assert stage.names["results"] == []
    assert stage.output.endswith("Number of entries: 0\nIndex size: 0\n")
    assert stage.names["stats"]["index_type"]


@after("Slow Memory Search 2")
def _several_queries_find_their_memories(stage: Stage) -> None:
    assert stage.names["config"].vector_store.index_type == "HNSW"
    first = [results[0][0].text for results in stage.names["batch_results"]]
    assert first == [f"what query{number} is about" for number in (1, 2, 3)]
    entry, score = stage.names["results"][0]
    assert entry in stage.names["ltm"].entries
    assert score > 0


@after("High Memory Usage 1")
def _the_process_and_the_memory_are_counted(stage: Stage) -> None:
    assert stage.output.startswith("Memory usage: ")
    assert stage.output.endswith(f"STM turns: {len(TURNS)}\nLTM entries: 1\n")


@after("High Memory Usage 2")
def _memory_is_empty_afterwards(stage: Stage) -> None:
    memory, cm = stage.names["config"].memory, stage.names["cm"]
    assert (memory.stm_capacity, memory.chunk_size, memory.recent_k, memory.ltm_hits_k) == (2000, 500, 2, 3)
    assert cm.short_term_memory.turns == []
    assert cm.long_term_memory.entries == []
    assert cm.query_memory("build machine") == []

"""What the page's blocks on configuration, debugging and tuning are for, seen after they ran."""

from __future__ import annotations

import logging

from seed.preludes import TURNS
from seed.stage import Stage
from seed.watching import after

from ctxkit import Config, ContextManager, MemoryConfig


@after("Invalid Configuration 1")
def _a_wrong_value_is_named_and_the_defaults_are_valid(stage: Stage) -> None:
    refused, verdict = stage.output.splitlines()
    assert refused.startswith("Configuration error: memory.stm_capacity")
    assert verdict == "✅ Configuration is valid"


@after("Invalid Configuration 2")
def _every_value_is_taken_and_works(stage: Stage) -> None:
    config = stage.names["config"]
    assert config.vector_store.model_dump() == {
        "provider": "faiss",
        "dimension": 384,
        "index_type": "HNSW",
        "metric": "cosine",
    }
    with ContextManager(config) as cm:
        cm.add_memory("The boat is at berth 14.")
        assert "berth 14" in cm.build_context("Where is the boat?")
        assert cm.get_stats()["vector_store"] == "faiss"


@after("Configuration Conflicts 1")
def _conflicts_are_found_and_mended(stage: Stage) -> None:
    consistent, mend = stage.names["validate_config_consistency"], stage.names["auto_fix_config"]
    assert consistent(Config()) == []
    odd = Config(memory=MemoryConfig(stm_capacity=12001, chunk_size=20000))
    assert len(consistent(odd)) == 2
    mended = mend(odd).memory
    assert (mended.prompt_token_budget, mended.chunk_size) == (18002, 6000)
    assert consistent(odd) == []


@after("Enable Debug Logging 1")
def _debug_records_are_of_ctxkit(stage: Stage) -> None:
    (handler,) = stage.handlers
    assert isinstance(handler, logging.StreamHandler)
    assert logging.getLogger("ctxkit.context").isEnabledFor(logging.DEBUG)
    seen = _Seen()
    logging.getLogger("ctxkit").addHandler(seen)
    try:
        stage.names["cm"].build_context("Is the harbour secret?")
    finally:
        logging.getLogger("ctxkit").removeHandler(seen)
    assert any(record.levelno == logging.DEBUG for record in seen.records)
    assert not any("harbour" in record.getMessage() for record in seen.records)


class _Seen(logging.Handler):
    """Keeps the records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.records.append(record)


@after("Debug Context Building 1")
def _the_account_is_printed(stage: Stage) -> None:
    info = stage.names["debug_info"]
    assert info["recent_turns_count"] == len(TURNS)
    assert info["ltm_results_count"] == 1
    assert f"Final context length: {len(info['context'])}\n" in stage.output
    assert f"  1. {info['recent_texts'][0][:100]}..." in stage.output
    assert f"Score {info['ltm_results'][0][1]:.2f}: Python was discussed on Monday...." in stage.output


@after("Memory Analysis 1")
def _the_newest_are_printed(stage: Stage) -> None:
    assert f"STM turns: {len(TURNS)}\n" in stage.output
    assert "  Turn 3: Who keeps the build machine?...\n" in stage.output
    assert "  Entry: Python was discussed on Monday....\n" in stage.output


@after("Performance Profiling 1")
def _profiling_disturbs_nothing(stage: Stage) -> None:
    assert stage.output.count("Ordered by: cumulative time") == 2
    assert "build_context" in stage.output
    turns = stage.names["cm"].short_term_memory.turns[-10:]
    assert [turn.user_input for turn in turns] == [f"User input {number}" for number in range(10)]


@after("Optimize for Speed 1")
def _the_fast_configuration_works(stage: Stage) -> None:
    assert _used(stage.names["fast_config"]) == (4000, 1000, 3, 5, 8000, "gpt-3.5-turbo", 500, 0.3, "HNSW")


@after("Optimize for Quality 1")
def _the_thorough_configuration_works(stage: Stage) -> None:
    assert _used(stage.names["quality_config"]) == (16000, 4000, 10, 15, 24000, "gpt-4", 2000, 0.7, "Flat")


@after("Optimize for Memory Usage 1")
def _the_small_configuration_works(stage: Stage) -> None:
    assert _used(stage.names["memory_config"]) == (2000, 500, 2, 3, 4000, "gpt-3.5-turbo", 300, 0.5, "Flat")


def _used(config: Config) -> tuple[object, ...]:
    """Make a manager of the configuration, see that it answers, and return what was set."""
    with ContextManager(config) as cm:
        cm.observe("Where is the boat?", "At berth 14.")
        result = cm.build("Where is the boat now?")
        assert result.budget == config.memory.prompt_token_budget
        assert "berth 14" in result.text
        assert config.vector_store.index_type in cm.get_stats()["long_term_memory"]["index_type"]
    memory, llm = config.memory, config.llm
    return (
        memory.stm_capacity,
        memory.chunk_size,
        memory.recent_k,
        memory.ltm_hits_k,
        memory.prompt_token_budget,
        llm.model,
        llm.max_tokens,
        llm.temperature,
        config.vector_store.index_type,
    )


@after("Async Optimization 1")
def _calls_at_once_have_an_answer_each(stage: Stage) -> None:
    contexts, results = stage.names["contexts"], stage.names["results"]
    assert [f"Query {number}" in context for number, context in enumerate(contexts)] == [True] * 5
    assert results == [[], [], []]


@after("Caching Optimization 1")
def _the_second_context_is_the_first(stage: Stage) -> None:
    cm = stage.names["cached_cm"]
    assert stage.output == "Contexts equal: True\n"
    assert stage.names["context1"] is stage.names["context2"]
    cm.observe("What is Python?", "A language.")
    assert "A language." in cm.build_context("What is Python?")
    assert len(cm.context_cache) == 2

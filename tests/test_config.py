"""Configuration: defaults, limits, conflicts, and what an error says."""

from __future__ import annotations

import pytest

from ctxkit import Config, EmbedderConfig, LLMConfig, MemoryConfig, VectorStoreConfig
from ctxkit.config import conflicts, without_secrets
from ctxkit.errors import ConfigError


def test_defaults_are_the_documented_ones() -> None:
    """Users rely on each of these figures."""
    memory = MemoryConfig()
    assert (memory.stm_capacity, memory.chunk_size, memory.recent_k, memory.ltm_hits_k) == (8000, 2000, 5, 7)
    assert (memory.prompt_token_budget, memory.summary_compression_ratio) == (12000, 0.3)
    assert (memory.ingestion_chunk_size, memory.ingestion_chunk_overlap) == (400, 50)
    assert (memory.similarity_weight, memory.recency_weight, memory.importance_weight) == (1, 0, 0)
    assert memory.recency_half_life_seconds == 604800
    store = VectorStoreConfig()
    assert (store.provider, store.index_type, store.metric, store.dimension) == ("faiss", "Flat", "cosine", 384)
    llm = LLMConfig()
    assert (llm.provider, llm.model, llm.api_key, llm.max_tokens, llm.temperature) == (
        "openai",
        "gpt-4",
        None,
        1000,
        0.7,
    )
    assert (Config().embedder.provider, Config().tokenizer.provider) == ("static", "estimate")


@pytest.mark.parametrize(
    ("section", "values", "named"),
    [
        (MemoryConfig, {"stm_capacity": -1000}, "memory.stm_capacity"),
        (MemoryConfig, {"chunk_size": 0}, "memory.chunk_size"),
        (MemoryConfig, {"recent_k": 0}, "memory.recent_k"),
        (MemoryConfig, {"summary_compression_ratio": 1.5}, "memory.summary_compression_ratio"),
        (MemoryConfig, {"ingestion_chunk_overlap": -1}, "memory.ingestion_chunk_overlap"),
        (MemoryConfig, {"recency_half_life_seconds": 0}, "memory.recency_half_life_seconds"),
        (MemoryConfig, {"similarity_weight": float("inf")}, "memory.similarity_weight"),
        (MemoryConfig, {"stm_capacity": "many"}, "memory.stm_capacity"),
        (MemoryConfig, {"stm_capacty": 8000}, "memory.stm_capacty"),
        (VectorStoreConfig, {"dimension": 0}, "vector_store.dimension"),
        (VectorStoreConfig, {"index_type": "IVF"}, "vector_store.index_type"),
        (VectorStoreConfig, {"metric": "euclid"}, "vector_store.metric"),
        (LLMConfig, {"temperature": 1.1}, "llm.temperature"),
        (LLMConfig, {"max_tokens": 0}, "llm.max_tokens"),
    ],
)
def test_a_wrong_value_names_its_field(section: type[MemoryConfig], values: dict[str, object], named: str) -> None:
    """The error is of our tree and names the place as a user writes it."""
    with pytest.raises(ConfigError, match=named):
        section(**values)


def test_the_limit_and_the_number_found_are_named() -> None:
    """Both are needed to mend a value without opening the documentation."""
    with pytest.raises(ConfigError, match=r"memory\.stm_capacity must be at least 1 \(is -1000\)"):
        MemoryConfig(stm_capacity=-1000)


def test_an_option_that_there_is_not_names_the_one_that_was_meant() -> None:
    """In a program as on the command line; what is like none is only named."""
    with pytest.raises(ConfigError, match=r"memory\.recentk: there is no such option.*did you mean memory\.recent_k\?"):
        MemoryConfig(recentk=3)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match=r"did you mean vector_store\?"):
        Config(vectorstore={})  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="correct the named value"):
        MemoryConfig(colour="blue")  # type: ignore[call-arg]


def test_a_nested_mapping_is_checked_the_same_way() -> None:
    """Configuration read from a file arrives as mappings."""
    with pytest.raises(ConfigError, match=r"memory\.recent_k"):
        Config.model_validate({"memory": {"recent_k": 0}})


def test_a_wrong_assignment_changes_nothing() -> None:
    """A value that is refused leaves the one that was there."""
    memory = MemoryConfig()
    with pytest.raises(ConfigError, match=r"memory\.recent_k"):
        memory.recent_k = 0
    assert memory.recent_k == 5


def test_one_and_a_half_times_an_odd_capacity_is_a_budget() -> None:
    """The well-known repair assigns a fraction to a token count; it rounds up."""
    memory = MemoryConfig(stm_capacity=8001)
    memory.prompt_token_budget = memory.stm_capacity * 1.5  # type: ignore[assignment]
    assert memory.prompt_token_budget == 12002


def test_a_key_is_in_no_repr_and_no_error() -> None:
    """Configurations end up in logs."""
    key = "sk-live-1234567890"
    config = Config(llm=LLMConfig.model_validate({"api_key": key}))
    assert key not in repr(config)
    assert key not in str(config.model_dump())
    with pytest.raises(ConfigError) as caught:
        LLMConfig.model_validate({"api_key": key, "model": [key], "temperature": key})
    assert key not in str(caught.value)


def test_a_copy_without_secrets_has_no_key_and_leaves_the_original_alone() -> None:
    """Pickles and files outlive the process."""
    key = "sk-live-1234567890"
    config = Config(
        llm=LLMConfig.model_validate({"api_key": key, "base_url": "http://localhost:1/v1"}),
        embedder=EmbedderConfig.model_validate({"provider": "openai", "api_key": key, "model": "m"}),
    )
    copy = without_secrets(config)
    assert (copy.llm.api_key, copy.llm.options()) == (None, {"base_url": "http://localhost:1/v1"})
    assert copy.embedder.options() == {"model": "m"}
    assert copy.memory == config.memory
    assert config.embedder.options() == {"api_key": key, "model": "m"}
    assert config.llm.api_key is not None


@pytest.mark.parametrize("address", ["host=db dbname=app password=hush-1", "postgresql://app:hush-1@db/app"])
def test_the_password_of_a_server_leaves_with_nothing(address: str) -> None:
    """An address may hold a password; the component gets it, dumps and pickles of managers do not."""
    config = Config(vector_store=VectorStoreConfig.model_validate({"provider": "pgvector", "conninfo": address}))
    assert config.vector_store.options() == {"conninfo": address}
    assert "hush" not in repr(config) + config.model_dump_json()
    assert without_secrets(config).vector_store.options() == {}
    plain = Config(vector_store=VectorStoreConfig.model_validate({"provider": "pgvector", "conninfo": "service=app"}))
    assert without_secrets(plain).vector_store.options() == {"conninfo": "service=app"}


def test_extra_options_of_a_component_are_kept_for_it() -> None:
    """The core does not know a backend's options; the backend validates them."""
    assert VectorStoreConfig.model_validate({"M": 32}).options() == {"M": 32}


def test_conflicts_are_named_and_the_defaults_have_none() -> None:
    """A conflict warns; it never raises."""
    assert conflicts(Config()) == []
    memory = MemoryConfig(
        stm_capacity=100, chunk_size=200, prompt_token_budget=50, ingestion_chunk_size=10, ingestion_chunk_overlap=10
    )
    found = conflicts(Config(memory=memory))
    assert len(found) == 3
    assert all(name in text for name, text in zip(("prompt_token_budget", "chunk_size", "overlap"), found, strict=True))

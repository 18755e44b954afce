"""A memory on PostgreSQL: the prompts of any other store, kept by the server, shared by two managers, erased."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from ctxkit_pgvector.config import PgvectorConfig
from ctxkit_pgvector.harness import PgvectorHarness
from psycopg import sql

from ctxkit import Config, ContextManager, EmbedderConfig, MemoryConfig, VectorStoreConfig
from ctxkit.memory.entries import KIND, SEQ, TURN

START = 1_700_000_000.0
TALK = (
    ("I keep the boat at the harbour now.", "Which berth?"),
    ("Number fourteen, next to the crane.", "Noted."),
    ("Maren sold her violin last week.", "A pity."),
    ("The invoice is K-7731-B.", "I wrote it down."),
    ("My locker code is 4417.", "I will remember it."),
    ("We sail on Saturday if the wind is fair.", "Good luck."),
)
QUESTIONS = ("Where is the boat?", "What did Maren sell?", "invoice K-7731-B", "When do we sail?", "locker")


@pytest.fixture(scope="module")
def harness() -> Iterator[PgvectorHarness]:
    """A server of these tests, or the one that the environment names."""
    made = PgvectorHarness(PgvectorConfig, {})
    yield made
    made.close()


@pytest.fixture
def config(harness: PgvectorHarness, tmp_path: Path) -> PgvectorConfig:
    """A configuration with a schema of its own."""
    return harness.fresh(tmp_path)


def manager(config: PgvectorConfig | None) -> ContextManager:
    """Open a memory on PostgreSQL, or on the store that every other one is compared with."""
    store = VectorStoreConfig(provider="exact")
    if config is not None:
        given = {"conninfo": config.conninfo.get_secret_value(), "schema_name": config.schema_name}
        store = VectorStoreConfig.model_validate({"provider": "pgvector", **given})
    settings = Config(
        memory=MemoryConfig(stm_capacity=60, chunk_size=20, summaries="inline"),
        embedder=EmbedderConfig(provider="none"),
        vector_store=store,
    )
    return ContextManager(settings)


def test_the_same_prompts_as_on_another_store(config: PgvectorConfig) -> None:
    """The same turns and questions make the same prompts, also by a manager that only opens what another has kept."""
    prompts = []
    for where in (None, config):
        with manager(where) as memory:
            for place, sides in enumerate(TALK):
                memory.observe(*sides, timestamp=START + 60 * place)
            prompts.append([memory.build_context(question) for question in QUESTIONS])
    with manager(config) as memory:
        prompts.append([memory.build_context(question) for question in QUESTIONS])
    assert prompts[0] == prompts[1] == prompts[2]
    assert "boat at the harbour" in prompts[0][0]


def test_two_managers_share_one_memory(config: PgvectorConfig) -> None:
    """What one server process observes, the next request, in another process, remembers."""
    with manager(config) as one, manager(config) as two:
        one.observe("The key is under the blue stone.", "Noted.")
        assert "blue stone" in two.build_context("Where is the key?")
        two.observe("The key moved to the green box.", "Noted.")
        assert "green box" in one.build_context("Where is the key?")


def test_what_is_erased_is_gone_from_the_table(config: PgvectorConfig) -> None:
    """No row of the collection holds a word of what was erased."""
    with manager(config) as memory:
        memory.observe("My secret word is quagga.", "I forget it at once.")
        memory.observe("The boat is blue.", "Nice.")
        memory.clear_memory()
    with psycopg.connect(config.conninfo.get_secret_value()) as connection:
        (number,) = connection.execute(
            sql.SQL("SELECT number FROM {}.collections").format(sql.Identifier(config.schema_name))
        ).fetchone() or (0,)
        rows = connection.execute(
            sql.SQL("SELECT * FROM {}").format(sql.Identifier(config.schema_name, f"records_{number}"))
        ).fetchall()
    assert "quagga" not in str(rows)


def test_one_lease_at_a_time(config: PgvectorConfig) -> None:
    """Two processes on different machines are held apart as two in one folder are; a lease ends with its connection."""
    with manager(config) as one, manager(config) as two:
        first, second = one._vault.lease, two._vault.lease
        with first.held() as mine:
            assert mine
            with second.held(patience=0.05) as theirs:
                assert not theirs
        with second.held() as theirs:
            assert theirs


def test_turns_of_many_writers_stand_in_one_order(config: PgvectorConfig) -> None:
    """No two turns of one session have the same place, however many managers write into it."""
    with manager(config) as one, manager(config) as two, ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda number: (one, two)[number % 2].observe(f"Fact {number}.", "Noted."), range(20)))
        places = [record.metadata[SEQ] for record in one._vault.store.scan({KIND: TURN})]
    assert sorted(places) == list(range(20))

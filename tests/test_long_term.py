"""Long-term memory on its own, without a manager."""

from __future__ import annotations

from pathlib import Path

import pytest
from components import config, registry

from ctxkit import ContextManager
from ctxkit.errors import InvalidQueryError, StoreClosedError
from ctxkit.interfaces import LLM
from ctxkit.memory import LongTermMemory

REGISTRY = registry()


def test_it_stands_alone_in_memory() -> None:
    """Add, search, list, count, clear, with no manager around it."""
    with LongTermMemory(config(), registry=REGISTRY) as memory:
        ids = [memory.add_memory(f"The {colour} kite is in the attic.") for colour in ("red", "blue")]
        (entry, score), *_ = memory.search("Where is the blue kite?", k=1)
        assert entry.id == ids[1]
        assert score > 0
        assert [each.text for each in memory.entries[-1:]] == ["The blue kite is in the attic."]
        memory._rebuild_index()
        assert memory.get_stats()["num_entries"] == memory.get_stats()["index_size"] == 2
        with pytest.raises(InvalidQueryError):
            memory.search("kite", k=0)
        assert memory.clear() == 2
        assert memory.search("kite") == []


def test_it_is_durable_with_a_path_and_closed_at_the_end(tmp_path: Path) -> None:
    """The records are there for the next one; a closed memory says that it is closed."""
    with LongTermMemory(config(), path=tmp_path, registry=REGISTRY) as memory:
        memory.add_memory("The attic key is brass.", {"session_id": "s"})
    with pytest.raises(StoreClosedError):
        memory.search("key")
    with LongTermMemory(config(), path=tmp_path, registry=REGISTRY) as memory:
        assert memory.search("attic key")[0][0].metadata["session_id"] == "s"


def test_a_summariser_that_fails_costs_the_summary_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The turns leave the view, the links to them stand, and every turn is found."""

    def fail(_self: LLM, *_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("ctxkit.defaults.extractive.ExtractiveSummarizer.complete", fail)
    settings = config(stm_capacity=100, chunk_size=50)
    with ContextManager(settings, path=tmp_path, registry=REGISTRY) as cm:
        ids = [cm.observe(f"Kite number {i} was mended.", "Good.") for i in range(20)]
        summaries = list(cm._vault.store.scan({"_ctx_kind": "summary"}))
        assert all((record.text, record.metadata["_ctx_by"]) == ("", "none") for record in summaries)
        linked = [turn for record in summaries for turn in record.metadata["_ctx_lineage"]]
        assert sorted(linked + [turn.id for turn in cm.short_term_memory.turns]) == sorted(ids)
        assert "Kite number 3 " in cm.query_memory("Kite number 3", k=1)[0][0]

"""One store in another's place: one word of configuration changes, and no answer does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from every_store import REGISTRY
from switching import METRICS, answers, check_same

from ctxkit import Config, ContextManager, EmbedderConfig, MemoryConfig, PluginRegistry, VectorStoreConfig
from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import ConfigError, StoreLockedError
from ctxkit.interfaces import BackendConfig
from ctxkit.records import Metric
from ctxkit.testing import temporary_registry

SAME: Final = {
    "faiss Flat": ("faiss", {}),
    "faiss HNSW, exact below 10 000": ("faiss", {"index_type": "HNSW"}),
    "chroma": ("chroma", {}),
}
GRAPH: Final = {"index_type": "HNSW", "exact_below": 0, "index_build": "inline"}
START: Final = 1_700_000_000.0
TALK: Final = (
    ("I keep the boat at the harbour now.", "Which berth?"),
    ("Number fourteen, next to the crane.", "Noted."),
    ("Maren sold her violin last week.", "A pity."),
    ("The invoice is K-7731-B.", "I wrote it down."),
    ("My locker code is 4417.", "I will remember it."),
    ("We sail on Saturday if the wind is fair.", "Good luck."),
)
QUESTIONS: Final = ("Where is the boat?", "What did Maren sell?", "invoice K-7731-B", "When do we sail?", "locker")


@pytest.mark.parametrize("metric", METRICS)
def test_the_same_answers(metric: Metric, tmp_path: Path) -> None:
    """Ids in order, scores, texts, values, counts, orders, ranks of words, what was deleted; opened again too.

    An approximate index returns as many hits, in order and with the scores that are theirs; all else is the same.
    """
    wanted = answers("exact", {}, tmp_path / "exact", metric)
    for name, (provider, options) in SAME.items():
        check_same(answers(provider, options, tmp_path / name, metric), wanted, exact=True)
    check_same(answers("faiss", GRAPH, tmp_path / "graph", metric), wanted, exact=False)


def prompts(store: dict[str, Any], path: Path) -> list[str]:
    """Observe the conversation in a small short-term memory and return what is built for each question."""
    settings = Config(
        memory=MemoryConfig(stm_capacity=60, chunk_size=20, summaries="inline"),
        embedder=EmbedderConfig(provider="words"),
        vector_store=VectorStoreConfig.model_validate(store),
    )
    with ContextManager(settings, path=path, registry=REGISTRY) as cm:
        for place, sides in enumerate(TALK):
            cm.observe(*sides, timestamp=START + 60 * place)
        return [cm.build_context(question) for question in QUESTIONS]


def test_the_same_prompts(tmp_path: Path) -> None:
    """The same turns and the same questions make the same prompts, whichever store keeps the turns."""
    stores = [{"provider": provider, **options} for provider, options in SAME.values()]
    wanted = prompts({"provider": "exact"}, tmp_path / "exact")
    assert len(set(wanted)) == len(QUESTIONS)
    assert "boat at the harbour" in wanted[0]
    for number, store in enumerate(stores):
        assert prompts(store, tmp_path / str(number)) == wanted, store


def opened(provider: str, path: Path, registry: PluginRegistry = REGISTRY) -> ContextManager:
    """Open a memory of this kind in a folder."""
    settings = Config(
        embedder=EmbedderConfig(provider="none"), vector_store=VectorStoreConfig.model_validate({"provider": provider})
    )
    return ContextManager(settings, path=path, registry=registry)


def test_a_folder_of_another_kind_of_store_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """An empty memory beside the full one looks like a loss; those that share their files open either's."""
    for kind, other in (("faiss", "chroma"), ("chroma", "faiss")):
        folder = tmp_path / kind
        with opened(kind, folder) as cm:
            cm.add_memory("The boat is at berth 14.")
        before = sorted(folder.iterdir())
        named = (
            f"{folder} holds a memory of {kind}, which {other} does not see.*`ctxkit migrate {folder} {other}:FOLDER`"
        )
        with pytest.raises(ConfigError, match=named):
            opened(other, folder)
        assert sorted(folder.iterdir()) == before
    for engine in ("exact", "faiss"):
        with opened(engine, tmp_path / "faiss") as cm:
            assert cm.query_memory("boat")


class Careless(ExactStore):
    """A third party's store that stumbles over whatever else is in a folder."""

    @classmethod
    def list_collections(cls, config: BackendConfig) -> list[str]:
        """Fail in words of its own."""
        raise RuntimeError(f"what is {config}?")


def test_a_folder_with_something_else_in_it_takes_a_memory(tmp_path: Path) -> None:
    """What a third party's store says of it is no reason against that."""
    (tmp_path / "notes.txt").write_text("not a store")
    with temporary_registry() as registry:
        registry.add("vector_store", "careless", Careless, ExactConfig, capabilities=ExactConfig().capabilities())
        with opened("exact", tmp_path, registry) as cm:
            cm.add_memory("The boat is at berth 14.")


class Held(ExactStore):
    """A third party's store of which another process has the folder."""

    @classmethod
    def list_collections(cls, config: BackendConfig) -> list[str]:
        """Find it locked."""
        raise StoreLockedError(f"another process holds what {config} names.")


def test_a_folder_that_another_process_holds_takes_no_memory_of_another_kind(tmp_path: Path) -> None:
    """Who holds it keeps something in it, memory perhaps."""
    (tmp_path / "held.db").write_text("")
    with temporary_registry() as registry:
        registry.add("vector_store", "held", Held, ExactConfig, capabilities=ExactConfig().capabilities())
        with pytest.raises(StoreLockedError, match="another process holds"):
            opened("exact", tmp_path, registry)
    assert [entry.name for entry in tmp_path.iterdir()] == ["held.db"]

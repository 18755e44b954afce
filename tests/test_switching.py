"""One store in another's place: one word of configuration changes, and no answer does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from every_store import REGISTRY
from switching import METRICS, answers, check_same

from ctxkit import Config, ContextManager, EmbedderConfig, MemoryConfig, VectorStoreConfig
from ctxkit.records import Metric

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

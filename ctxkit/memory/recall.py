"""One question against one scope: both searches, fused, smoothed and ranked."""

from __future__ import annotations

import time

from ctxkit.config import MemoryConfig, RetrievalConfig
from ctxkit.memory.entries import SEARCHABLE
from ctxkit.memory.scope import Scope
from ctxkit.memory.vault import Vault
from ctxkit.retrieval import Candidate, fuse, missing_neighbors, rank, smooth

_NEIGHBORS_OF = 32


def recall(
    vault: Vault,
    scope: Scope,
    question: str,
    *,
    memory: MemoryConfig,
    retrieval: RetrievalConfig,
    now: float | None = None,
    at_least: int = 0,
) -> list[Candidate]:
    """Return what the scope holds that may answer the question, best first.

    The question is embedded once and both searches run once, each inside the scope. `at_least` asks for more
    candidates than the configuration does. Raises InvalidQueryError for a blank question.
    """
    where = scope.within(SEARCHABLE)
    candidates = vault.search(question, where, limit=max(retrieval.candidates, at_least))
    fuse(candidates, lexical_weight=retrieval.lexical_weight, similarity_weight=memory.similarity_weight)
    if retrieval.neighbor_weights:
        places = missing_neighbors(candidates, reach=len(retrieval.neighbor_weights), top=_NEIGHBORS_OF)
        candidates.extend(vault.at_positions(places, where))
        smooth(candidates, retrieval.neighbor_weights)
    return rank(
        candidates,
        now=time.time() if now is None else now,
        recency_weight=memory.recency_weight,
        importance_weight=memory.importance_weight,
        half_life_seconds=memory.recency_half_life_seconds,
    )

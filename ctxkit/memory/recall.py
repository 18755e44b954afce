"""One question against one scope: both searches, the neighbours of the best, and the stages that rank them."""

from __future__ import annotations

import time

from ctxkit.config import MemoryConfig, RetrievalConfig
from ctxkit.memory.entries import SEARCHABLE
from ctxkit.memory.scope import Scope
from ctxkit.memory.validity import valid
from ctxkit.memory.vault import Vault
from ctxkit.retrieval import Candidate, Question, find_stages, missing_neighbors, rank, search_words

_NEIGHBORS_OF = 16


def recall(
    vault: Vault,
    scope: Scope,
    question: str,
    *,
    memory: MemoryConfig,
    retrieval: RetrievalConfig,
    now: float | None = None,
    at_least: int = 0,
    as_of: float | None = None,
) -> list[Candidate]:
    """Return what the scope holds that may answer the question, best first.

    The question is embedded once and both searches run once, each inside the scope. `at_least` asks for more
    candidates than the configuration does. Raises InvalidQueryError for a blank question.
    """
    stages = find_stages(retrieval.stages)
    where = scope.within(SEARCHABLE, valid(as_of))
    candidates = vault.search(question, where, limit=max(retrieval.candidates, at_least), words=search_words(question))
    if "neighbor" in stages:
        places = missing_neighbors(candidates, reach=len(retrieval.neighbor_weights), top=_NEIGHBORS_OF)
        candidates.extend(vault.at_positions(places, where))
    return rank(candidates, Question(question, time.time() if now is None else now, memory, retrieval), stages)

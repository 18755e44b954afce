"""One question against one scope: both searches, the neighbours of the best, and the stages that rank them."""

from __future__ import annotations

import time

from ctxkit.config import Config
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
    config: Config,
    now: float | None = None,
    at_least: int = 0,
    as_of: float | None = None,
    valid_since: float | None = None,
) -> list[Candidate]:
    """Return what the scope holds that may answer the question, best first.

    The question is embedded once and both searches run once, each inside the scope. `at_least` asks for more
    candidates than the configuration does. `valid_since` is a moment since which nothing has begun or ended to be valid
    by itself: a filter that is the same as before costs a store less. Raises InvalidQueryError for a blank question.
    """
    retrieval = config.retrieval
    stages = find_stages(retrieval.stages)
    where = scope.within(SEARCHABLE, valid(as_of, now=valid_since))
    candidates = vault.search(question, where, limit=max(retrieval.candidates, at_least), words=search_words(question))
    if "neighbor" in stages:
        places = missing_neighbors(candidates, reach=len(retrieval.neighbor_weights), top=_NEIGHBORS_OF)
        candidates.extend(vault.at_positions(places, where))
    asked = Question(question, time.time() if now is None else now, config.memory, retrieval)
    return rank(candidates, asked, stages)

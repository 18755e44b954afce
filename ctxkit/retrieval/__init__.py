"""From search results to one ranked list: pure stages over candidates, each of which adds to their scores."""

from __future__ import annotations

from ctxkit.retrieval.candidates import Candidate
from ctxkit.retrieval.language import MONTHS, search_words
from ctxkit.retrieval.pool import Pool, Question, Scores, Stage
from ctxkit.retrieval.smoothing import missing_neighbors
from ctxkit.retrieval.stages import STAGES, find_stages, rank

__all__ = [
    "MONTHS",
    "STAGES",
    "Candidate",
    "Pool",
    "Question",
    "Scores",
    "Stage",
    "find_stages",
    "missing_neighbors",
    "rank",
    "search_words",
]

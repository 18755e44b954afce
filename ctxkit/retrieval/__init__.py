"""From search results to one ranked list: pure functions over candidates."""

from __future__ import annotations

from ctxkit.retrieval.candidates import Candidate
from ctxkit.retrieval.fusion import fuse
from ctxkit.retrieval.scoring import half_life_decay, rank
from ctxkit.retrieval.smoothing import missing_neighbors, smooth

__all__ = ["Candidate", "fuse", "half_life_decay", "missing_neighbors", "rank", "smooth"]

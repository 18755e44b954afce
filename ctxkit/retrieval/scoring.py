"""Recency, importance and the final order."""

from __future__ import annotations

from collections.abc import Sequence

from ctxkit.retrieval.candidates import Candidate


def half_life_decay(age_seconds: float, half_life_seconds: float) -> float:
    """Return 0.5 ** (age / half-life), in (0, 1]; an age below 0 counts as 0."""
    return float(0.5 ** (max(age_seconds, 0.0) / half_life_seconds))


def rank(
    candidates: Sequence[Candidate],
    *,
    now: float,
    recency_weight: float = 0.0,
    importance_weight: float = 0.0,
    half_life_seconds: float = 604_800.0,
) -> list[Candidate]:
    """Set `recency`, `importance` and `final`, and return the candidates best first, ties by id.

    `final` is `fused + neighbor + recency_weight x decay(now - timestamp) + importance_weight x importance`;
    `now` is seconds since the epoch, importance is the metadata value of that name (a number, 0 without).
    """
    for candidate in candidates:
        if recency_weight and candidate.timestamp is not None:
            candidate.recency = recency_weight * half_life_decay(now - candidate.timestamp, half_life_seconds)
        importance = candidate.metadata.get("importance", 0.0)
        if importance_weight and isinstance(importance, (int, float)):
            candidate.importance = importance_weight * float(importance)
        candidate.final = candidate.fused + candidate.neighbor + candidate.recency + candidate.importance
    return sorted(candidates, key=lambda item: (-item.final, item.id))

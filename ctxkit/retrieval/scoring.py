"""Recency and importance, by the weights that memory is configured with."""

from __future__ import annotations

import numpy as np

from ctxkit.retrieval.pool import Pool, Scores


def half_life_decay(age_seconds: float, half_life_seconds: float) -> float:
    """Return 0.5 ** (age / half-life), in (0, 1]; an age below 0 counts as 0."""
    return float(0.5 ** (max(age_seconds, 0.0) / half_life_seconds))


def recency(pool: Pool) -> Scores:
    """Return `recency_weight` x 0.5 ** (age / `recency_half_life_seconds`); 0 for what has no timestamp."""
    memory, now = pool.question.memory, pool.question.now
    if not memory.recency_weight:
        return np.zeros(len(pool.candidates))
    ages = [None if each.timestamp is None else now - each.timestamp for each in pool.candidates]
    half_life = memory.recency_half_life_seconds
    decays = [0.0 if age is None else half_life_decay(age, half_life) for age in ages]
    return np.array(decays) * memory.recency_weight


def importance(pool: Pool) -> Scores:
    """Return `importance_weight` x the metadata value of that name (a number, 0 without)."""
    weight = pool.question.memory.importance_weight
    if not weight:
        return np.zeros(len(pool.candidates))
    values = [each.metadata.get("importance", 0.0) for each in pool.candidates]
    numbers = [float(value) if isinstance(value, (int, float)) else 0.0 for value in values]
    return np.array(numbers) * weight

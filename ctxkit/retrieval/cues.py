"""What a question says about its answer beside its words: who said it, and when; and what a memory says of itself."""

from __future__ import annotations

import re

import numpy as np

from ctxkit.retrieval.language import asks, repeats
from ctxkit.retrieval.pool import Pool, Scores


def speaker(pool: Pool) -> Scores:
    """Return `speaker_weight` for what was said by the only person, among all who speak here, that the question names.

    A person is named by the whole name or by its first word.
    """
    said_by = [candidate.speaker for candidate in pool.candidates]
    named = [name for name in set(said_by) if name is not None and _names(pool.question.text, name)]
    if len(named) != 1:
        return np.zeros(len(said_by))
    return np.array([name == named[0] for name in said_by]) * pool.question.retrieval.speaker_weight


def date(pool: Pool) -> Scores:
    """Return `date_weight` for what stands in a period that the question names, less up to a week beside it."""
    periods, weight = pool.question.periods, pool.question.retrieval.date_weight
    added = np.zeros(len(pool.candidates))
    if not periods or not weight:
        return added
    known: dict[float, float] = {}
    for row, candidate in enumerate(pool.candidates):
        moment = candidate.timestamp
        if moment is not None:
            if moment not in known:
                known[moment] = max(period.closeness(moment) for period in periods)
            added[row] = weight * known[moment]
    return added


def asking(pool: Pool) -> Scores:
    """Return minus `asking_weight` for what one person said and ends with a question: it seldom holds an answer.

    A turn that only asks, because nobody answered, holds none: it loses, times the weight, all that it stands above the
    last candidate. It asks when it ends with a question, or says again what is asked now.
    """
    weight = pool.question.retrieval.asking_weight
    least = float(pool.total.min()) if pool.candidates else 0.0
    added = np.zeros(len(pool.candidates))
    for row, each in enumerate(pool.candidates):
        if each.unanswered is not None:
            if asks(each.unanswered) or repeats(each.unanswered, pool.question.text):
                added[row] = weight * (least - pool.total[row])
        elif each.speaker is not None and asks(each.text):
            added[row] = -weight
    return added


def _names(text: str, name: str) -> bool:
    first = name.split(maxsplit=1)[0] if name.split() else name
    return any(re.search(rf"(?<!\w){re.escape(form)}(?!\w)", text, re.IGNORECASE) for form in {name, first})

"""A memory is worth more when its neighbours in the conversation match too.

The answer often stands one turn after the words of the question ("When was that?" - "Last Friday."), so each
memory gains a share of the scores of the turns around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nlargest

import numpy as np

from ctxkit.retrieval.candidates import Candidate
from ctxkit.retrieval.language import asks
from ctxkit.retrieval.pool import Pool, Scores


def neighbors(pool: Pool) -> Scores:
    """Return the sum of `neighbor_weights[d - 1]` x the score so far of those d messages away, on both sides.

    A position holds one message, or an exchange of two: then every second weight counts. A neighbour that is no
    candidate counts 0. Where a thread begins or ends, as far as the candidates show, those that
    are there stand for the missing ones, in proportion to the weights. `answer_weight` x the score of the turn before
    comes on top when that turn asks something. Several memories may share a position; the best one counts.
    """
    weights, answer_weight = pool.question.retrieval.neighbor_weights, pool.question.retrieval.answer_weight
    best, asking, ends = _by_place(pool)
    around = {False: _both_sides(weights), True: _both_sides(weights[1::2])}
    added = np.zeros(len(pool.candidates))
    for row, candidate in enumerate(pool.candidates):
        thread, position = candidate.thread, candidate.position
        if thread is None:
            continue
        total = present = whole = 0.0
        for step, weight in around[candidate.exchange]:
            whole += weight
            if 0 <= position + step <= ends[thread]:
                present += weight
                total += weight * best.get((thread, position + step), 0.0)
        if 0.0 < present < whole:
            total *= whole / present
        before = (thread, position - 1)
        if before in asking:
            total += answer_weight * best[before]
        added[row] = total
    return added


def _both_sides(weights: Sequence[float]) -> list[tuple[int, float]]:
    return [(side * distance, weight) for distance, weight in enumerate(weights, start=1) for side in (-1, 1)]


def missing_neighbors(candidates: Sequence[Candidate], *, reach: int, top: int) -> dict[str, list[int]]:
    """Return, by thread, the sorted positions within `reach` of the best candidates that are no candidates.

    The best are the `top` of each search. Their neighbours deserve a look because a weak turn beside a strong one may
    be the answer.
    """
    known = {(candidate.thread, candidate.position) for candidate in candidates}
    wanted: dict[str, set[int]] = {}
    for candidate in _best(candidates, top):
        if candidate.thread is None:
            continue
        for position in range(candidate.position - reach, candidate.position + reach + 1):
            if position >= 0 and (candidate.thread, position) not in known:
                wanted.setdefault(candidate.thread, set()).add(position)
    return {thread: sorted(positions) for thread, positions in sorted(wanted.items())}


def _best(candidates: Sequence[Candidate], top: int) -> list[Candidate]:
    found = [(candidate.dense, candidate.id, candidate) for candidate in candidates if candidate.dense is not None]
    worded = [(candidate.lexical, candidate.id, candidate) for candidate in candidates if candidate.lexical is not None]
    return [candidate for scored in (found, worded) for _, _, candidate in nlargest(top, scored, key=lambda s: s[:2])]


def _by_place(pool: Pool) -> tuple[dict[tuple[str, int], float], set[tuple[str, int]], dict[str, int]]:
    """Return the best score at each place, the places at which something is asked, and each thread's last position."""
    best: dict[tuple[str, int], float] = {}
    asking: set[tuple[str, int]] = set()
    ends: dict[str, int] = {}
    for candidate, score in zip(pool.candidates, pool.total.tolist(), strict=True):
        if candidate.thread is None:
            continue
        place = (candidate.thread, candidate.position)
        best[place] = max(best.get(place, score), score)
        ends[candidate.thread] = max(ends.get(candidate.thread, 0), candidate.position)
        if asks(candidate.text):
            asking.add(place)
    return best, asking, ends

"""A memory is worth more when its neighbours in the conversation match too.

The answer often stands one turn after the words of the question ("When was that?" - "Last Friday."), so each
memory gains a share of the scores of the turns around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from heapq import nlargest
from operator import add

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
    threads = _by_thread(pool)
    around = {exchange: _both_sides(weights[1::2] if exchange else weights) for exchange in (False, True)}
    # Added in the order of the loop below: where all are present, both sums are the same to the last bit.
    wholes = {exchange: reduce(add, (weight for _, weight in steps), 0.0) for exchange, steps in around.items()}
    added = np.zeros(len(pool.candidates))
    for row, candidate in enumerate(pool.candidates):
        if candidate.thread is None:
            continue
        thread, position = threads[candidate.thread], candidate.position
        total = present = 0.0
        for step, weight in around[candidate.exchange]:
            if 0 <= position + step <= thread.end:
                present += weight
                total += weight * thread.best.get(position + step, 0.0)
        if 0.0 < present < wholes[candidate.exchange]:
            total *= wholes[candidate.exchange] / present
        if position - 1 in thread.asking:
            total += answer_weight * thread.best[position - 1]
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


@dataclass(slots=True)
class _Thread:
    """A thread's best score at each position, the positions at which something is asked, and its last one."""

    best: dict[int, float] = field(default_factory=dict)
    asking: set[int] = field(default_factory=set)
    end: int = 0


def _by_thread(pool: Pool) -> dict[str, _Thread]:
    threads: dict[str, _Thread] = {}
    for candidate, score in zip(pool.candidates, pool.total.tolist(), strict=True):
        if candidate.thread is None:
            continue
        if (thread := threads.get(candidate.thread)) is None:
            thread = threads[candidate.thread] = _Thread()
        position = candidate.position
        thread.best[position] = max(thread.best.get(position, score), score)
        thread.end = max(thread.end, position)
        if asks(candidate.text):
            thread.asking.add(position)
    return threads

"""A memory is worth more when its neighbours in the conversation match too.

The answer often stands one turn after the words of the question ("When was that?" - "Last Friday."), so each
memory gains a share of the scores of the turns around it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ctxkit.retrieval.candidates import Candidate


def smooth(candidates: Sequence[Candidate], weights: Sequence[float]) -> None:
    """Set `neighbor` of each candidate: sum of weights[d - 1] x `fused` of those d positions away, both sides.

    A neighbour that is no candidate counts 0. Several memories may share a position; the best one counts.
    """
    best: dict[tuple[str, int], float] = {}
    for candidate in candidates:
        if candidate.thread is not None:
            place = (candidate.thread, candidate.position)
            best[place] = max(best.get(place, 0.0), candidate.fused)
    for candidate in candidates:
        if candidate.thread is None:
            continue
        candidate.neighbor = sum(
            weight * best.get((candidate.thread, candidate.position + side * distance), 0.0)
            for distance, weight in enumerate(weights, start=1)
            for side in (-1, 1)
        )


def missing_neighbors(candidates: Sequence[Candidate], *, reach: int, top: int) -> dict[str, list[int]]:
    """Return, by thread, the sorted positions within `reach` of the `top` best candidates that are no candidates.

    They deserve a look because a weak turn beside a strong one may be the answer.
    """
    known = {(candidate.thread, candidate.position) for candidate in candidates}
    wanted: dict[str, set[int]] = {}
    for candidate in sorted(candidates, key=lambda item: (-item.fused, item.id))[:top]:
        if candidate.thread is None:
            continue
        for position in range(candidate.position - reach, candidate.position + reach + 1):
            if position >= 0 and (candidate.thread, position) not in known:
                wanted.setdefault(candidate.thread, set()).add(position)
    return {thread: sorted(positions) for thread, positions in sorted(wanted.items())}

"""Filtered queries: what they find, and what they cost beside an exact scan of the rows that pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ctxkit_conformance.bench.data import RANK, REGION
from ctxkit_conformance.bench.figures import Figure, Target
from ctxkit_conformance.bench.scan import Mask, Scan
from ctxkit_conformance.bench.stage import K, Stage
from ctxkit_conformance.bench.timing import in_turns
from ctxkit_conformance.bench.truth import last_similarities, recall

_SHARES: Final = (0.1, 0.01, 0.001)
_QUERIES: Final = 100
_NEAR: Final = 200  # of each query's nearest rows, the filter that excludes the near ones passes none
_CALLS: Final = 5
_OPERATORS: Final = frozenset({"$lt", "$in"})
_RECALL: Final = Target(0.99, at_least=True)
_WHOLE: Final = Target(1.0, at_least=True)
_BY_SCAN: Final = Target(1.5)
_BY_FLAT: Final = Target(1.5)


@dataclass(frozen=True)
class Case:
    """A filter for each of some queries: as the store is given it, and as an array of the rows that pass."""

    title: str
    queries: npt.NDArray[np.float32]
    wheres: Sequence[Mapping[str, Any]]
    masks: Sequence[Callable[[], Mask]]


def measure(stage: Stage) -> Iterator[Figure]:
    """Yield recall@10, the share of whole answers, and the times of each filter."""
    lacking = _OPERATORS - stage.declared.filter_operators
    if lacking:
        yield Figure("filter", "filters", note=f"the store has no {' and no '.join(sorted(lacking))}")
        return
    stage.both()
    with closing(Scan(stage.folder / "scan", stage.data)) as scan:
        whole = []
        for case in _cases(stage, scan):
            stage.tell(case.title)
            found, complete = _recall(stage, case)
            whole.append(complete)
            yield Figure("filter", f"{case.title}: recall@10", found, "share", _RECALL, ours=found, measured_in="share")
            yield from _times(stage, scan, case)
        share = min(whole)
        yield Figure("filter", "filters: k of k returned", share, "share", _WHOLE, ours=share, measured_in="share")


def _cases(stage: Stage, scan: Scan) -> Iterator[Case]:
    queries, rows = stage.data.queries[:_QUERIES], len(stage.data)
    for share in _SHARES:
        limit = max(1, round(rows * share))
        where = {RANK: {"$lt": limit}}
        masks = [_below(scan.ranks, limit)] * len(queries)
        yield Case(f"filter {100 * share:g} %", queries, [where] * len(queries), masks)
    yield _far(stage, scan)


def _below(column: npt.NDArray[np.int64], limit: int) -> Callable[[], Mask]:
    return lambda: column < limit


def _among(column: npt.NDArray[np.int64], wanted: Sequence[int], size: int) -> Callable[[], Mask]:
    table = np.zeros(size, dtype=np.bool_)
    table[list(wanted)] = True
    return lambda: table[column]


def _far(stage: Stage, scan: Scan) -> Case:
    """Return filters that pass whole regions, those that hold none of the query's nearest rows."""
    data, size = stage.data, int(scan.regions.max()) + 1
    near = min(_NEAR, max(K, len(data) // 10))
    queries, wheres, masks = [], [], []
    for query in data.queries:
        nearest = np.argpartition(-(data.vectors @ query), near - 1)[:near]
        regions = sorted(set(range(size)) - set(scan.regions[nearest].tolist()))
        mask = _among(scan.regions, regions, size)
        if np.count_nonzero(mask()) < K:
            continue
        queries.append(query)
        wheres.append({REGION: {"$in": regions}})
        masks.append(mask)
        if len(queries) == _QUERIES:
            break
    if not queries:
        raise ValueError("no filter excludes what is near to a query and passes anything: give more rows.")
    return Case("filter far", np.array(queries), wheres, masks)


def _recall(stage: Stage, case: Case) -> tuple[float, float]:
    """Return recall@10 and the share of answers that hold min(k, rows that pass)."""
    vectors, place = stage.data.vectors, {id_: row for row, id_ in enumerate(stage.data.ids)}
    masks = [mask() for mask in case.masks]
    true = last_similarities(case.queries, vectors, K, masks)
    answers = [
        [place[row[0]] for row in stage.ask(query, where=where)[0]]
        for query, where in zip(case.queries, case.wheres, strict=True)
    ]
    wrong = sum(not mask[row] for mask, answer in zip(masks, answers, strict=True) for row in answer)
    if wrong:
        raise ValueError(f"{wrong} rows came back that do not pass the filter ({case.title}).")
    whole = sum(len(set(answer)) == wanted for answer, (_, wanted) in zip(answers, true, strict=True)) / len(answers)
    return recall(case.queries, [vectors[answer] for answer in answers], true), whole


def _times(stage: Stage, scan: Scan, case: Case) -> Iterator[Figure]:
    """Yield the ratios to an exact scan, or to the raw library's own filter, and to an unfiltered scan."""
    count = len(case.queries)
    own = stage.raw.filtered(case.queries[0], K, case.wheres[0]) is not None

    def ours(number: int) -> object:
        return stage.ask(case.queries[number % count], where=case.wheres[number % count])

    def other(number: int) -> object:
        query = case.queries[number % count]
        if own:
            return stage.raw.filtered(query, K, case.wheres[number % count])
        return scan.query(query, K, case.masks[number % count])

    def flat(number: int) -> object:
        return scan.query(case.queries[number % count], K)

    # A whole store's filters are measured by its own; how quick an index alone could be is another matter.
    ways = [(f"{case.title} / raw filter", other, _BY_SCAN)]
    if not own:
        ways = [(f"{case.title} / exact scan", other, _BY_SCAN), (f"{case.title} / Flat scan", flat, _BY_FLAT)]
    turns = in_turns([ours, *(way for _, way, _ in ways)], rounds=stage.effort.rounds, calls=_CALLS)
    for number, (name, _, target) in enumerate(ways, 1):
        yield Figure(
            "filter",
            name,
            turns.ratio(0, number),
            target=target,
            spread=turns.spread(0, number),
            ours=turns.median(0),
            raw=turns.median(number),
            measured_in="s",
        )

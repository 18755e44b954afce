"""Search in an embedded collection: Chroma's graph proposes, and the law of k holds.

A filter is a mask in memory. Of many records that pass, the graph is asked for so many that enough of them should be
among its answer; of fewer, it is given their ids; few, or where it finds too few, are all scored.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from ctxkit.errors import StoreError
from ctxkit.filters import Filter
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import FloatVectors
from ctxkit_chroma import codec
from ctxkit_chroma.companion import Companion
from ctxkit_chroma.mirror import Mask, Mirror
from ctxkit_chroma.rows import Rows, pages
from ctxkit_chroma.scoring import Found, as_matrix, best, is_stuck, merged, proposals

_FEW: Final = 200  # records: up to here their vectors are read and scored
_MOST_FETCHED: Final = 600  # hits that are fetched to be filtered here; beyond, Chroma is given the ids
_MOST_IDS: Final = 10_000
_MARGIN: Final = 1.5
_PAGE: Final = 2000


class Nearest:
    """One search in one collection, by several queries."""

    def __init__(self, rows: Rows, companion: Companion, spec: CollectionSpec, queries: FloatVectors) -> None:
        self._rows = rows
        self._companion = companion
        self._mirror: Mirror = companion.mirror
        self._spec = spec
        self._queries = queries
        self._asked = codec.asked_vectors(queries, spec.metric)

    def search(self, k: int, node: Filter) -> list[list[Found]]:
        """Return the nearest min(k, records that pass) of each query."""
        mask = self._mirror.mask(node)
        matches = int(np.count_nonzero(mask))
        wanted = min(k, matches)
        every = list(range(len(self._queries)))
        if not wanted or not every:
            return [[] for _ in every]
        filtered = matches < len(self._mirror)
        if matches <= _FEW and filtered:
            return self._exactly(every, wanted, self._mirror.selected(mask))
        found = self._near(every, wanted, mask, matches)
        short = [place for place, hits in enumerate(found) if len(hits) < wanted]
        if short and filtered and matches <= _MOST_IDS:
            for place, hits in zip(short, self._within(short, wanted, mask), strict=True):
                found[place] = hits
        open_ = [place for place, hits in enumerate(found) if len(hits) < wanted or is_stuck(hits, matches)]
        if open_:
            exact = self._exactly(open_, wanted, self._mirror.selected(mask))
            for place, hits in zip(open_, exact, strict=True):
                found[place] = hits
        return [hits[:wanted] for hits in found]

    def _near(self, places: list[int], wanted: int, mask: Mask, matches: int) -> list[list[Found]]:
        """Ask the graph for so many that enough of them should pass."""
        total = len(self._mirror)
        least = proposals(wanted)
        if matches == total:
            return self._proposed(places, least, mask, self._answer(places, least, include=["embeddings"]))
        size = math.ceil(least * total / matches * _MARGIN)
        if size > max(_MOST_FETCHED, 2 * least):
            return [[] for _ in places]
        return self._proposed(places, least, mask, self._answer(places, size, include=[]))

    def _within(self, places: list[int], wanted: int, mask: Mask) -> list[list[Found]]:
        """Ask the graph for records that pass, by naming them all."""
        least, ids = proposals(wanted), self._mirror.selected(mask)
        return self._proposed(places, least, mask, self._answer(places, least, include=["embeddings"], ids=ids))

    def _answer(self, places: list[int], size: int, *, include: list[str], ids: list[str] | None = None) -> Any:
        """Return Chroma's answer, or None: its graph raises where it cannot reach as many."""
        most = len(self._mirror) if ids is None else len(ids)
        try:
            return self._rows.near(self._asked[places], min(size, most), include=include, ids=ids)
        except StoreError as error:
            if "contiguous" in str(error).lower() or "ef or m" in str(error).lower():
                return None
            raise

    def _proposed(self, places: list[int], least: int, mask: Mask, answer: Any) -> list[list[Found]]:
        """Score what Chroma proposes and passes; the vectors come with the answer, or are fetched."""
        if answer is None:
            return [[] for _ in places]
        names = [[ids[place] for place in self._mirror.passing(ids, mask)[:least]] for ids in answer["ids"]]
        if answer["embeddings"] is None:
            vectors = self._vectors(list(dict.fromkeys(name for part in names for name in part)))
            return [self._best(place, part, vectors, least) for place, part in zip(places, names, strict=True)]
        found = []
        for place, part, ids, given in zip(places, names, answer["ids"], answer["embeddings"], strict=True):
            found.append(self._best(place, part, dict(zip(ids, given, strict=True)), least))
        return found

    def _exactly(self, places: list[int], wanted: int, ids: list[str]) -> list[list[Found]]:
        """Score every one of these records."""
        found: list[list[Found]] = [[] for _ in places]
        for page in pages(ids, _PAGE):
            vectors = self._vectors(page)
            for number, place in enumerate(places):
                found[number] = merged([*found[number], *self._best(place, page, vectors, wanted)], wanted)
        return found

    def _vectors(self, ids: list[str]) -> dict[str, Any]:
        return {name: vector for part, rows in self._rows.vectors(ids) for name, vector in zip(part, rows, strict=True)}

    def _best(self, place: int, proposed: list[str], vectors: dict[str, Any], wanted: int) -> list[Found]:
        """Score records from their stored vectors, which under cosine are as good as the exact ones."""
        ids = [name for name in proposed if name in vectors]
        matrix = as_matrix([vectors[name] for name in ids], self._spec.dimension)
        if self._spec.metric != "cosine" and codec.any_shortened(matrix):
            stored = self._companion.sidecar.fetch(ids)
            for number, name in enumerate(ids):
                if (exact := codec.unpacked(stored[name][2], name, self._rows.scene)[1]) is not None:
                    matrix[number] = exact
        return best(self._queries[place], ids, matrix, self._spec.metric, wanted)

"""What a search returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
import numpy.typing as npt

from ctxkit.records.record import FloatVector, Metadata, Metric

_SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """One record found by a search, with its score (higher is better).

    `metric` is the metric of the collection for a vector search and None for a text search.
    """

    id: str
    score: float
    text: str = ""
    metadata: Metadata = field(default_factory=dict)
    vector: FloatVector | None = None
    metric: Metric | None = None

    @property
    def distance(self) -> float | None:
        """1 - score for cosine, the unsquared Euclidean distance for l2, None for dot and text searches."""
        if self.metric == "cosine":
            return 1.0 - self.score
        if self.metric == "l2":
            return 1.0 / self.score - 1.0 if self.score > 0 else float("inf")
        return None


class Hits(Sequence[Hit]):
    """The hits of one query, best first, equal scores by id in code-point order.

    `truncated` is True when the backend could not return min(k, matching records) hits.
    """

    __slots__ = ("_hits", "truncated")

    def __init__(self, hits: Sequence[Hit] = (), *, truncated: bool = False) -> None:
        self._hits = tuple(hits)
        self.truncated = truncated

    @property
    def ids(self) -> list[str]:
        """The ids of the hits, best first."""
        return [hit.id for hit in self._hits]

    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """The scores of the hits, float64[len(self)], never increasing."""
        return np.array([hit.score for hit in self._hits], dtype=np.float64)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> Hits: ...
    def __getitem__(self, index: int | slice) -> Hit | Hits:
        if isinstance(index, slice):
            return Hits(self._hits[index], truncated=self.truncated)
        return self._hits[index]

    def __len__(self) -> int:
        return len(self._hits)

    def __repr__(self) -> str:
        shown = ", ".join(f"{hit.id!r}: {hit.score:.4f}" for hit in self._hits[:_SHOWN])
        more = f", ... {len(self) - _SHOWN} more" if len(self) > _SHOWN else ""
        return f"Hits({shown}{more}{', truncated' if self.truncated else ''})"

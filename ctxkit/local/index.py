"""What a library of nearest-neighbour search implements to become a store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ctxkit.records import FloatVectors, Metric

Slots = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class AnnIndex(ABC):
    """Vectors in memory, searched by similarity.

    Vectors get the slots 0, 1, 2, ... in the order of `add`; a slot is never used again, so an index that cannot
    remove keeps a tombstone. The engine maps slots to records, locks, filters, scores again in float64, and
    makes the index anew when tombstones pile up.
    """

    name: ClassVar[str] = ""
    exact: ClassVar[bool] = False

    def __init__(self, dimension: int, metric: Metric) -> None:
        self.dimension = dimension
        self.metric: Metric = metric

    @abstractmethod
    def add(self, vectors: FloatVectors) -> None:
        """Append vectors, float32[n, dimension], C-contiguous; they are not kept by reference."""

    @abstractmethod
    def remove(self, slots: Slots) -> None:
        """Make `search` never return these slots again."""

    @abstractmethod
    def search(self, queries: FloatVectors, k: int, allowed: Mask | None) -> tuple[Slots, npt.NDArray[np.float32]]:
        """Return the k best slots of each query and their similarities, both of shape (n, k), best first.

        `allowed`, bool[slots ever given], limits the search; removed slots are never returned. Similarity is the
        cosine, the dot product, or minus the squared distance. Places that cannot be filled hold slot -1.
        An index that declares `exact` returns the true k best up to float32 rounding of a plain sum.
        """

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of vectors that were added and not removed."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes of memory held."""

    def reserve(self, size: int) -> None:  # noqa: B027 - only a hint
        """Prepare for `size` vectors in all."""


def unit(vectors: FloatVectors) -> FloatVectors:
    """Return the vectors scaled to length 1 as new float32[n, d]; norms in float64, so that none overflows."""
    wide = vectors.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    norms[norms == 0] = 1.0
    wide /= norms[:, None]
    return wide.astype(np.float32)

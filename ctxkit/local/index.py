"""What a library of nearest-neighbour search implements to become a store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ctxkit.records import FloatVectors, Metric

Slots = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Similarities = npt.NDArray[np.float32]


class AnnIndex(ABC):
    """A library's index over vectors that never change.

    The engine makes one from all vectors of a moment, in the background, and never adds to it again: what is written
    later is searched beside it, what is removed is left out of its answers, filters are applied, and scores are
    computed again in float64. So an index need neither remove, nor filter, nor lock. `search` is never called while
    vectors are added, and by several threads at once only where the index says that it may be: `concurrent`.

    Under cosine the vectors and the queries that come have length 1.
    """

    name: ClassVar[str] = ""
    # Which library, in which version, made the file that `save` writes; another version's file is not loaded.
    version: ClassVar[str] = ""

    # Whether a search returns the true nearest, and whether several threads may search at once.
    exact: bool = False
    concurrent: bool = False
    # How many times k the engine asks for, to choose the k best by exact scores: more than 1 where an index keeps less
    # of a vector than float32.
    oversampling: float = 1.0

    def __init__(self, dimension: int, metric: Metric) -> None:
        self.dimension = dimension
        self.metric: Metric = metric

    @property
    def key(self) -> str:
        """The kind of index and everything that shapes what `save` writes: another key means another index."""
        return self.name

    def reserve(self, size: int) -> None:  # noqa: B027 - many libraries need no hint
        """Prepare for `size` vectors in all; called once, before the first `add`."""

    def train(self, sample: FloatVectors) -> None:  # noqa: B027 - most indexes keep vectors as they are
        """Learn from a sample of the vectors that will be added, float32[n, dimension]; called once, before `add`."""

    @abstractmethod
    def add(self, vectors: FloatVectors) -> None:
        """Append vectors, float32[n, dimension], C-contiguous, not kept by reference; slots are 0, 1, 2, ... ."""

    @abstractmethod
    def search(self, queries: FloatVectors, k: int) -> tuple[Slots, Similarities]:
        """Return the k best slots of each query and their similarities, both of shape (n, k), best first.

        `k` is at most the number of vectors. Similarity is the cosine, the dot product, or minus the squared distance.
        Places that cannot be filled hold slot -1. An index that declares `exact` returns the true k best, up to the
        rounding of a plain float32 sum.
        """

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write the index to a file that does not exist."""

    @abstractmethod
    def load(self, path: Path) -> None:
        """Read what `save` wrote, into this index, which is empty. The engine has checked the file's bytes before."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes of memory held."""


def unit(vectors: FloatVectors) -> FloatVectors:
    """Return the vectors scaled to length 1 as new float32[n, d]; norms in float64, so that none overflows."""
    wide = vectors.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    norms[norms == 0] = 1.0
    wide /= norms[:, None]
    return wide.astype(np.float32)


def prepared(vectors: FloatVectors, metric: Metric) -> FloatVectors:
    """Return vectors and queries as an index gets them: of length 1 under cosine, else as they are."""
    return unit(vectors) if metric == "cosine" else np.ascontiguousarray(vectors, dtype=np.float32)


def longest_of(vectors: FloatVectors) -> float:
    """Return the length of the longest vector."""
    return float(np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64).max(initial=0.0)))

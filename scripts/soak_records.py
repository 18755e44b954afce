"""The records of a soak run: everything about one follows from its id and the write that made it.

So a record that mixes two versions is recognised by itself, whoever reads it and whenever.
"""

from __future__ import annotations

from typing import Any, Final
from zlib import crc32

import numpy as np

from ctxkit.interfaces import CollectionSpec
from ctxkit.records import FloatVector, Metric, Record

DIMENSION: Final = 24
BUCKETS: Final = 16
SHARED: Final = "shared"
METRICS: Final[tuple[Metric, ...]] = ("cosine", "l2", "dot")
_CENTRES, _NOISES = 32, 1024
# One record in so many has no vector; one in so many has a vector that others have too.
_BARE, _COMMON = 23, 10
_WORDS: Final = ("amber", "birch", "cedar", "delta", "ember", "flint", "grove", "heath")


def owned_ids(owner: str, count: int) -> list[str]:
    """Return the ids that belong to one writer, or to all (`SHARED`)."""
    return [f"{owner}-{number:04d}" for number in range(count)]


def traits(record_id: str) -> dict[str, Any]:
    """Return the metadata that every version of a record has."""
    owner, _, number = record_id.partition("-")
    bucket = int(number) % BUCKETS
    return {"owner": owner, "bucket": bucket, "labels": [f"b{bucket}", owner], "shared": owner == SHARED}


class Recipe:
    """Makes the records of one run."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.seed = seed
        self.metric: Metric = METRICS[seed % len(METRICS)]
        self._centres = rng.normal(size=(_CENTRES, DIMENSION)).astype(np.float32)
        self._noises = (0.35 * rng.normal(size=(_NOISES, DIMENSION))).astype(np.float32)

    @property
    def spec(self) -> CollectionSpec:
        """The collection that they are written to."""
        return CollectionSpec(
            name="soak", dimension=DIMENSION, metric=self.metric, fields={"owner": "str", "bucket": "int"}
        )

    def record(self, record_id: str, token: str) -> Record:
        """Return what the write `token` makes of a record."""
        drawn = crc32(f"{self.seed}/{record_id}/{token}".encode())
        words = " ".join(_WORDS[drawn >> shift & 7] for shift in (0, 3, 6))
        number = int(token.rpartition("x")[2])
        metadata = {**traits(record_id), "op": token, "n": number, "half": number / 2, "even": number % 2 == 0}
        return Record(record_id, f"common {token} {words} 東京{number}", self._vector(drawn), metadata)

    def near(self, rng: np.random.Generator) -> FloatVector:
        """Return a vector to search with."""
        centre = self._centres[rng.integers(_CENTRES)]
        near: FloatVector = (centre + 0.35 * rng.normal(size=DIMENSION)).astype(np.float32)
        return near

    def _vector(self, drawn: int) -> FloatVector | None:
        if drawn % _BARE == 0:
            return None
        centre = self._centres[drawn % _CENTRES]
        near, far = (0, 0) if drawn % _COMMON == 0 else ((drawn >> 5) % _NOISES, (drawn >> 15) % _NOISES)
        made: FloatVector = centre + self._noises[near] + self._noises[far]
        return made

"""What a vector store holds: records, alone or as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Metric: TypeAlias = Literal["cosine", "dot", "l2"]
FieldType: TypeAlias = Literal["str", "bool", "int", "float", "number", "list"]
MetadataScalar: TypeAlias = str | bool | int | float
MetadataValue: TypeAlias = MetadataScalar | list[str] | list[bool] | list[int] | list[float]
Metadata: TypeAlias = dict[str, MetadataValue]
FloatVector: TypeAlias = npt.NDArray[np.float32]
FloatVectors: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One stored item: an id, its text, its vector (float32[d] or None) and its metadata.

    A record given to a store may hold any array-like vector; one that a store returns holds a float32
    array of its own, or None where vectors were not asked for or the record has none.
    """

    id: str
    text: str = ""
    vector: npt.ArrayLike | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        return (
            self.id == other.id
            and self.text == other.text
            and _same_vector(self.vector, other.vector)
            and _typed(self.metadata) == _typed(other.metadata)
        )

    def __hash__(self) -> int:
        return hash((self.id, self.text))


@dataclass(frozen=True, slots=True, eq=False)
class RecordBatch:
    """Records as columns, all of one length n: the fast way to write many.

    `vectors` is an array-like of shape (n, d), or None when no record has a vector; `present` (bool[n])
    marks the rows that have one and may be None when all of them do. Rows of absent vectors are ignored.
    """

    ids: Sequence[str]
    vectors: npt.ArrayLike | None = None
    texts: Sequence[str] | None = None
    metadata: Sequence[Mapping[str, Any]] | None = None
    present: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Record]:
        vectors = None if self.vectors is None else np.asarray(self.vectors)
        for row, record_id in enumerate(self.ids):
            has_vector = vectors is not None and (self.present is None or bool(self.present[row]))
            yield Record(
                record_id,
                "" if self.texts is None else self.texts[row],
                vectors[row] if vectors is not None and has_vector else None,
                {} if self.metadata is None else self.metadata[row],
            )


def _same_vector(left: npt.ArrayLike | None, right: npt.ArrayLike | None) -> bool:
    if left is None or right is None:
        return left is right
    return bool(np.array_equal(np.asarray(left), np.asarray(right)))


def _typed(metadata: Mapping[str, Any]) -> dict[str, tuple[type, object]]:
    """Pair each value with its type, because Python holds 1 == 1.0 == True and a store must not."""
    return {
        key: (type(value), [(type(item), item) for item in value] if isinstance(value, list) else value)
        for key, value in metadata.items()
    }

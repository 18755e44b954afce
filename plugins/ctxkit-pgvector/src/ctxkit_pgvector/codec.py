"""Values as PostgreSQL keeps them, and back: nothing that its types would change gets past here.

PostgreSQL's texts hold no NUL. So U+0000 is written as U+0001 U+0001 and U+0001 as U+0001 U+0002, which keeps the order
of code points, and every other text as it is. Metadata are one `jsonb`, whose numbers are decimals that keep their
digits: an int has no point, a float has one, and both compare as numbers. A float is written with the digits that
Python shows; where it is integral with all its digits, because only there a number of 64 bits may lie between the two.
Decimals have one zero only: the negative one is written as 0.00, as no other number is.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ctxkit.records import FloatVectors, Metadata, Metric

_INTEGRAL: Final = 2.0**53  # from here on every float is integral, and soon shown with an exponent
_NEGATIVE_ZERO: Final = "0.00"
LONGEST: Final = 1e15  # norms beyond it overflow pgvector's sums, which are of float32
_SHORTEST: Final = 1e-15  # norms below it leave nothing of a square
_HEADER: Final = 4  # bytes before the numbers of a vector: https://github.com/pgvector/pgvector, src/vector.c
_NUMBER: Final = np.dtype(">f4")
_FORM: Final = struct.Struct(">HH")


def written(text: str) -> str:
    """Return a text as it is stored."""
    if "\0" not in text and "\x01" not in text:
        return text
    return text.replace("\x01", "\x01\x02").replace("\0", "\x01\x01")


def read(text: str) -> str:
    """Return what was written."""
    return text.replace("\x01\x01", "\0").replace("\x01\x02", "\x01") if "\x01" in text else text


def dumped(metadata: Mapping[str, Any]) -> str:
    """Return checked metadata as JSON."""
    for key, value in metadata.items():
        if "\0" in key or "\x01" in key or not _is_plain(value):
            return as_json(metadata)
    return json.dumps(metadata, ensure_ascii=False)


def loaded(texts: Iterable[str]) -> list[Metadata]:
    """Return the metadata of JSON texts that `as_json` made and PostgreSQL has rewritten; read in one go."""
    together = f"[{','.join(texts)}]"
    found: list[Metadata] = json.loads(together, parse_float=_as_float if _NEGATIVE_ZERO in together else None)
    if "\\u0001" in together:
        return [{read(key): _read_value(value) for key, value in each.items()} for each in found]
    return found


def number(value: float) -> Decimal:
    """Return a number as it is stored."""
    return Decimal(value) if isinstance(value, int) or abs(value) >= _INTEGRAL else Decimal(repr(value))


def stored_ids(ids: Iterable[str]) -> list[str]:
    """Return ids as they are stored, each once, without those that no record can have."""
    return [written(record_id) for record_id in dict.fromkeys(ids) if not _has_surrogates(record_id)]


def _has_surrogates(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)


def _is_plain(value: Any) -> bool:
    """Whether `json` writes a value as it is stored."""
    if isinstance(value, str):
        return "\0" not in value and "\x01" not in value
    if isinstance(value, float):
        return abs(value) < _INTEGRAL and not _is_negative_zero(value)
    return not isinstance(value, list) or all(map(_is_plain, value))


def _is_negative_zero(value: float) -> bool:
    return not value and math.copysign(1.0, value) < 0


def _as_float(digits: str) -> float:
    return -0.0 if digits == _NEGATIVE_ZERO else float(digits)


def _read_value(value: Any) -> Any:
    if isinstance(value, list):
        return [_read_value(item) for item in value]
    return read(value) if isinstance(value, str) else value


def as_json(value: Any) -> str:
    """Return metadata, or a value of them, as JSON."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{as_json(key)}: {as_json(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(as_json, value))}]"
    if isinstance(value, float) and abs(value) >= _INTEGRAL:
        return f"{int(value)}.0"
    if isinstance(value, float) and _is_negative_zero(value):
        return _NEGATIVE_ZERO
    return json.dumps(written(value) if isinstance(value, str) else value, ensure_ascii=False)


class PackedVectors:
    """Vectors in pgvector's binary form: what it compares, and for extreme norms the vector as it was given."""

    def __init__(self, vectors: FloatVectors, metric: Metric, longest: float = LONGEST) -> None:
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        self.extreme = norms > longest
        if metric == "cosine":
            self.extreme |= (norms < _SHORTEST) & (norms > 0)
        self._given = vectors
        compared = vectors
        if self.extreme.any():
            # Another length in the same direction: found by it, and scored by the vector itself.
            length = 1.0 if metric == "cosine" else longest
            compared = vectors.copy()
            wide = vectors[self.extreme].astype(np.float64)
            compared[self.extreme] = wide * (length / norms[self.extreme])[:, None]
        self._bytes = packed(compared)
        self._size = _HEADER + 4 * vectors.shape[1]

    def compared(self, row: int) -> bytes:
        """Return the vector that pgvector compares."""
        return self._bytes[row * self._size : (row + 1) * self._size]

    def exact(self, row: int) -> bytes | None:
        """Return the vector as it was given where that is another one."""
        return packed_one(self._given[row]) if self.extreme[row] else None


def packed(vectors: npt.NDArray[np.floating[Any]]) -> bytes:
    """Return vectors, one after another, in pgvector's binary form: dimension, zero, numbers."""
    rows = np.empty((len(vectors), 2 + 2 * vectors.shape[1]), dtype=">u2")
    rows[:, 0] = vectors.shape[1]
    rows[:, 1] = 0
    rows[:, 2:] = np.ascontiguousarray(vectors, dtype=_NUMBER).view(">u2")
    return rows.tobytes()


def packed_one(vector: npt.NDArray[np.floating[Any]]) -> bytes:
    """Return one vector in that form."""
    return _FORM.pack(len(vector), 0) + vector.astype(_NUMBER).tobytes()


def numbers(found: Iterable[bytes], dimension: int) -> npt.NDArray[np.floating[Any]]:
    """Return vectors that came in pgvector's binary form as a view of them, of shape (n, dimension)."""
    rows = np.frombuffer(b"".join(found), dtype=_NUMBER).reshape(-1, _HEADER // _NUMBER.itemsize + dimension)
    return rows[:, -dimension:]


def unpacked(found: Iterable[bytes], dimension: int) -> FloatVectors:
    """Return such vectors as float32[n, dimension]."""
    return numbers(found, dimension).astype(np.float32)

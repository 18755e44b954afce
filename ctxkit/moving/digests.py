"""Checksums of records, and of a whole collection whatever its order.

A record's digest is SHA-256 over its id, its text, its metadata as compact JSON with sorted keys, and its vector as
little-endian float32, each after its length in eight bytes; a record without a vector ends after the metadata. The
digest of a collection is the sum of its records' digests modulo 2^256: the same for the same records in any order and
on any store.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from ctxkit.records import Record

_MODULUS: Final = 1 << 256


def metadata_json(metadata: Mapping[str, Any]) -> str:
    """Return metadata as one line of JSON: sorted keys, ASCII only, and floats as their shortest exact digits."""
    return json.dumps(metadata, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def record_digest(record: Record) -> bytes:
    """Return the 32 bytes that differ when anything of a record does: a type, a sign of zero, one bit of a vector."""
    found = hashlib.sha256()
    parts = [record.id.encode(), record.text.encode(), metadata_json(record.metadata).encode()]
    if record.vector is not None:
        parts.append(np.asarray(record.vector, np.dtype("<f4")).tobytes())
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.digest()


class ContentDigest:
    """The digest of a collection, added up record by record."""

    def __init__(self, value: str = "0") -> None:
        self._sum = int(value, 16)

    def add(self, digests: Iterable[bytes]) -> None:
        """Take in records by their digests, each record once."""
        self._sum = (self._sum + sum(int.from_bytes(each, "big") for each in digests)) % _MODULUS

    def __str__(self) -> str:
        return f"{self._sum:064x}"

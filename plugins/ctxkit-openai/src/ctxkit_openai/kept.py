"""Vectors that were paid for in a call that then failed, kept for the next one."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping

from ctxkit.records import FloatVector

_MOST_NUMBERS = 1 << 24  # float32 that are kept at most: 64 MB


class KeptVectors:
    """Keeps vectors by the digests of their texts until they are used; the oldest give way."""

    def __init__(self) -> None:
        self._vectors: dict[bytes, FloatVector] = {}
        self._lock = threading.Lock()

    def keep(self, vectors: Mapping[str, FloatVector]) -> None:
        """Keep the vectors of these texts."""
        with self._lock:
            for text, vector in vectors.items():
                self._vectors[_digest(text)] = vector
            while self._vectors and len(self._vectors) * len(next(iter(self._vectors.values()))) > _MOST_NUMBERS:
                del self._vectors[next(iter(self._vectors))]

    def take(self, texts: Iterable[str]) -> dict[str, FloatVector]:
        """Return the vectors of those texts that have one here, and forget them."""
        with self._lock:
            if not self._vectors:
                return {}
            found = {text: self._vectors.pop(_digest(text), None) for text in texts}
        return {text: vector for text, vector in found.items() if vector is not None}


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest()

"""Room on the disk, looked at before a write.

On a full disk Chroma takes a write into its log, fails to apply it, and from then on fails every read. So a write for
which there is too little room never reaches it.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ctxkit_chroma.faults import Scene

_RESERVE: Final = 2 * 2**20  # for what Chroma's database and graph grow by at a time
_PER_RECORD: Final = 1024
# Chroma keeps a text in its log, in a table and twice in an index of trigrams; the rest is the sidecar's.
_TEXT_COPIES: Final = 16
_PACK_COPIES: Final = 6
_VECTOR_COPIES: Final = 4


def needed(texts: Iterable[str], packs: Iterable[str], vectors: npt.NDArray[np.float32]) -> int:
    """Return how many bytes a batch may take, rather too many than too few."""
    text, pack = sum(map(len, texts)), sum(map(len, packs))
    return (
        _RESERVE
        + _PER_RECORD * len(vectors)
        + _TEXT_COPIES * text
        + _PACK_COPIES * pack
        + _VECTOR_COPIES * int(vectors.nbytes)
    )


def check(directory: Path, files: Sequence[Path], size: int, scene: Scene) -> None:
    """Raise StoreFullError unless the file system, and the limit on the size of files, leave room for `size` bytes."""
    found = os.statvfs(directory)
    free = found.f_bavail * found.f_frsize
    if free < size:
        raise scene.full(f"{free} bytes are free, and the write may need {size}")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit == resource.RLIM_INFINITY:
        return
    largest = max((file.stat().st_size for file in files if file.exists()), default=0)
    if limit - largest < size:
        raise scene.full(f"files may not grow beyond {limit} bytes, and the write may need {size} more")

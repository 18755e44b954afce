"""How much memory belongs to this process alone, on Linux."""

from __future__ import annotations

import gc
from contextlib import suppress
from pathlib import Path
from typing import Final

_MAPS: Final = Path("/proc/self/smaps")
_KIB: Final = 1024


def private_bytes(files: Path) -> int | None:
    """Return Private_Clean + Private_Dirty of this process, without the files below a folder that it has mapped.

    A page of a mapped file is the system's cache, which it takes back when it likes; smaps counts it as private where
    no other process has mapped the same. A page of such a file that was changed privately counts. None elsewhere.
    """
    gc.collect()
    own = str(files.resolve())
    total, mapped, shared = 0, False, False
    with suppress(OSError):
        for line in _MAPS.read_text(encoding="utf-8", errors="replace").splitlines():
            head, *rest = line.split(maxsplit=5)
            if not head.endswith(":"):
                mapped = len(rest) == 5 and rest[4].startswith(own)
                shared = rest[0].endswith("s")
            elif (head == "Private_Dirty:" and not (mapped and shared)) or (head == "Private_Clean:" and not mapped):
                total += int(rest[0]) * _KIB
        return total
    return None

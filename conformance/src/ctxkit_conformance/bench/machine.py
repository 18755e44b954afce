"""Where a run took place: what somebody else needs to know to judge the figures."""

from __future__ import annotations

import os
import platform
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ctxkit_conformance.environment import environment

_LIBRARIES = ("chromadb", "ctxkit-chroma", "ctxkit-faiss", "ctxkit-hnswlib", "faiss-cpu", "hnswlib", "rich")


def machine(where: Path | None, stores: Sequence[str]) -> dict[str, Any]:
    """Return processor, memory, file system, load, and the versions of what takes part."""
    folder = Path(where or tempfile.gettempdir())
    owners = [name.rpartition(":")[0] for name in stores]
    return {
        **environment([*_LIBRARIES, *owners]),
        "processor": _processor(),
        "memory_bytes": _memory(),
        "file_system": _file_system(folder),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "sqlite": sqlite3.sqlite_version,
    }


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _memory() -> int | None:
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _file_system(folder: Path) -> str:
    """Return the kind of file system that the stores lie on: a commit costs nothing on one in memory."""
    best, kind = "", ""
    with suppress(OSError):
        path = str(folder.resolve())
        for line in Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
            _, place, found, *_ = line.split(" ")
            if (path == place or path.startswith(place.rstrip("/") + "/")) and len(place) >= len(best):
                best, kind = place, found
    return kind

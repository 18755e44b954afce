"""A server for `measure_scale.py`: started for one size, and what its processes use counts as the store's."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ctxkit_conformance.bench.naming import Named

_TICKS = os.sysconf("SC_CLK_TCK")
_KIB = 1024
# A million rows of 384 dimensions and their graph fit into the first, the graph while it is made into the second.
_SETTINGS = ("-cshared_buffers=4GB", "-cmaintenance_work_mem=3GB", "-cmax_wal_size=8GB")


@contextmanager
def started(store: Named) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the store's options, and the first process of the server that was started for it, 0 where it needs none."""
    if store.name != "pgvector" or "conninfo" in store.options:
        yield dict(store.options), 0
        return
    from ctxkit_pgvector.server import PostgresServer  # noqa: PLC0415 - the others do without

    server = PostgresServer(_SETTINGS)
    try:
        yield {**store.options, "conninfo": server.conninfo}, server.processes[0]
    finally:
        server.stop()


def seconds(first: int) -> float:
    """Return for how long the server's processes have used a processor, those that have ended among them."""
    found = 0.0
    for process in _processes(first):
        with suppress(OSError):
            found += int(Path(f"/proc/{process}/schedstat").read_text("ascii").split()[0]) / 1e9
    with suppress(OSError):
        # The fields of proc(5): what ended children have used.
        fields = Path(f"/proc/{first}/stat").read_text("utf-8").rpartition(")")[2].split()
        found += (int(fields[13]) + int(fields[14])) / _TICKS
    return found


def memory(first: int) -> dict[str, float]:
    """Return the bytes of all processes of the server that are no file's, and what of the shared buffers is in use."""
    found: Counter[str] = Counter()
    for process in _processes(first):
        with suppress(OSError):
            lines = Path(f"/proc/{process}/status").read_text("ascii", "replace").splitlines()
            kinds = {name: int(value.split()[0]) * _KIB for name, _, value in (line.partition(":") for line in lines)
                     if name in {"RssAnon", "RssShmem"}}  # fmt: skip
            found["memory server, private"] += kinds["RssAnon"]
            found["memory server, shared"] = max(found["memory server, shared"], kinds["RssShmem"])
    return dict(found)


def _processes(first: int) -> list[int]:
    with suppress(OSError):
        return [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text("ascii").split())]
    return []

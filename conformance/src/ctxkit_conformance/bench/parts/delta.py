"""Opening a store with rows that are newer than its index."""

from __future__ import annotations

from typing import Final

from ctxkit_conformance.bench.figures import Figure, Target
from ctxkit_conformance.bench.parts.reopen import opened
from ctxkit_conformance.bench.stage import Stage

_ROWS: Final = 5_000
_TARGET: Final = Target(1.0)


def measure(stage: Stage) -> list[Figure]:
    """Return the seconds until the first answer when some rows, at most one in ten, were written since."""
    store, data = stage.store, stage.data
    count = min(_ROWS, len(data) // 10)
    title = f"reopen, {count} fresh rows"
    if not stage.declared.persistent:
        return [Figure("delta", title, unit="s", note="the store keeps nothing on disk")]
    stage.tell(f"writing {count} rows again")
    size = stage.allowed(stage.effort.batch_size)
    for start in range(0, count, size):
        # The same content: what is stored does not change, only when it was written.
        store.upsert(data.batch(start, min(start + size, count)))
    with stage.closed():
        return [opened(stage, "delta", title, _TARGET, beside_raw=False)]

"""Private memory of a process that has the store open, beside the raw index alone."""

from __future__ import annotations

from typing import Final

from ctxkit_conformance.bench.data import FIELDS
from ctxkit_conformance.bench.figures import Figure, Target
from ctxkit_conformance.bench.probe import probed
from ctxkit_conformance.bench.stage import Stage

_TARGET: Final = Target(1.35)
_LEAST: Final = 16e6  # bytes
_COLUMN_BYTES: Final = 8  # of one value of a declared field, which here is an int


def measure(stage: Stage) -> list[Figure]:
    """Return the ratio of our private memory to the raw index and the declared filter columns."""
    raw, _ = stage.both()
    name = "private memory"
    if not stage.declared.persistent:
        return [Figure("memory", name, note="the store keeps nothing on disk")]
    if not raw.save():
        return [Figure("memory", name, note="the baseline cannot be opened again")]
    stage.tell(name)
    with stage.closed():
        ours, theirs = probed(stage, raw=False).private, probed(stage, raw=True).private
    if ours is None or theirs is None:
        return [Figure("memory", name, note="not measured on this platform")]
    whole: float = theirs + len(FIELDS) * _COLUMN_BYTES * len(stage.data)
    if whole < _LEAST:
        return [Figure("memory", name, note="too few rows to tell it from what Python takes")]
    return [Figure("memory", name, ours / whole, target=_TARGET, ours=ours, raw=whole, measured_in="bytes")]

"""Opening what was closed, by a new process, until its first answer."""

from __future__ import annotations

import statistics
from typing import Final

from ctxkit_conformance.bench.figures import Figure, Target
from ctxkit_conformance.bench.probe import probed
from ctxkit_conformance.bench.stage import Stage
from ctxkit_conformance.bench.timing import quartiles

_TARGET: Final = Target(0.5)


def measure(stage: Stage) -> list[Figure]:
    """Return the seconds until the first answer after a clean close."""
    raw, _ = stage.both()
    title = "reopen to first answer"
    if not stage.declared.persistent:
        return [Figure("reopen", title, unit="s", note="the store keeps nothing on disk")]
    theirs = raw.save()
    with stage.closed():
        return [opened(stage, "reopen", title, _TARGET, beside_raw=theirs)]


def opened(stage: Stage, part: str, title: str, target: Target, *, beside_raw: bool) -> Figure:
    """Open the closed store in new processes; `beside_raw` shows how long the raw library takes, too."""
    ours, raw = [], []
    for turn in range(stage.effort.openings):
        stage.tell(f"{title}, {turn + 1} of {stage.effort.openings}")
        ours.append(probed(stage, raw=False).seconds)
        if beside_raw:
            raw.append(probed(stage, raw=True).seconds)
    value = statistics.median(ours)
    return Figure(
        part,
        title,
        value,
        "s",
        target,
        quartiles(ours),
        ours=value,
        raw=statistics.median(raw) if raw else None,
        measured_in="s",
    )

"""The process that measures one store: `python -m ctxkit_conformance.bench.worker`, a job on standard input.

It answers with one JSON object a line on standard output: {"tell": ...} while it works, {"about": ...}, {"figure": ...}
and {"problem": ...} for what it finds, {"error": ...} when nothing can be measured, and {"done": true}.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

from ctxkit.errors import CtxkitError
from ctxkit_conformance.bench import data, parts
from ctxkit_conformance.bench.job import Job
from ctxkit_conformance.bench.stage import Stage

if TYPE_CHECKING:
    from typing import TextIO

Send = Callable[[dict[str, Any]], None]


def main() -> None:
    """Do the job that stands on standard input."""
    job = Job.parsed(sys.stdin.read())
    with _channel() as out:

        def send(message: dict[str, Any]) -> None:
            out.write(json.dumps(message) + "\n")
            out.flush()

        try:
            _measure(job, send)
        except CtxkitError as error:
            send({"error": error.message, "fix": error.fix})
        send({"done": True})


def _measure(job: Job, send: Send) -> None:
    subject = job.subject()
    send({"tell": "reading the data"})
    found = data.load(*job.paths, job.rows, job.seed)
    stage = Stage(job, subject, found, lambda text: send({"tell": text}))
    with closing(stage):
        shown = {"rows": len(found), "dimension": found.dimension, "data": found.source, "baseline": stage.label}
        send({"about": {**shown, "config": dict(stage.parameters)}})
        # The rows are nothing that a store or a library has made; the collector need not look at them again and again.
        gc.collect()
        gc.freeze()
        for part in job.parts:
            try:
                for figure in parts.measure(part, stage):
                    send({"figure": figure.as_dict()})
            except Exception as error:  # noqa: BLE001 - the other parts can still be measured
                traceback.print_exc()
                said = f"{error.message} {error.fix}" if isinstance(error, CtxkitError) else f"{error}"
                send({"problem": f"{part}: {type(error).__name__}: {said}".strip()})


def _channel() -> TextIO:
    """Return what was standard output; from now on everything that is printed goes to standard error."""
    sys.stdout.flush()
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


if __name__ == "__main__":
    main()

"""A whole run: each store in a process of its own, in a folder of its own that is gone afterwards."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ctxkit.errors import ConfigError, CtxkitError
from ctxkit_conformance.bench.figures import BenchReport, Figure, StoreResult
from ctxkit_conformance.bench.job import Job, environment
from ctxkit_conformance.bench.machine import machine

Tell = Callable[[str, int, str], None]
Show = Callable[[StoreResult], None]
_SHOWN: Final = 2000  # characters of what a process printed before it died


def run(jobs: Sequence[Job], where: Path | None, tell: Tell, show: Show) -> BenchReport:
    """Measure each store. `tell` is called with its name, the figures so far and what is being done; `show` at its end.

    Of several stores, one that cannot be measured at all is reported as such; alone, it raises ConfigError.
    """
    created = dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds")
    facts = machine(where, [job.name for job in jobs])
    results = []
    for job in jobs:
        with _folder(where) as folder:
            results.append(_result(replace(job, folder=str(folder)), tell, alone=len(jobs) == 1))
        show(results[-1])
    common = {
        name: getattr(jobs[0], name) for name in ("data", "texts", "rows", "repeat", "seed", "threads", "baseline")
    }
    return BenchReport(created, facts, {**common, "parts": list(jobs[0].parts)}, results)


def _result(job: Job, tell: Tell, *, alone: bool) -> StoreResult:
    """Measure one store; among several, one that cannot be measured must not cost the figures of the others."""
    try:
        return measured(job, tell)
    except CtxkitError as error:
        if alone:
            raise
        return StoreResult(job.title, problems=[f"{error.message} {error.fix}".strip()])


def measured(job: Job, tell: Tell) -> StoreResult:
    """Measure one store in a process; raises ConfigError when nothing of it could be measured."""
    result, begin, done = StoreResult(job.title), time.perf_counter(), False
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as printed, _process(job, printed) as lines:
        for message in lines:
            done = done or "done" in message
            if "error" in message:
                raise ConfigError(message["error"], fix=message["fix"] or "")
            _take(result, message)
            if "tell" in message:
                tell(job.title, len(result.figures), message["tell"])
        if not done:
            printed.seek(0)
            result.problems.append(f"the process died.\n{printed.read()[-_SHOWN:]}".strip())
    result.seconds = round(time.perf_counter() - begin, 1)
    return result


def _take(result: StoreResult, message: dict[str, Any]) -> None:
    """Note what a message says."""
    if "about" in message:
        about = message["about"]
        result.rows, result.dimension, result.baseline = about["rows"], about["dimension"], about["baseline"]
        result.config, result.data = about["config"], about["data"]
    elif "figure" in message:
        result.figures.append(Figure.from_dict(message["figure"]))
    elif "problem" in message:
        result.problems.append(message["problem"])


@contextmanager
def _process(job: Job, printed: Any) -> Iterator[Iterator[dict[str, Any]]]:
    """Start the measuring process and yield its messages; it and what it started are gone afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ctxkit_conformance.bench.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=printed,
        text=True,
        encoding="utf-8",
        env={**os.environ, **environment(job.threads)},
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None  # noqa: PT018 - both are pipes
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(job.dumped())
            process.stdin.close()
        yield (json.loads(line) for line in process.stdout)
        process.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        process.wait()


@contextmanager
def _folder(where: Path | None) -> Iterator[Path]:
    """Yield a new folder that is gone afterwards, also when the user interrupts."""
    try:
        made = tempfile.TemporaryDirectory(prefix="ctxkit-bench-", dir=where, ignore_cleanup_errors=True)
    except OSError as error:
        raise ConfigError(
            f"{where} takes no folder: {error.strerror}.", fix="give --folder one that is writable."
        ) from error
    with made as name:
        yield Path(name)

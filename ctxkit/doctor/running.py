"""Runs checks in a process beside this one, and goes on with the next when one crashes or takes too long."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any

from ctxkit.doctor.results import Result
from ctxkit.plugins.audit import how_it_ended

_BEGINNING = 60.0  # seconds until the process has to say something
_DYING = 5.0  # seconds from the end of what it says to its own


@dataclass
class Examined:
    """One check that was made: its name, what it said, and the seconds it took."""

    check: str
    seconds: float = 0.0
    results: list[Result] = field(default_factory=list)


def examine(subject: dict[str, Any], checks: Sequence[tuple[str, float]]) -> Iterator[Examined]:
    """Make checks, each (name, seconds that it may take), and yield each when it has ended.

    `subject` holds the arguments of a `Subject` as JSON values.
    """
    waiting = list(checks)
    while waiting:
        with tempfile.TemporaryFile() as errors:
            done = 0
            for each in _made(subject, waiting, errors):
                done += 1
                yield each
        # What ended the process has its verdict; those after it are made by another one.
        del waiting[: max(done, 1)]


def _made(subject: dict[str, Any], checks: Sequence[tuple[str, float]], errors: IO[bytes]) -> Iterator[Examined]:
    command = [sys.executable, "-m", "ctxkit.doctor.worker", json.dumps(subject), *(name for name, _ in checks)]
    said = None if subject.get("debug") else errors  # None: where this process says it
    # What lies in the working directory is no module of ours (from Python 3.11 on).
    environ = {**os.environ, "PYTHONSAFEPATH": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, env=environ) as process:  # noqa: S603 - ourselves
        try:
            answers = _Answers(process.stdout)
            for name, patience in checks:
                current, began = Examined(name), time.monotonic()
                ended = answers.gather(current, began + _BEGINNING + patience)
                current.seconds = time.monotonic() - began
                if not ended:
                    current.results.append(_ending(process, current, errors))
                yield current
                if not ended:
                    return
        finally:
            process.kill()


class _Answers:
    """What the other process writes, a JSON value a line."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._stream = stream
        self._held = b""

    def gather(self, current: Examined, deadline: float) -> bool:
        """Gather what a check says until it has ended; return whether it did."""
        while True:
            while b"\n" in self._held:
                line, _, self._held = self._held.partition(b"\n")
                answer = json.loads(line)
                if "result" in answer:
                    current.results.append(Result(**answer["result"]))
                elif "end" in answer:
                    return True
            piece = self._read(deadline)
            if not piece:
                return False
            self._held += piece

    def _read(self, deadline: float) -> bytes:
        """Return the next bytes, none when the stream has ended or the time is over."""
        if self._stream is None:
            return b""
        ready, _, _ = select.select([self._stream], [], [], max(0.0, deadline - time.monotonic()))
        return os.read(self._stream.fileno(), 65_536) if ready else b""


def _ending(process: subprocess.Popen[bytes], current: Examined, errors: IO[bytes]) -> Result:
    """Return what became of a process that did not come to the end of a check."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(_DYING)
    if process.returncode is None:
        found = f"it did not finish within {current.seconds:.0f} s"
    else:
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace")
        found = how_it_ended(subprocess.CompletedProcess((), process.returncode, "", said))
    fix = (
        "`ctxkit plugins check DISTRIBUTION` finds out which plugin it is; leave that out with CTXKIT_DISABLE_PLUGINS."
    )
    return Result("problem", current.check, found, fix)

"""Trials shared out among processes, and what the processes tell of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from ctxkit.errors import CtxkitError
from ctxkit_conformance.mutants.trial import Trial

CASE_TIMEOUT: Final = 120.0  # seconds after which a case counts as hung
SETTINGS: Final = "[pytest]\naddopts =\nfilterwarnings = ignore\n"
_CAME_TO_ITS_END: Final = {0, 1, 5}  # pytest's codes: all passed, some failed, no check of the names that were given
_SHARES: Final = 3  # processes that each worker starts one after the other, so that none is idle for long
_MOST_WORKERS: Final = 5
_TAIL: Final = 2_000  # characters of what a process said
_START: Final = "from ctxkit_conformance.mutants.trial import main; main()"

Progress: TypeAlias = Callable[[int, int, str], None]
End: TypeAlias = Literal["crashed", "hung"]


@dataclass
class Told:
    """What was told of one specimen: the outcomes and the first message of each check.

    `end` says how its process ended, when that was before its time, and `words` what was said last.
    """

    outcomes: dict[str, set[str]] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    end: End | None = None
    words: str = ""

    def take(self, check: str, outcome: str, seconds: float, message: str) -> None:
        """Add a case."""
        self.outcomes.setdefault(check, set()).add(outcome)
        self.seconds += seconds
        if outcome in ("failed", "broken") and check not in self.messages:
            self.messages[check] = message


class Session:
    """Tries many specimens at once; what dies or hangs takes only its own trial with it."""

    def __init__(self, trials: Sequence[Trial], progress: Progress) -> None:
        self.told = {trial.specimen.key: Told() for trial in trials}
        self._trials = trials
        self._progress = progress
        self._names = {trial.specimen.key: trial.specimen.name for trial in trials}
        self._lock = threading.Lock()
        self._ended: set[str] = set()
        self._stopped = False
        self._processes: set[subprocess.Popen[str]] = set()

    def run(self) -> dict[str, Told]:
        """Try all of them and return what was told, by the keys of the specimens."""
        # One more than there are cores: some mutants are found out by waiting for an answer.
        workers = min((os.cpu_count() or 1) + 1, _MOST_WORKERS)
        parts = min(workers * _SHARES, len(self._trials))
        # Dealt out like cards: what takes long stands together in the list.
        shares = [list(self._trials[start::parts]) for start in range(parts)]
        with ThreadPoolExecutor(workers) as pool:
            sharing = [pool.submit(self._share, share) for share in shares]
            try:
                for each in sharing:
                    each.result()
            except BaseException:
                self._stop()
                raise
        return self.told

    def began(self, key: str) -> None:
        """Take note that a trial has begun."""
        with self._lock:
            self._progress(len(self._ended), len(self._trials), self._names[key])

    def ended(self, key: str) -> None:
        """Take note that a trial has come to its end."""
        with self._lock:
            self._ended.add(key)

    def take(self, event: dict[str, Any]) -> None:
        """Take over what was told of a case."""
        self.told[event["key"]].take(event["check"], event["outcome"], event["seconds"], event["message"])

    def _share(self, trials: list[Trial]) -> None:
        while trials and not self._stopped:
            with tempfile.TemporaryDirectory(prefix="ctxkit-selftest-", ignore_cleanup_errors=True) as folder:
                self._process(trials, Path(folder))
            trials = [trial for trial in trials if trial.specimen.key not in self._ended]

    def _process(self, trials: list[Trial], folder: Path) -> None:
        """Try these in one process, as far as it goes."""
        output = folder / "output"
        with output.open("wb") as said:
            process = self._started(trials, folder, said)
            follower = Follower(self, process)
            try:
                follower.follow()
            finally:
                self._processes.discard(process)
        words = output.read_text(encoding="utf-8", errors="replace")[-_TAIL:]
        if follower.code in _CAME_TO_ITS_END:
            for trial in trials:
                self.ended(trial.specimen.key)
        elif follower.running is None and not self._stopped:
            raise CtxkitError(f"the checks could not be run:\n{words}", fix="see the message; no mutant is at fault.")
        elif follower.running is not None:
            told = self.told[follower.running]
            told.end, told.words = "hung" if follower.hung else "crashed", words
            self.ended(follower.running)

    def _started(self, trials: list[Trial], folder: Path, output: Any) -> subprocess.Popen[str]:
        settings, plan = folder / "pytest.ini", folder / "plan.json"
        settings.write_text(SETTINGS, encoding="utf-8")
        content = {"settings": str(settings), "folder": str(folder), "trials": [trial.as_dict() for trial in trials]}
        plan.write_text(json.dumps(content), encoding="utf-8")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV"))}
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        process = subprocess.Popen(  # noqa: S603 - it is this interpreter
            [sys.executable, "-c", _START, str(plan)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            env=environment,
            cwd=folder,
            text=True,
            start_new_session=True,
        )
        self._processes.add(process)
        return process

    def _stop(self) -> None:
        """Let nothing begin any more, and end what is under way."""
        self._stopped = True
        for process in list(self._processes):
            end(process)


class Follower:
    """Reads what a process tells, and ends it when a case takes too long.

    `running` is the specimen on trial, `code` pytest's own verdict at the end, None where there was no end.
    """

    def __init__(self, session: Session, process: subprocess.Popen[str]) -> None:
        self._session = session
        self._process = process
        self.running: str | None = None
        self.hung = False
        self.code: int | None = None

    def follow(self) -> None:
        """Read until the end, and leave no process behind."""
        watch = self._watch()
        try:
            for line in self._process.stdout or ():
                watch.cancel()
                self._take(json.loads(line))
                if self.code is not None:
                    break
                watch = self._watch()
        finally:
            watch.cancel()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            end(self._process)
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "end":
            self.code = event["code"]
        elif event["event"] == "case":
            self._session.take(event)
        elif event["key"] != self.running:
            if self.running is not None:
                self._session.ended(self.running)
            self.running = event["key"]
            self._session.began(event["key"])

    def _watch(self) -> threading.Timer:
        watch = threading.Timer(CASE_TIMEOUT, self._give_up)
        watch.daemon = True
        watch.start()
        return watch

    def _give_up(self) -> None:
        self.hung = True
        end(self._process)


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process of ours with all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)

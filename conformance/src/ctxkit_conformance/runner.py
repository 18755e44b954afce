"""Runs the checks of one component in a process of their own and gathers what became of each.

A component that crashes or hangs takes only that process with it: the check is marked, the rest runs in another.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from ctxkit.errors import ConfigError, CtxkitError
from ctxkit.plugins import PluginRegistry
from ctxkit_conformance.known import read_known_failures
from ctxkit_conformance.levels import reached
from ctxkit_conformance.marks import tier_number
from ctxkit_conformance.options import parsed_options
from ctxkit_conformance.results import CaseResult, CheckResult, ClauseText, SubjectResult
from ctxkit_conformance.subject import Subject, find_subject

_POLL: Final = 0.05  # seconds between looks at the events
_GRACE: Final = 10.0  # seconds that a process has to end what it started
_MOST_RESTARTS: Final = 25
_TAIL: Final = 2_500  # characters of a dead process's last words
_MACHINERY: Final = re.compile(r"[/\\\\](_pytest|pluggy|pytest)[/\\\\]|<frozen runpy>|^Extension modules")
_TIERS: Final = frozenset({*(f"T{number}" for number in range(11)), "E", "K", "L"})

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class RunRequest:
    """What to run: the component and its options, which checks, and how hard to try.

    `reverse` runs the checks in reversed order, which may change nothing. `check_timeout` is how many seconds one check
    may take before it counts as hung.
    """

    target: str
    options: Sequence[str] = ()
    variant: str = ""
    plugins: Sequence[str] = ()
    tiers: Sequence[str] = ()
    expression: str = ""
    seed: int = 0
    thorough: bool = False
    known_failures: Path | None = None
    reverse: bool = False
    check_timeout: float = 120.0

    @property
    def partial(self) -> str:
        """How the checks are narrowed, empty when all are meant to run."""
        parts = [
            *(f"tier {tier.upper()}" for tier in self.tiers),
            *([f"-k {self.expression}"] if self.expression else []),
        ]
        return ", ".join(parts)


@dataclass
class _Run:
    """What is known of the checks so far."""

    planned: dict[str, dict[str, Any]] = field(default_factory=dict)
    ended: dict[str, dict[str, Any]] = field(default_factory=dict)
    running: str | None = None
    since: float = 0.0
    read: int = 0

    def follow(self, events: Path) -> None:
        """Read what has been told since the last look."""
        if not events.exists():
            return
        with events.open("rb") as file:
            file.seek(self.read)
            lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self.read += len(whole)
        for line in whole.splitlines():
            self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        kind = event.pop("event")
        if kind == "planned":
            self.planned.setdefault(event["id"], event)
        elif kind == "started":
            self.running, self.since = event["id"], time.monotonic()
        else:
            self.ended[event["id"]] = event
            self.running = None

    def give_up(self, outcome: str, message: str, seconds: float) -> None:
        """Lay the end of the process at the door of the check that was running."""
        if self.running is not None:
            self.ended[self.running] = {"outcome": outcome, "message": message, "seconds": seconds, "reproduction": ""}
            self.running = None


def run_subject(request: RunRequest, progress: Progress | None = None) -> SubjectResult:
    """Run the checks and return what was found; raises ConfigError or PluginError when nothing can be run."""
    unknown = {tier.upper() for tier in request.tiers} - _TIERS
    if unknown:
        raise ConfigError(f"there is no tier {', '.join(sorted(unknown))}.", fix="choose from T0 to T10, E, K and L.")
    subject = _subject(request)
    if request.known_failures is not None:
        read_known_failures(request.known_failures, request.target)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ctxkit-conformance-") as scratch:
        run = _run_all(request, subject, Path(scratch), progress or (lambda *_: None))
    if not run.planned:
        raise ConfigError(
            f"no check of {request.target} was chosen by {request.partial or 'nothing'}.",
            fix="see the names of the checks with `ctxkit conformance checks`.",
        )
    return _result(request, subject, run, time.monotonic() - started)


def _subject(request: RunRequest) -> Subject:
    registry = PluginRegistry.discover()
    for plugin in request.plugins:
        registry.load_path(plugin)
    subject = find_subject(registry, request.target, parsed_options(request.options), request.variant)
    subject.factory  # noqa: B018 - a component that cannot be imported has no checks to run
    subject.capabilities()
    return subject


def _run_all(request: RunRequest, subject: Subject, scratch: Path, progress: Progress) -> _Run:
    """Start the process, and again for what is left when it died."""
    run = _Run()
    done = scratch / "done"
    for attempt in range(_MOST_RESTARTS):
        # A file of its own: what a process that died had half written must not run into what the next one tells.
        events, run.read = scratch / f"events{attempt}", 0
        done.write_text("\n".join(run.ended), encoding="utf-8")
        output = scratch / f"output{attempt}"
        command = _command(request, subject, scratch, events, done)
        with output.open("wb") as file, _process(command, file) as process:
            code = _watch(process, request, run, events, progress)
        last_words = _last_words(output)
        if run.running is None and code in {0, 1, 5}:
            break
        if run.running is None:
            raise _refusal(code, last_words)
        seconds = time.monotonic() - run.since
        if code is None:
            run.give_up("hung", f"no end after {request.check_timeout:g} seconds\n{last_words}", seconds)
        else:
            run.give_up("crashed", f"the process died: {_death(code)}\n{last_words}", seconds)
    return run


def _refusal(code: int | None, last_words: str) -> CtxkitError:
    """Return the error for a process that ended between checks; pytest says what is wrong with its arguments."""
    said = [line.removeprefix("ERROR: ") for line in last_words.splitlines() if line.startswith("ERROR: ")]
    message, _, fix = (said[-1] if said else last_words).partition(" Fix: ")
    if code == pytest.ExitCode.USAGE_ERROR:
        return ConfigError(message, fix=fix or "correct the options.")
    return CtxkitError(f"the checks could not be run: {message}", fix="see the message; it is no check's own failure.")


def _command(request: RunRequest, subject: Subject, scratch: Path, events: Path, done: Path) -> list[str]:
    settings = scratch / "pytest.ini"  # ours, so that the project in whose folder this runs changes nothing
    settings.write_text("[pytest]\naddopts =\nfilterwarnings = default\nverbosity_assertions = 2\n", encoding="utf-8")
    arguments = [sys.executable, "-X", "faulthandler", "-m", "pytest", "-c", str(settings), "--rootdir", str(scratch)]
    arguments += ["--pyargs", f"ctxkit_conformance.suite.test_{subject.kind}", "-p", "no:cacheprovider", "-q"]
    arguments += ["-p", "ctxkit_conformance.pytest_plugin", "--tb=no", "--no-header", "--import-mode=importlib"]
    arguments += ["--basetemp", str(scratch / "data"), "--ctxkit-backend", request.target]
    arguments += ["--ctxkit-events", str(events), "--ctxkit-done", str(done), "--ctxkit-seed", str(request.seed)]
    arguments += [f"--ctxkit-config={option}" for option in request.options]
    arguments += [f"--ctxkit-plugin={plugin}" for plugin in request.plugins]
    arguments += [f"--ctxkit-tier={tier}" for tier in request.tiers]
    arguments += [f"--ctxkit-variant={request.variant}"] if request.variant else []
    arguments += ["--ctxkit-thorough"] if request.thorough else []
    arguments += ["--ctxkit-reversed"] if request.reverse else []
    arguments += [f"--ctxkit-known-failures={request.known_failures}"] if request.known_failures else []
    arguments += ["-k", request.expression] if request.expression else []
    return arguments


@contextmanager
def _process(command: list[str], output: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a session of its own, of which nothing is left afterwards."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    process = subprocess.Popen(  # noqa: S603 - it is this interpreter
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        try:
            if process.poll() is None:
                process.terminate()  # it then ends the processes that it started, which have sessions of their own
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_GRACE)
        finally:  # also where it is told to stop once more meanwhile
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _watch(
    process: subprocess.Popen[bytes], request: RunRequest, run: _Run, events: Path, progress: Progress
) -> int | None:
    """Follow the events until the process ends; None when a check took too long."""
    while True:
        code = process.poll()
        run.follow(events)
        name = run.planned[run.running]["name"] if run.running in run.planned else ""
        progress(len(run.ended), len(run.planned), name)
        if code is not None:
            return code
        if run.running is not None and time.monotonic() - run.since > request.check_timeout:
            process.send_signal(signal.SIGABRT)  # faulthandler then writes where every thread stands
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            return None
        time.sleep(_POLL)


def _last_words(output: Path) -> str:
    """Return what the process said at its end; of a stack, the innermost calls without pytest's own."""
    text = output.read_text(encoding="utf-8", errors="replace")
    stack = text.rfind("Fatal Python error")
    if stack < 0:
        return text[-_TAIL:].strip()
    lines = [line for line in text[stack:].splitlines() if not _MACHINERY.search(line)]
    return "\n".join(lines)[:_TAIL].strip()


def _death(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"


def _result(request: RunRequest, subject: Subject, run: _Run, seconds: float) -> SubjectResult:
    """Put cases together into checks, and say which level they reach."""
    checks: dict[tuple[str, str], CheckResult] = {}
    measurements: dict[str, list[dict[str, Any]]] = {}
    for key, plan in run.planned.items():
        clauses = [ClauseText(**clause) for clause in plan["clauses"]]
        check = checks.setdefault(
            (plan["tier"], plan["name"]),
            CheckResult(name=plan["name"], tier=plan["tier"], meaning=plan["meaning"], clauses=clauses, cases=[]),
        )
        end = run.ended.get(key, {"outcome": "not_run", "message": "the run ended before"})
        check.cases.append(
            CaseResult(case=plan["case"], **{k: v for k, v in end.items() if k in CaseResult.model_fields})
        )
        for point in end.get("measurements", []):
            measurements.setdefault(point["series"], []).append({k: v for k, v in point.items() if k != "series"})
    found = sorted(checks.values(), key=lambda check: (tier_number(check.tier), check.name))
    told = (end["capabilities"] for end in run.ended.values() if end.get("capabilities"))
    capabilities = next(told, None) or subject.capabilities().model_dump(mode="json")
    level, reason = (None, f"only part of the checks ran: {request.partial}") if request.partial else ("", "")
    if not request.partial:
        level, reason = reached(subject.kind, found, capabilities)
    return SubjectResult(
        kind=subject.kind,
        name=subject.component.name,
        qualified_name=subject.component.qualified_name,
        variant=subject.variant,
        distribution=subject.component.plugin.distribution,
        version=subject.component.plugin.version,
        summary=subject.spec.summary,
        config=subject.config().model_dump(mode="json", exclude_unset=True),
        capabilities=capabilities,
        level=level,
        level_reason=reason,
        seconds=seconds,
        checks=found,
        measurements=measurements,
        plugins=list(request.plugins),
    )

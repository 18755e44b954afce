"""Where the page runs: one namespace for all of its blocks, a provider on this machine, and no waiting."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from ctxkit_conformance.faults import FaultServer, Recorded, Scenario, step
from seed.snippets import Snippet

OPENAI_KEY: Final = "sk-proj-of-nobody-0123456789"
ANTHROPIC_KEY: Final = "sk-ant-of-nobody-0123456789"
_MOST_PATIENT: Final = 0.01  # seconds that any sleep really takes


@dataclass
class Stage:
    """The page's names as they are by now, what the provider plans and was asked, and how long the page slept.

    `handlers` are what the page added to the logging. `output` is what the newest block printed.
    """

    names: dict[str, Any]
    scenario: Scenario
    slept: list[float] = field(default_factory=list)
    handlers: list[logging.Handler] = field(default_factory=list)
    output: str = ""
    _forgotten: int = 0

    def run(self, snippet: Snippet) -> None:
        """Run a block in the namespace of those before it; a shell's lines run as commands of this interpreter."""
        printed = io.StringIO()
        if snippet.language == "python":
            with contextlib.redirect_stdout(printed), self._own_logging():
                exec(compile(snippet.code, f"<{snippet.key}>", "exec"), self.names)  # noqa: S102 - the point of it all
            self.output = printed.getvalue()
            return
        lines = [line for line in snippet.code.splitlines() if line and not line.startswith("#")]
        self.output = "".join(_shell(line) for line in lines)

    @contextlib.contextmanager
    def _own_logging(self) -> Iterator[None]:
        """Let the page find the logging as it left it, as in a program of its own."""
        root = logging.getLogger()
        outside = root.handlers[:]
        root.handlers[:] = self.handlers
        try:
            yield
        finally:
            self.handlers = root.handlers[:]
            root.handlers[:] = outside

    def provider_does(self, *steps: str) -> None:
        """Let the provider do these steps with the next requests, and answer after them; forget what it was asked."""
        self.scenario.steps.clear()
        self.scenario.steps.extend(step(name) for name in steps)
        self._forgotten = len(self.scenario.requests)

    @property
    def asked(self) -> Sequence[Recorded]:
        """The requests since the newest `provider_does`."""
        return self.scenario.requests[self._forgotten :]


def _shell(line: str) -> str:
    """Run a line that begins with "python" and return what it printed."""
    command, _, rest = line.partition(" -c ")
    assert command == "python", line
    done = subprocess.run(
        [sys.executable, "-c", rest.strip('"')], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    return done.stdout


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Set the stage in a folder, and leave nothing of it behind: environment, logging, clocks and stores."""
    root, ours = logging.getLogger(), logging.getLogger("ctxkit")
    level, own_level = root.level, ours.level
    with pytest.MonkeyPatch.context() as environment, FaultServer() as server:
        for name in [name for name in os.environ if name.startswith(("OPENAI_", "ANTHROPIC_"))]:
            environment.delenv(name)
        stage = Stage({"__name__": "page"}, server.scenario())
        environment.setenv("OPENAI_API_KEY", OPENAI_KEY)
        environment.setenv("ANTHROPIC_API_KEY", ANTHROPIC_KEY)
        environment.setenv("OPENAI_BASE_URL", stage.scenario.url("openai"))
        environment.setenv("ANTHROPIC_BASE_URL", stage.scenario.url("anthropic"))
        environment.chdir(folder)
        sleep = time.sleep

        def short_sleep(seconds: float) -> None:
            stage.slept.append(seconds)
            sleep(min(seconds, _MOST_PATIENT))

        environment.setattr(time, "sleep", short_sleep)
        try:
            yield stage
        finally:
            stage.names.clear()
            gc.collect()  # what the page left open ends with its names
            for handler in stage.handlers:
                handler.close()
            root.setLevel(level)
            ours.setLevel(own_level)

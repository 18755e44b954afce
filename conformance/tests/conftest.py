"""What tests of the suite share: running checks in another process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import pytest

Outcomes: TypeAlias = dict[str, dict[str, dict[str, set[str]]]]

_OUTCOME: Final = re.compile(
    r"^(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b.*?::Test(\w+)::test_(\w+)(?:\[([^\]]*)\])?", re.MULTILINE
)


@pytest.fixture(scope="session")
def outcomes_of() -> Callable[..., tuple[Outcomes, str]]:
    """A function that runs targets of pytest in a folder and returns their cases, and what was printed.

    The cases stand by class, by check and by outcome.
    """

    def run(folder: Path, *targets: str) -> tuple[Outcomes, str]:
        # With the options of nobody else.
        ours = ("COVERAGE_", "COV_CORE_", "PYTEST_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        command = [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=short", "-p", "no:cacheprovider", *targets]
        run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
        found: Outcomes = {}
        for outcome, owner, check, case in _OUTCOME.findall(run.stdout):
            found.setdefault(owner, {}).setdefault(check, {}).setdefault(outcome, set()).add(case)
        return found, run.stdout + run.stderr

    return run

